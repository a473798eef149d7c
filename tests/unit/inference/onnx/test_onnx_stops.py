"""inf_LR-3: no output contains a stop string, and nothing else is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.inference.runners.onnx.stops import StopFilter

SMALL = st.text("abc", max_size=30)
STOPS = st.lists(st.text("abc", min_size=1, max_size=5), max_size=3)


def _first_end(text: str, stops: list[str]) -> tuple[int, int] | None:
    """Start and end of the stop string that is complete first, by trying every end."""
    for end in range(1, len(text) + 1):
        found = [s for s in stops if text[:end].endswith(s)]
        if found:
            return end - max(map(len, found)), end
    return None


def _run(pieces: list[str], stops: list[str]) -> tuple[list[str], bool]:
    stop_filter = StopFilter(stops)
    shown: list[str] = []
    for piece in pieces:
        shown.append(stop_filter.push(piece))
        if stop_filter.stopped:
            return shown, True
    return [*shown, stop_filter.finish()], False


@given(st.lists(SMALL, max_size=8), STOPS)
def test_inf_lr_3_text_up_to_the_first_complete_stop_string(
    pieces: list[str], stops: list[str]
) -> None:
    whole = "".join(pieces)
    shown, stopped = _run(pieces, stops)
    expected = _first_end(whole, stops)
    assert stopped == (expected is not None)
    assert "".join(shown) == (whole if expected is None else whole[: expected[0]])


@given(SMALL, STOPS, st.data())
def test_inf_lr_3_the_cut_into_pieces_changes_nothing(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert "".join(_run(pieces, stops)[0]) == "".join(_run([text], stops)[0])


@given(st.lists(SMALL, max_size=8), STOPS)
def test_inf_lr_3_only_what_may_become_a_stop_string_is_held(
    pieces: list[str], stops: list[str]
) -> None:
    stop_filter = StopFilter(stops)
    shown = seen = ""
    for piece in pieces:
        seen += piece
        shown += stop_filter.push(piece)
        if stop_filter.stopped:
            return
        held = seen[len(shown) :]
        assert not any(stop in shown for stop in stops)
        assert not held or any(stop.startswith(held) for stop in stops)


@pytest.mark.parametrize(
    ("pieces", "stops", "shown"),
    [
        (["Hello", " wor", "ld"], ["world"], ["Hello", " ", ""]),
        (["a", "b"], [], ["a", "b", ""]),
        (["EN", "ding"], ["END"], ["", "ENding", ""]),
        (["EN"], ["END"], ["", "EN"]),
        (["xabcd"], ["abcd", "bc"], ["xa"]),
    ],
)
def test_examples(pieces: list[str], stops: list[str], shown: list[str]) -> None:
    assert _run(pieces, stops)[0] == shown
