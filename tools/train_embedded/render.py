"""Conversation to prompt text through the shipped `chat_template.jinja`.

Training, evaluation and the runner all render with that one file, so that the model meets
in service exactly the text it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from .paths import TEMPLATE

SPECIAL = (
    "<|pad|>",
    "<|bos|>",
    "<|end|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|tool|>",
    "<|call|>",
)


@cache
def _template(path: Path) -> jinja2.Template:
    environment = jinja2.Environment(keep_trailing_newline=False, autoescape=False)
    return environment.from_string(path.read_text(encoding="utf-8"))


def render(
    messages: Sequence[dict[str, Any]],
    tools: Sequence[dict[str, Any]] | None = None,
    add_generation_prompt: bool = False,
    template: Path = TEMPLATE,
) -> str:
    """The prompt text of a conversation, special tokens included."""
    return _template(template).render(
        messages=messages, tools=tools or None, add_generation_prompt=add_generation_prompt
    )
