"""Blocks and payloads: bytes that are sealed, sent and shared without a copy."""

from __future__ import annotations

import array
import asyncio
import gc
import io
import threading
from collections.abc import Callable
from typing import Any

import pytest

import actinium as ac
from actinium.errors import NotAMessage, UsageError


class Take(ac.Message):
    data: ac.Payload


class Hand(ac.Message):
    data: ac.Payload
    hops: int


class Keeper(ac.Actor):
    def __init__(self) -> None:
        self.seen: list[ac.Payload] = []

    @ac.on
    def take(self, m: Take) -> int:
        self.seen.append(m.data)
        return len(m.data)

    @ac.on
    def bare(self, m: ac.Payload) -> ac.Payload:
        return m


def payload_bytes() -> int:
    return ac.memory_use().regions["payload"].bytes


def test_a_block_is_zeroed_filled_and_sealed_without_a_copy() -> None:
    before = payload_bytes()
    block = ac.Block(100)
    assert bytes(block) == bytes(100)
    with memoryview(block) as view:
        view[:5] = b"bytes"
        held = payload_bytes()
        assert held == before + 128
    payload = block.seal()
    assert payload_bytes() == held
    assert len(payload) == 100
    assert bytes(memoryview(payload)[:5]) == b"bytes"
    assert repr(payload) == "<Payload of 100 bytes>"
    assert repr(block) == "<Block: sealed>"
    del view, payload
    assert payload_bytes() == before


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 5000, 40_000, 600_000, 3_000_000])
def test_sizes_of_every_kind_of_memory_are_freed_exactly_once(size: int) -> None:
    before = payload_bytes()
    payload = ac.Payload(b"x" * size)
    assert bytes(payload) == b"x" * size
    assert bytes(ac.Block(size)) == bytes(size)
    assert payload_bytes() >= before + size
    del payload
    assert payload_bytes() == before


def test_any_buffer_may_be_copied_in() -> None:
    assert bytes(ac.Payload(array.array("H", [1, 2]))) == array.array("H", [1, 2]).tobytes()
    assert bytes(ac.Payload(bytearray(b"ab")).mutable_copy().seal()) == b"ab"
    with pytest.raises(TypeError):
        ac.Payload("text")  # type: ignore[arg-type]


def test_a_view_keeps_the_bytes_alive() -> None:
    before = payload_bytes()
    view = memoryview(ac.Payload(b"kept" * 1000))[4:8]
    assert bytes(view) == b"kept"
    assert payload_bytes() > before
    view.release()
    assert payload_bytes() == before


def test_a_payload_cannot_be_written() -> None:
    payload = ac.Payload(b"abc")
    view = memoryview(payload)
    assert view.readonly
    with pytest.raises(TypeError):
        view[0] = 1
    with pytest.raises(TypeError, match="read-write"):
        io.BytesIO(b"zzz").readinto(payload)  # type: ignore[arg-type]
    copy = payload.mutable_copy()
    memoryview(copy)[0] = ord("x")
    assert bytes(payload) == b"abc"


def test_a_block_with_open_views_is_not_sealed() -> None:
    block = ac.Block(8)
    view = memoryview(block)
    with pytest.raises(UsageError, match="while 1 of its views can still write it"):
        block.seal()
    view.release()
    block.seal()


@pytest.mark.parametrize("use", [len, bytes, memoryview, ac.Block.seal, ac.Payload])
def test_a_sealed_block_is_of_no_use(use: Callable[[Any], object]) -> None:
    block = ac.Block(8)
    block.seal()
    with pytest.raises(UsageError, match="this block was sealed"):
        use(block)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="0 or more bytes, got -1"):
        ac.Block(-1)
    with pytest.raises(OverflowError):
        ac.Block(1 << 80)
    with pytest.raises(MemoryError):
        ac.Block(1 << 62)


def test_numpy_shares_the_memory() -> None:
    numpy = pytest.importorskip("numpy")
    block = ac.Block(24)
    written = numpy.frombuffer(block, dtype="float32")
    written[:] = numpy.arange(6)
    where = written.__array_interface__["data"][0]
    assert where % 64 == 0
    del written
    read = numpy.frombuffer(block.seal(), dtype="float32")
    assert read.__array_interface__["data"] == (where, True)
    assert read.tolist() == [0, 1, 2, 3, 4, 5]


async def _send() -> None:
    async with ac.System() as system:
        keeper = system.spawn(Keeper)
        payload = ac.Payload(b"m" * 200_000)
        held = payload_bytes()
        assert await keeper.ask(payload) is payload
        assert await keeper.ask(Take(payload)) == 200_000
        assert payload_bytes() == held
        with pytest.raises(NotAMessage, match=r"block\.seal\(\)"):
            keeper.tell(ac.Block(3))  # type: ignore[call-overload]
        with pytest.raises(NotAMessage, match=r"ac\.Payload\(data\)"):
            keeper.tell(bytearray(3))  # type: ignore[call-overload]


def test_payloads_travel_by_reference() -> None:
    before = payload_bytes()
    asyncio.run(_send())
    gc.collect()
    assert payload_bytes() == before


def test_a_gibibyte_through_16_actors_holds_one_piece_at_a_time() -> None:
    class Hop(ac.Actor):
        def __init__(self, to: ac.LocalRef[Any] | None) -> None:
            self.to = to
            self.high = 0

        @ac.on
        def hand(self, m: Hand) -> None:
            self.high = max(self.high, payload_bytes())
            if self.to is not None:
                self.to.tell(Hand(m.data, m.hops + 1))

    async def body() -> None:
        before = payload_bytes()
        async with ac.System() as system:
            refs: list[ac.LocalRef[Any]] = []
            for _ in range(16):
                refs.append(system.spawn(Hop, refs[-1] if refs else None))
            for _ in range(64):  # of 16 MiB, never touched: the kernel gives no page for it
                refs[-1].tell(Hand(ac.Block(16 << 20).seal(), 0))
                await system.idle()
            high = max(ref.instance.high for ref in refs)
            assert high - before == 16 << 20
        assert payload_bytes() == before

    asyncio.run(body())


def test_another_thread_may_let_go_of_the_last_reference() -> None:
    before = payload_bytes()
    held = [ac.Payload(b"x" * size) for size in (10, 10_000, 100_000, 1_000_000)]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert payload_bytes() == before
