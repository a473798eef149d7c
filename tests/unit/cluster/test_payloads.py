"""Payloads between processes: beside their messages, read into memory of their own."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import msgspec
import pytest
from linked import Pair
from test_workers import on_workers, until
from worker_actors import Get, Parcel, Parcels, Store

import actinium as ac
from actinium import _native
from actinium.errors import DecodeError, MessageTooLarge
from actinium.wire import Codec, FrameReader, frame
from actinium.wire.tree import BUFFER, TUPLE

BIG = 3_000_000


def payload_bytes() -> int:
    return ac.memory_use().regions["payload"].bytes


def same(left: Any, right: Any) -> bool:
    return type(left) is type(right) is ac.Payload and memoryview(left) == memoryview(right)


def test_payloads_cross_in_messages_answers_and_streams() -> None:
    async def body(system: ac.System) -> None:
        store = system.spawn(Store)
        for size in (0, 10, 16_384, BIG):
            payload = ac.Payload(os.urandom(size))
            assert same(await store.ask(payload, 20), payload)
            label, length, first = await store.ask(Parcel("p", payload), 20)
            assert (label, length) == ("p", size) and first == sum(memoryview(payload)[:100])
            answer = await store.ask(Parcels((payload, payload), payload), 20)
            assert len(answer.all) == 2 and all(same(p, payload) for p in answer.all)
            assert same(answer.maybe, payload)
        assert (await store.ask(Parcels(()))).maybe is None
        async with store.stream(5, items=2) as stream:
            pieces = [bytes(p)[:1] async for p in stream]
        assert pieces == [bytes([n]) for n in range(5)]

    assert on_workers(body, 1).lost == 0


def test_the_sender_hands_over_its_own_memory_and_keeps_it_until_it_was_taken() -> None:
    """One copy less on the way out; one read into the payload's own block on the way in."""
    payload = ac.Payload(os.urandom(100_000))
    packed = Codec().pack(Parcel("p", payload))
    (buffer,) = packed.buffers
    assert buffer.obj is payload, "a view of the very bytes"
    pieces = frame(1, packed.body, packed.buffers)
    assert pieces[1].obj is payload
    reader = FrameReader()
    (found,) = reader.feed(b"".join(pieces))
    (block,) = found.buffers
    assert type(block) is _native.Block
    before = payload_bytes()
    got = Codec().unpack(packed.type, found.body, packed.fields, found.buffers)
    assert same(got.data, payload) and payload_bytes() == before, "taken over, not copied"
    with pytest.raises(ac.ActiniumError, match="sealed"):
        memoryview(block)
    del found, block, reader
    assert same(got.data, payload)
    del got
    assert payload_bytes() < before


def test_memory_is_given_back_on_both_sides() -> None:
    async def body(system: ac.System) -> None:
        store = system.spawn(Store)
        here, there = payload_bytes(), await store.ask("see")
        payload = ac.Payload(bytes(BIG))
        await store.ask(Parcel("p", payload), 20)
        del payload
        assert await store.ask("see") - there >= BIG

        async def free() -> bool:
            return payload_bytes() <= here

        await until(free)  # with the next pulse
        assert await store.ask("drop") == there

    on_workers(body, ac.Workers(1, heartbeat=0.05))


def test_a_payload_survives_cuts_and_a_dead_receiver_gives_it_back() -> None:
    async def body(system: ac.System) -> None:
        store = system.spawn(Store, place=1)
        payload = ac.Payload(os.urandom(BIG))
        node: Any = system._workers._node  # type: ignore[union-attr]
        asking = asyncio.ensure_future(store.ask(payload, 20))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        node.links[1].connection.transport.abort()  # in the middle of it
        assert same(await asking, payload)
        pid = system.workers()[0].pid
        os.kill(pid, signal.SIGSTOP)
        store.tell(payload)
        await asyncio.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        held = payload_bytes()
        del payload

        async def free() -> bool:
            return payload_bytes() <= held - BIG

        await until(free)

    on_workers(body, 1)


def test_what_a_hostile_frame_says_of_its_buffers_is_checked() -> None:
    payload = ac.Payload(os.urandom(20_000))
    codec = Codec()
    packed = codec.pack((payload, payload))
    assert packed.fields == (0, 1)
    (found,) = FrameReader().feed(b"".join(frame(1, packed.body, packed.buffers[:1])))
    with pytest.raises(DecodeError, match="names buffer 1, but has 1"):
        codec.unpack(packed.type, found.body, (0,), found.buffers)
    twice = msgspec.msgpack.encode([TUPLE, [[BUFFER, [3, 0]], [BUFFER, [3, 0]]]])
    (found,) = FrameReader().feed(b"".join(frame(1, twice, packed.buffers[:1])))
    with pytest.raises(DecodeError, match="sealed"):
        codec.unpack("", found.body, (0,), found.buffers)
    with pytest.raises(MessageTooLarge, match="Send them in parts"):
        codec.pack((memoryview(bytes(1 << 20)),) * 1020)


def test_a_frame_with_payloads_cut_at_many_bytes() -> None:
    async def main() -> None:
        blob = os.urandom(20_000)
        for at in (0, 1, 19, 20, 23, 24, 30, 40, 300, 19_999, 20_010, 20_050):
            pair = Pair()
            a, b = pair.ends
            a.post(1, blob)
            a.link.flush()
            pair.let(0, at)
            pair.cut()
            pair.join()
            pair.settle()
            assert [(to, buffers) for to, _, buffers in b.took] == [(1, [blob])]

    asyncio.run(main())


def test_get_is_still_simple() -> None:
    codec = Codec()
    codec.pack(Get())
    assert codec.is_simple(Get) and not codec.is_simple(Parcel)
