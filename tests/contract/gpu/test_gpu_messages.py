"""What every executor does with messages: asks, tells, order, bounds, deadlines."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from ledger import (
    BACKENDS,
    Add,
    Foreign,
    InOrder,
    Ledger,
    Read,
    Spin,
    Sum,
    Wide,
    on_device,
    reasons,
    until,
)

import actinium as ac
from actinium import gpu
from actinium.errors import AskTimeout, LayoutError, MailboxFull, Unhandled, UsageError

on_each = pytest.mark.parametrize("backend", BACKENDS)
WIDE = tuple(float(i) for i in range(32))


@on_each
def test_an_ask_is_answered_with_what_the_handler_returns(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        assert rt.backend == backend
        assert await refs[0].ask(Add(5)) == 105
        assert await refs[0].ask(Read()) == 105

    on_device(backend, body)


@on_each
def test_an_ask_of_a_handler_without_a_value_is_answered_with_none(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        assert await refs[0].ask(InOrder(1)) is None

    on_device(backend, body)


@on_each
def test_records_go_both_ways(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        assert await refs[0].ask(Wide(7, WIDE)) == Sum(496.0, 7, False)
        assert await refs[0].ask(Wide(8, tuple(-x for x in WIDE))) == Sum(-496.0, 8, True)

    on_device(backend, body)


@on_each
def test_rg_2_tells_of_one_sender_are_handled_in_order(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        for n in range(1, 1001):
            assert refs[0].tell(InOrder(n)).ok
        assert await refs[0].ask(Read(3)) == 1000
        assert await refs[0].ask(Read(2)) == 0

    on_device(backend, body)


@on_each
def test_tells_and_asks_share_one_order(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        asks = []
        for _ in range(1, 200):
            refs[0].tell(Add(1))
            asks.append(refs[0].ask(Read()))
        assert await asyncio.gather(*asks) == [100 + n for n in range(1, 200)]

    on_device(backend, body)


@on_each
def test_many_asks_under_way_are_each_answered(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        answers = await asyncio.gather(*(refs[0].ask(Add(1)) for _ in range(900)))
        assert answers == list(range(101, 1001))

    on_device(backend, body)


@on_each
def test_tell_many_goes_over_in_one_call(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        assert refs[0].tell_many(InOrder(n) for n in range(1, 501)) == 500
        await system.idle()
        assert await refs[0].ask(Read(3)) == 500
        assert await refs[0].ask(Read(2)) == 0

    on_device(backend, body)


@on_each
def test_tell_many_of_wide_messages(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        assert refs[0].tell_many([Wide(n, WIDE) for n in range(200)]) == 200
        assert await refs[0].ask(Wide(9, WIDE)) == Sum(496.0, 9, False)

    on_device(backend, body, inbox=16)


@on_each
@pytest.mark.parametrize("inbox", [16, 32, 1024])
def test_rg_3_more_messages_than_the_ring_holds_wait_in_the_mailbox(
    backend: str, inbox: int
) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        for n in range(1, 901):
            refs[0].tell(InOrder(n))
        assert await refs[0].ask(Read(2)) == 0
        assert await refs[0].ask(Read(3)) == 900

    on_device(backend, body, inbox=inbox)


@on_each
def test_a_full_mailbox_refuses_and_nothing_is_lost(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        puts = [refs[0].tell(InOrder(n)) for n in range(1, 301)]
        taken = sum(put.ok for put in puts)
        assert taken == 8 and puts[-1].code == "rejected"
        await system.idle()
        assert await refs[0].ask(Read(3)) == taken
        assert reasons(system) == {"mailbox_full": 300 - taken}

    on_device(backend, body, inbox=16, mailbox=ac.Mailbox(capacity=8))


@on_each
def test_an_ask_of_a_full_actor_says_so(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        asks = [refs[0].ask(Add(1)) for _ in range(6)]
        found = await asyncio.gather(*asks, return_exceptions=True)
        assert found[:4] == [101, 102, 103, 104]
        assert all(isinstance(error, MailboxFull) for error in found[4:])

    on_device(backend, body, mailbox=ac.Mailbox(capacity=4))


@on_each
def test_send_waits_for_room(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        for n in range(1, 201):
            assert (await refs[0].send(InOrder(n))).ok
        await system.idle()
        assert await refs[0].ask(Read(2)) == 0
        assert await refs[0].ask(Read(3)) == 200
        assert reasons(system) == {}

    on_device(backend, body, inbox=16, mailbox=ac.Mailbox(capacity=4))


@on_each
def test_drop_old_lets_the_oldest_go(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        for n in range(1, 101):
            assert refs[0].tell(InOrder(n)).ok
        assert await refs[0].ask(Read(3)) == 100
        assert reasons(system)["mailbox_full"] > 0

    on_device(backend, body, mailbox=ac.Mailbox(capacity=8, on_full="drop_old"))


@on_each
def test_a_message_that_no_handler_takes_is_refused_by_name(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        with pytest.raises(Unhandled, match="Ledger cannot take a Foreign: it handles Add"):
            await refs[0].ask(Foreign(1))
        refs[0].tell(Foreign(2))
        refs[0].tell("text")
        assert await refs[0].ask(Add(1)) == 101
        assert reasons(system) == {"unhandled": 3}

    on_device(backend, body)


@on_each
def test_a_value_that_does_not_fit_its_field_is_refused_before_it_leaves(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await refs[0].ask(Add(4))
        with pytest.raises(LayoutError, match=r"Add.amount is i64"):
            await refs[0].ask(Add(2**63))
        refs[0].tell(Add(-(2**70)))
        assert await refs[0].ask(Add(1)) == 105
        assert reasons(system) == {"not_accepted": 2}

    on_device(backend, body)


@on_each
def test_what_waits_too_long_expires_before_it_is_handled(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        refs[0].tell(Add(1), deadline=1e-9)
        await asyncio.sleep(0)
        assert await refs[0].ask(Read()) == 100
        assert reasons(system) == {"expired": 1}

    on_device(backend, body)


@on_each
def test_an_ask_that_is_not_answered_in_time_ends(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        with pytest.raises(AskTimeout):
            await refs[0].ask(Spin(300_000), 1e-4)
        assert await refs[0].ask(Add(1)) == 101

    on_device(backend, body)


@on_each
def test_messages_carry_clock_and_deadline_where_that_is_asked_for(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        assert await refs[0].ask(Add(5)) == 105
        assert await refs[0].ask(Wide(7, WIDE)) == Sum(496.0, 7, False)
        for n in range(1, 101):
            refs[0].tell(InOrder(n), deadline=60)
        assert await refs[0].ask(Read(3)) == 100

    on_device(backend, body, stamped=True)


@on_each
def test_actors_of_one_launch_have_each_their_state(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        assert len(set(refs)) == 5
        for i, ref in enumerate(refs):
            ref.tell(Add(i))
        assert await asyncio.gather(*(ref.ask(Read()) for ref in refs)) == [
            100, 101, 102, 103, 104,
        ]  # fmt: skip

    on_device(backend, body, instances=5, blocks=2)


@on_each
@pytest.mark.parametrize("blocks", [1, 3])
def test_actors_share_the_rings_of_their_blocks(backend: str, blocks: int) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        (info,) = rt.launches()
        assert info.blocks == blocks and info.actors == 6
        for n in range(1, 101):
            for ref in refs:
                ref.tell(InOrder(n))
        assert await asyncio.gather(*(ref.ask(Read(3)) for ref in refs)) == [100] * 6
        assert await asyncio.gather(*(ref.ask(Read(2)) for ref in refs)) == [0] * 6

    on_device(backend, body, instances=6, blocks=blocks, inbox=16)


@on_each
def test_ask_sync_answers_on_the_loops_own_thread(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await refs[0].ask(Add(0))
        assert [refs[0].ask_sync(Add(1)) for _ in range(50)] == list(range(101, 151))
        refs[0].tell(Add(1))
        assert refs[0].ask_sync(Read()) == 151
        with pytest.raises(Unhandled):
            refs[0].ask_sync(Foreign(1))

    on_device(backend, body)


@on_each
def test_ask_sync_answers_other_threads(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        found: list[int] = []

        def ask() -> None:
            found.extend(refs[0].ask_sync(Add(1)) for _ in range(20))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        await until(lambda: not any(thread.is_alive() for thread in threads))
        assert sorted(found) == list(range(101, 161))

    on_device(backend, body)


@on_each
def test_tells_from_other_threads_arrive(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        def tell() -> None:
            for _ in range(100):
                refs[0].tell(Add(1))

        await asyncio.gather(*(asyncio.to_thread(tell) for _ in range(4)))
        await system.idle()
        assert await refs[0].ask(Read()) == 500

    on_device(backend, body)


@on_each
def test_actors_of_the_cpu_ask_and_tell(backend: str) -> None:
    class Front(ac.Actor):
        def __init__(self, ledger: Any) -> None:
            self.ledger = ledger

        @ac.on
        async def double(self, n: int) -> int:
            self.ledger.tell(Add(n))
            total: int = await self.ledger.ask(Read())
            return total * 2

        @ac.on
        def hold(self, text: str) -> None:
            with pytest.raises(UsageError, match="would block"):
                self.ledger.ask_sync(Read())

    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        front = system.spawn(Front, refs[0])
        assert await front.ask(5) == 210
        await front.ask("")

    on_device(backend, body)


@on_each
def test_timers_send_to_a_device(backend: str) -> None:
    class Clock(ac.Actor):
        def __init__(self, ledger: Any) -> None:
            self.ledger = ledger

        def started(self) -> None:
            self.ctx.schedule(0.001, Add(1), every=0.001, to=self.ledger)

    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        clock = system.spawn(Clock, refs[0])
        await until(lambda: rt.launches()[0].handled >= 3)
        assert await refs[0].ask(Read()) >= 103
        clock.stop()
        await clock.stopped()

    on_device(backend, body)


@on_each
def test_idle_waits_for_the_device(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        for _ in range(40):
            refs[0].tell(Add(1))
        await system.idle()
        assert await refs[0].ask(Read(1)) == 40
        # The device says lazily what it has counted.
        await until(lambda: rt.launches()[0].handled == 41 and rt.launches()[0].queued == 0)

    on_device(backend, body)


@on_each
def test_the_refs_contract(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        ref = refs[0]
        assert isinstance(ref, ac.Ref) and isinstance(ref, gpu.GpuRef) and ref.alive
        assert ref.path == "/user/books/0" and system.lookup("/user/books/0") == ref
        assert ref == ref and hash(ref) == hash(ref) and {ref: 1}[ref] == 1
        assert ref.tell(Add(1)).ok and ref.try_tell(Add(1)).ok and (await ref.send(Add(1))).ok
        assert await ref.ask(Read()) == 103
        assert repr(ref) == "<GpuRef /user/books/0 Ledger incarnation 0>"
        assert ref.life_state == "active"

    on_device(backend, body, name="books")


@on_each
def test_a_registry_finds_it(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        system.registry.register("gpu/ledger", refs[0])
        found = system.registry.ref("gpu/ledger")
        assert await found.ask(Add(1)) == 101

    on_device(backend, body)


@on_each
def test_sv_5_a_shutdown_under_load_accounts_for_every_message(backend: str) -> None:
    answered: list[int] = []

    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        for ref in refs:
            for _ in range(300):
                ref.tell(Add(1))

        async def ask(ref: Any) -> None:
            answered.append(await ref.ask(Read()))

        asks = [asyncio.ensure_future(ask(ref)) for ref in refs]
        await asyncio.sleep(0)
        await rt.close()
        await asyncio.gather(*asks)

    report = on_device(backend, body, instances=3, inbox=16)
    assert answered == [400, 400, 400]
    assert report.handled == 903 and report.dead_lettered == 0


@on_each
def test_sv_5_a_shutdown_that_drops_accounts_for_every_message(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await refs[0].ask(Read())
        for ref in refs:
            for _ in range(300):
                ref.tell(Add(1))
        await system.shutdown(policy="drop")

    report = on_device(backend, body, instances=2, inbox=16)
    assert report.handled + report.dead_lettered == 601


@on_each
def test_a_runtime_may_launch_several_programs(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        others = await rt.launch(Ledger, instances=2)
        assert await others[0].ask(Add(1)) == 101 and await refs[0].ask(Add(2)) == 102
        assert [info.name for info in rt.launches()] == ["Ledger-1", "Ledger-2"]

    on_device(backend, body)


@on_each
def test_the_deadline_of_a_tell_reaches_the_ring(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        refs[0].tell(Add(1), deadline=30)
        assert await refs[0].ask(Read()) == 101
        await system.idle()

    on_device(backend, body)
