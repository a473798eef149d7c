"""Frames come out as they went in, however the bytes are cut; other bytes are refused."""

from __future__ import annotations

import contextlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium.errors import DecodeError, MessageTooLarge
from actinium.wire import FrameReader, frame
from actinium.wire.frame import MAX_BODY

FRAMES = st.lists(
    st.tuples(
        st.integers(0, 255), st.binary(max_size=400), st.lists(st.binary(max_size=300), max_size=3)
    ),
    max_size=5,
)


def _bytes(frames: list[tuple[int, bytes, list[bytes]]]) -> bytes:
    return b"".join(bytes(piece) for f in frames for piece in frame(*f))


@given(FRAMES, st.lists(st.integers(1, 97), min_size=1, max_size=20))
def test_frames_survive_any_cut(
    frames: list[tuple[int, bytes, list[bytes]]], cuts: list[int]
) -> None:
    data, reader, found, at, turn = _bytes(frames), FrameReader(), [], 0, 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        found += reader.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    assert [(f.kind, bytes(f.body), [bytes(b) for b in f.buffers]) for f in found] == frames


def test_large_pieces_are_read_straight_into_their_place() -> None:
    body, blob = os.urandom(700_000), os.urandom(900_000)
    data = _bytes([(4, body, [blob])]) + _bytes([(4, b"next", [])])
    reader, found = FrameReader(), []
    for at in range(0, len(data), 65_536):
        found += reader.feed(data[at : at + 65_536])
    assert [bytes(f.body) for f in found] == [body, b"next"]
    assert bytes(found[0].buffers[0]) == blob


@settings(max_examples=300)
@given(st.binary(max_size=600))
def test_hostile_bytes_are_frames_or_a_decode_error(data: bytes) -> None:
    reader = FrameReader()
    try:
        reader.feed(data)
    except DecodeError:
        return
    assert b"ACT1".startswith(data[:4])


@settings(deadline=None)
@given(FRAMES.filter(bool), st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_never_crashes_the_reader(
    frames: list[tuple[int, bytes, list[bytes]]], at: int, change: int
) -> None:
    data = bytearray(_bytes(frames))
    data[at % len(data)] ^= change
    with contextlib.suppress(DecodeError):
        FrameReader(10_000, 10_000).feed(bytes(data))


def test_lengths_beyond_the_limits_are_refused_before_anything_is_allocated() -> None:
    head = frame(4, b"")[0]
    huge = head[:8] + (MAX_BODY + 1).to_bytes(4, "little") + head[12:]
    with pytest.raises(DecodeError, match="over the limits"):
        FrameReader().feed(huge)
    many = head[:6] + (3).to_bytes(2, "little") + head[8:] + b"\xff\xff\xff\xff" * 3
    with pytest.raises(DecodeError, match="the limit is"):
        FrameReader().feed(many)


def test_another_version_and_another_protocol_are_named() -> None:
    head = frame(1, b"")[0]
    with pytest.raises(DecodeError, match="version 1, got version 9"):
        FrameReader().feed(head[:4] + b"\x09" + head[5:])
    with pytest.raises(DecodeError, match="begin with b'ACT1', got b'GET '"):
        FrameReader().feed(b"GET / HTTP/1.1\r\n\r\n")


def test_a_frame_too_large_to_be_read_is_not_written() -> None:
    with pytest.raises(MessageTooLarge):
        frame(1, bytes(MAX_BODY + 1))
