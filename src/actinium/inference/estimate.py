"""Tokens of a request before, or where, nobody counts them."""

from __future__ import annotations

from typing import Final

from .request import Request, TextPart

CHARS: Final = 4
"""Characters of a token, about, in most European languages."""

PART: Final = 1000
"""Tokens of a part that is no text, such as an image."""


def estimated_input(request: Request) -> int:
    """The input tokens of a request by its characters."""
    count = 1 + len(request.prompt or "") // CHARS
    for message in request.messages:
        content = message.content
        if isinstance(content, str):
            count += 4 + len(content) // CHARS
        elif content is not None:
            for part in content:
                count += len(part.text) // CHARS if isinstance(part, TextPart) else PART
    return count
