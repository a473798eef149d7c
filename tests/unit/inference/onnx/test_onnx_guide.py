"""A call can only name a tool that was offered."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from onnx_support import vocabulary

from actinium.inference.runners.onnx.guide import CallGuide, opening
from actinium.inference.runners.onnx.sampling import restrict

NAMES = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4, unique=True)


@given(NAMES, st.randoms(use_true_random=False))
def test_any_allowed_way_spells_the_opening_of_one_tool(names: list[str], random: object) -> None:
    guide = CallGuide(names, vocabulary())
    written = b""
    openings = [opening(name).encode() for name in names]
    while (allowed := guide.allowed(written)) is not None:
        written += vocabulary().pieces[random.choice(allowed)]  # type: ignore[attr-defined]
        assert len(written) < 400
    assert any(written.startswith(begun) for begun in openings)


@given(st.text(min_size=1, max_size=12))
def test_an_opening_is_the_beginning_of_json(name: str) -> None:
    call = msgspec.json.decode(opening(name) + " {}}")
    assert call == {"name": name, "arguments": {}}


def test_behind_the_opening_any_token_may_come() -> None:
    guide = CallGuide(["add"], vocabulary())
    assert guide.allowed(b"{") is not None
    assert guide.allowed(opening("add").encode()) is None
    assert guide.allowed(opening("add").encode() + b" {") is None
    assert guide.allowed(b"something else") is None


def test_restricting_leaves_only_what_is_allowed() -> None:
    logits = np.array([3.0, 2.0, 1.0, 0.0], np.float32)
    restrict(logits, [1, 3])
    assert logits.tolist() == [-np.inf, 2.0, -np.inf, 0.0]
