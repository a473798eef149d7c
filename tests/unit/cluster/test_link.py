"""A link outlives its connections: whatever breaks where, every message comes once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from linked import Pair

from actinium.cluster import entries as e
from actinium.cluster.link import WINDOW
from actinium.errors import UsageError
from actinium.testkit import Faults
from actinium.wire import Packed, frame


def with_pair(test: Callable[[Pair], None]) -> None:
    async def main() -> None:
        test(Pair())

    asyncio.run(main())


def numbers(took: list[Any]) -> list[int]:
    return [to for to, _, _ in took]


def test_a_frame_cut_at_each_byte_comes_once() -> None:
    def body(pair: Pair) -> None:
        first = pair.ends[0]
        first.post(1)
        first.post(2, b"x" * 40)
        first.link.flush()
        whole = len(first.wire.written)
        for at in range(whole + 1):
            again = Pair()
            one, other = again.ends
            one.post(1)
            one.post(2, b"x" * 40)
            one.link.flush()
            one.post(3)
            one.link.flush()
            again.let(0, at)
            again.cut()
            assert (one.cuts, other.cuts) == (1, 1)
            one.post(4)  # while there is no connection
            again.join()
            again.settle()
            assert numbers(other.took) == [1, 2, 3, 4], f"cut after {at} bytes"
            assert other.took[1][2] == [b"x" * 40]

    with_pair(body)


def test_credit_is_whole_after_any_number_of_cuts() -> None:
    def body(pair: Pair) -> None:
        a, b = pair.ends
        for number in range(40_000):
            a.post(number)
            if number % 7_001 == 0:
                pair.let(0, 1000)
                pair.cut()
                assert a.link.credit <= 0
                a.post(-number - 1)
                pair.join()
            if number % 1000 == 0:
                pair.settle()
        pair.settle()
        assert [n for n in numbers(b.took) if n >= 0] == list(range(40_000))
        assert len(b.took) == len(set(numbers(b.took))) == 40_006
        assert a.link.posts == 40_006
        b.link.acknowledge()
        pair.settle()
        assert WINDOW - WINDOW // 8 <= a.link.credit <= WINDOW
        a.link.pulse(True)
        b.link.pulse(True)
        pair.settle()
        assert a.link.session.kept == b.link.session.kept == 0

    with_pair(body)


def test_a_pulse_lets_go_of_what_was_taken_and_finds_what_is_missing() -> None:
    def body(pair: Pair) -> None:
        a, b = pair.ends
        for number in range(3):
            a.post(number)
            a.link.flush()
        assert a.link.session.kept == 3
        pair.settle()
        b.link.pulse(False)
        pair.settle()
        assert a.link.session.kept == 0
        a.post(3)
        a.link.flush()
        a.wire.written.clear()  # lost, which a socket does not do: the next pulse shows it
        a.link.pulse(False)
        pair.let(0, len(a.wire.written))
        assert b.wire.ended and b.cuts == 1
        pair.cut()
        pair.join()
        pair.settle()
        assert numbers(b.took) == [0, 1, 2, 3]

    with_pair(body)


def test_while_the_socket_is_full_frames_stay_within_their_size() -> None:
    def body(pair: Pair) -> None:
        a, b = pair.ends
        a.link.pause(True)
        before = len(a.wire.written)
        for _ in range(34):  # answers cost no credit: more of them than fit into a frame
            packed = Packed("str", b"\xdb" + (1 << 20).to_bytes(4, "big") + b"y" * (1 << 20))
            a.link.say(e.Answer(1, 0, packed.raw()), packed)  # type: ignore[arg-type]
        assert len(a.wire.written) == before, "nothing is pushed into a full socket"
        a.link.pause(False)
        pair.settle()
        assert b.link.session.taken == a.link.session.sent > 1

    with_pair(body)


@pytest.mark.parametrize(
    "words",
    [
        frame(99, b"\x90"),
        frame(e.HELLO, b"\x80"),
        frame(e.BATCH, b"\xc1", number=1),
        frame(e.BATCH, b"\x91\x91\x63", number=1),
        frame(e.PULSE, b"\x92\x00\xcd\xff\xff"),
        frame(e.PULSE, b"\xa1x"),
        [b"GET / HTTP/1.1\r\n\r\n"],
        [b"ACT1" + b"\xff" * 60],
    ],
    ids=["kind", "hello", "no array", "no entry", "more than sent", "no pulse", "http", "lengths"],
)
def test_nonsense_ends_the_link_and_is_no_reason_to_connect_again(words: list[bytes]) -> None:
    def body(pair: Pair) -> None:
        a, b = pair.ends
        a.wire.written += b"".join(words)
        pair.let(0, len(a.wire.written))
        assert b.wire.ended and len(b.complaints) == 1 and b.cuts == 0
        assert b.link.connection is None and b.took == []

    with_pair(body)


@pytest.mark.parametrize("point", ["link.send", "link.recv"])
@pytest.mark.parametrize("kind", ["fail", "drop", "delay", "duplicate", "kill"])
def test_MS_2_every_fault_of_a_link_loses_nothing(point: str, kind: str) -> None:
    faults = Faults(seed=5)
    if (point, kind) == ("link.recv", "fail"):
        with pytest.raises(UsageError, match="cannot fail"):
            faults.arm(point, fail=1.0)
        return

    async def main() -> None:
        pair = Pair()
        a, b = pair.ends
        faults.arm(point, **{kind: 0.3}, seconds=0.0)  # type: ignore[arg-type]
        try:
            for number in range(300):
                a.post(number)
                a.link.flush()
                pair.let(0, len(a.wire.written))
                await asyncio.sleep(0)  # delays of no time
                if a.wire.ended or b.wire.ended:
                    pair.cut()
                    pair.join()
        finally:
            faults.disarm()
        await asyncio.sleep(0.01)
        a.link.pulse(True)
        pair.let(0, len(a.wire.written))
        if b.wire.ended:
            pair.cut()
            pair.join()
        pair.settle()
        assert numbers(b.took) == list(range(300))
        assert faults.struck[point, kind] > 30

    asyncio.run(main())
