"""The decoder of server-sent events against a model of the standard."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.errors import ProtocolError
from actinium.inference.http import SseDecoder

ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
TEXT = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=12).map(
    lambda t: t.encode()
)
LINE = st.one_of(
    TEXT.map(lambda t: b"data: " + t),
    TEXT.map(lambda t: b"data:" + t),
    TEXT.map(lambda t: b": " + t),
    st.sampled_from([b"data", b"event: x", b"id: 1", b"retry: 5", b"", b"", b"other"]),
    TEXT,
)
STREAM = st.tuples(
    st.sampled_from([b"", b"\xef\xbb\xbf"]), st.lists(st.tuples(LINE, ENDS), max_size=14)
).map(lambda s: s[0] + b"".join(line + end for line, end in s[1]))


def model(stream: bytes) -> list[bytes]:
    """The standard, read line by line (section 9.2.6)."""
    events: list[bytes] = []
    data: list[bytes] | None = None
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in text.split(b"\n")[:-1]:
        if not line:
            if data is not None:
                events.append(b"\n".join(data))
            data = None
        elif not line.startswith(b":"):
            field, _, value = line.partition(b":")
            if field == b"data":
                data = [*(data or []), value.removeprefix(b" ")]
    return events


def fed(pieces: list[bytes]) -> list[bytes]:
    decoder = SseDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


@given(STREAM, st.lists(st.integers(0, 300), max_size=12))
def test_inf_WM_1_any_split_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(places)]
    assert fed(pieces) == model(stream), "WM-1"
    assert fed([stream]) == model(stream), "WM-1"
    assert fed([bytes([b]) for b in stream]) == model(stream), "WM-1"


@given(st.binary(max_size=200), st.integers(0, 200))
def test_inf_WM_1_arbitrary_bytes(stream: bytes, cut: int) -> None:
    assert fed([stream[:cut], stream[cut:]]) == fed([stream]) == model(stream), "WM-1"


def test_usual_stream_keeps_its_rest() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n\ndata: b\n\nda") == [b"a", b"b"]
    assert decoder.feed(b"ta: c\n") == []
    assert decoder.feed(b"\n: alive\n\n") == [b"c"]
    assert decoder.comments == 1


@pytest.mark.parametrize(
    "stream", [b"data: " + b"x" * 200, b"data: xx\r\n" * 100, b"data: " + b"x" * 200 + b"\n\n"]
)
def test_an_endless_event_is_refused(stream: bytes) -> None:
    decoder = SseDecoder(limit=100)
    with pytest.raises(ProtocolError, match="longer than 100"):
        for at in range(0, len(stream), 10):
            decoder.feed(stream[at : at + 10])
