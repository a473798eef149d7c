"""What goes past an empty mailbox keeps every promise of what waits in one."""

from __future__ import annotations

import array
import asyncio
import struct
from typing import Any

import pytest
from ledger import BACKENDS, Add, Divide, InOrder, Read, Spin, on_device, reasons

import actinium as ac
from actinium import gpu
from actinium.errors import AskTimeout, HandlerError, LayoutError, UsageError

on_each = pytest.mark.parametrize("backend", BACKENDS)


@on_each
def test_rg_2_all_ways_of_one_sender_share_one_order(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        ref, n = refs[0], 0
        await ref.ask(Read())
        for _ in range(30):
            ref.tell(InOrder(n := n + 1))
            assert ref.tell_many([InOrder(n + 1), InOrder(n + 2)]) == 2
            assert ref.ask_sync(InOrder(n + 3)) is None
            packed = array.array("q", range(n + 4, n + 24))
            assert ref.tell_many(packed, InOrder) == 20
            assert await ref.ask(InOrder(n + 24)) is None
            n += 24
            assert ref.ask_sync(Read(3)) == n
        assert ref.ask_sync(Read(2)) == 0

    on_device(backend, body, inbox=16)


@on_each
def test_packed_messages_are_handled_and_counted(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await refs[0].ask(Read())
        packed = b"".join(struct.pack("<q", n) for n in range(1, 501))
        assert refs[0].tell_many(packed, InOrder) == 500
        await system.idle()
        assert [await refs[0].ask(Read(which)) for which in (2, 3)] == [0, 500]

    report = on_device(backend, body)
    assert report.handled == 503 and report.dead_lettered == 0


@on_each
def test_packed_messages_wait_for_room_for_so_long(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await refs[0].ask(Read())
        assert refs[0].tell_many(array.array("q", range(1, 501)), InOrder, wait=5.0) == 500
        assert await refs[0].ask(Read(3)) == 500
        assert await refs[0].ask(Read(2)) == 0

    on_device(backend, body, inbox=16)


@on_each
def test_what_finds_no_room_follows_the_mailboxs_policy(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await refs[0].ask(Read())
        taken = refs[0].tell_many(array.array("q", range(1, 2001)), InOrder)
        await system.idle()
        assert 8 <= taken < 2000
        assert reasons(system) == {"mailbox_full": 2000 - taken}
        assert await refs[0].ask(Read(3)) == taken
        assert await refs[0].ask(Read(2)) == 0

    on_device(backend, body, inbox=16, mailbox=ac.Mailbox(capacity=8))


@on_each
def test_a_buffer_of_other_items_is_refused(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        with pytest.raises(UsageError, match=r"InOrder messages have 8 bytes each.*items of 4"):
            refs[0].tell_many(array.array("i", [1, 2]), InOrder)
        with pytest.raises(UsageError, match="got 9 bytes"):
            refs[0].tell_many(bytes(9), InOrder)
        with pytest.raises(UsageError, match="needs of="):
            refs[0].tell_many(bytes(8))
        with pytest.raises(UsageError, match="a buffer of packed records, got list"):
            refs[0].tell_many([InOrder(1)], InOrder)
        with pytest.raises(UsageError, match=r"made with @gpu.message"):
            refs[0].tell_many(bytes(8), int)
        assert await refs[0].ask(Read(3)) == 0

    on_device(backend, body)


@on_each
@pytest.mark.parametrize("packed", [False, True])
def test_sv_5_a_fault_in_the_middle_of_many_loses_none(backend: str, packed: bool) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        ref = refs[0]
        await ref.ask(Read())
        amounts = [1] * 100 + [-1] + [1] * 100
        told: Any = array.array("q", amounts) if packed else [Add(n) for n in amounts]
        assert ref.tell_many(told, *([Add] if packed else [])) == 201
        await system.idle()
        assert await ref.ask(Read(1)) == 100  # a fresh state; those behind the fault came again
        assert reasons(system) == {"handler_failed": 1}

    on_device(backend, body)


@on_each
def test_a_value_that_does_not_fit_leaves_the_others_alone(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await refs[0].ask(Read())
        with pytest.raises(LayoutError, match=r"Add.amount is i64"):
            refs[0].ask_sync(Add(2**63))
        refs[0].tell_many([Add(1), Add(2**63), Add(2)])
        assert refs[0].ask_sync(Read()) == 103
        assert reasons(system) == {"not_accepted": 2}

    on_device(backend, body)


@on_each
def test_a_handler_that_stops_is_the_error_of_ask_sync(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await refs[0].ask(Add(5))
        with pytest.raises(HandlerError, match="divide at"):
            refs[0].ask_sync(Divide(0))
        assert await refs[0].ask(Read()) == 100
        assert refs[0].ask_sync(Add(1)) == 101
        assert rt.launches()[0].faults == 1

    on_device(backend, body)


@on_each
def test_ask_sync_behind_a_fault_is_answered_by_the_fresh_state(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await refs[0].ask(Add(5))
        refs[0].tell_many([Add(1), Add(-1), Add(2)])
        answered = await asyncio.to_thread(refs[0].ask_sync, Read())
        assert answered == 102
        assert reasons(system) == {"handler_failed": 1}

    on_device(backend, body)


@on_each
def test_an_ask_sync_that_is_not_answered_in_time_ends(backend: str) -> None:
    asked = 0

    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        nonlocal asked
        await refs[0].ask(Read())

        def ask() -> None:  # this thread may be kept from looking until the answer is there
            nonlocal asked
            for _ in range(50):
                asked += 1
                refs[0].ask_sync(Spin(3_000 if backend == "oracle" else 3_000_000), 1e-4)

        with pytest.raises(AskTimeout, match=r"did not answer in 0\.0001 s"):
            ask()
        await system.idle()
        assert refs[0].ask_sync(Add(1)) == 101

    report = on_device(backend, body)
    assert report.handled == 2 + asked


@on_each
def test_ask_sync_of_one_hands_on_what_comes_for_others(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await asyncio.gather(*(ref.ask(Read()) for ref in refs))
        asks = [asyncio.ensure_future(_ask(refs[1], Add(1))) for _ in range(20)]
        await asyncio.sleep(0)
        assert refs[0].ask_sync(Add(1)) == 101
        assert sorted(await asyncio.gather(*asks)) == list(range(101, 121))

    on_device(backend, body, instances=2, blocks=1)


async def _ask(ref: Any, message: Any) -> Any:
    return await ref.ask(message)


@on_each
def test_many_from_a_handler_keep_their_order(backend: str) -> None:
    class Front(ac.Actor):
        def __init__(self, ledger: Any) -> None:
            self.ledger = ledger

        @ac.on
        async def go(self, n: int) -> int:
            self.ledger.tell_many(array.array("q", range(1, n + 1)), InOrder)
            self.ledger.tell(InOrder(n + 1))
            assert await self.ledger.ask(Read(2)) == 0
            last: int = await self.ledger.ask(Read(3))
            return last

    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await refs[0].ask(Read())
        assert await system.spawn(Front, refs[0]).ask(300) == 301

    on_device(backend, body)
