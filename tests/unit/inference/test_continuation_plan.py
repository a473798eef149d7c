"""A continuation that nobody could do is refused with the plan."""

from __future__ import annotations

from typing import Any

import pytest

from actinium.errors import ConfigError
from actinium.inference import Deployment, Inference

URL = "http://127.0.0.1:9/v1"
WIRES: dict[str, dict[str, Any]] = {
    "openai": {"runtime": "openai", "base_url": URL},
    "responses": {"runtime": "openai", "base_url": URL, "options": {"api": "responses"}},
    "gemini": {"runtime": "gemini", "base_url": URL, "credentials": "env:PATH"},
    "anthropic": {"runtime": "anthropic", "base_url": URL, "credentials": "env:PATH"},
    "told": {"runtime": "openai", "base_url": URL, "options": {"prefill": "prefix"}},
}


def planned(*behind: str, **fields: Any) -> Inference:
    first = Deployment(
        name="m", model="x", fallback=behind, continuation=True,
        **{"runtime": "openai", "base_url": URL, **fields},
    )  # fmt: skip
    return Inference([first, *(Deployment(name=n, model="x", **WIRES[n]) for n in behind)])


@pytest.mark.parametrize("behind", [("openai",), ("gemini",), ("responses",), ("openai", "gemini")])
def test_a_chain_where_nobody_can_be_told_the_beginning(behind: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        planned(*behind)
    text = str(caught.value)
    names = ", ".join(map(repr, behind))
    assert text.startswith(f"deployment 'm': continuation: nobody who would go on ({names})")
    assert 'prefill = "continue_final_message"' in text and "leave continuation out" in text


@pytest.mark.parametrize("behind", [("anthropic",), ("told",), ("gemini", "told")])
def test_one_that_can_is_enough(behind: tuple[str, ...]) -> None:
    planned(*behind)


def test_replicas_go_on_with_their_own_options() -> None:
    with pytest.raises(ConfigError, match="'m'"):
        planned(replicas=("http://127.0.0.1:8/v1",))
    planned(replicas=("http://127.0.0.1:8/v1",), options={"prefill": "prefix"})
