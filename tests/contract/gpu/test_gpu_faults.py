"""What every executor does when handlers stop: supervision as for any actor, nothing lost."""

from __future__ import annotations

import asyncio
import linecache
from typing import Any

import pytest
from ledger import BACKENDS, Add, Divide, InOrder, Ledger, Read, Spin, on_device, reasons, until

import actinium as ac
from actinium import gpu
from actinium.core.events.kinds import ActorFailedEvent, ActorRestartedEvent
from actinium.errors import ActorStopped, DeviceFault, HandlerError, Overloaded

on_each = pytest.mark.parametrize("backend", BACKENDS)


@on_each
@pytest.mark.parametrize(
    ("message", "fault", "text"),
    [
        (Add(-1), "assert", "assert m.amount != -1"),
        (Divide(0), "divide", "return self.total // m.by"),
        (Spin(5000), "budget", "while n < m.rounds:"),
    ],
)
def test_a_fault_names_its_line_and_the_message(
    backend: str, message: Any, fault: str, text: str
) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        with pytest.raises(HandlerError) as caught:
            await refs[0].ask(message)
        cause = caught.value.__cause__
        assert isinstance(cause, DeviceFault) and cause.fault == fault
        assert linecache.getline(cause.file, cause.line).strip() == text
        assert "handled" in cause.__notes__[0] and repr(message) in cause.__notes__[0]
        assert await refs[0].ask(Read()) == 100

    on_device(backend, body, max_steps=1000)


@on_each
def test_gp_4_an_endless_loop_ends_by_its_budget(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        assert await refs[0].ask(Spin(1000)) == 1000
        with pytest.raises(HandlerError, match="budget"):
            await refs[0].ask(Spin(2**62))
        assert await refs[0].ask(Read(1)) == 0

    on_device(backend, body, max_steps=1000)


@on_each
def test_a_restart_gives_a_fresh_state_and_the_same_ref(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        assert await refs[0].ask(Add(5)) == 105
        with pytest.raises(HandlerError):
            await refs[0].ask(Add(-1))
        assert await refs[0].ask(Read()) == 100
        assert refs[0].incarnation == 1 and refs[0].alive
        assert system.statistics()["restarts"] == 1

    on_device(backend, body)


@on_each
def test_resume_keeps_the_state(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        asks = [refs[0].ask(m) for m in (Add(5), Add(-1), Add(1), Add(1))]
        found = await asyncio.gather(*asks, return_exceptions=True)
        assert found[0] == 105 and found[2:] == [106, 107]
        assert isinstance(found[1], HandlerError)
        assert refs[0].incarnation == 0 and refs[0].life_state == "active"

    on_device(backend, body, supervise=ac.OneForOne(decide={DeviceFault: "resume"}))


@on_each
def test_messages_behind_a_failed_one_are_handled_in_order_after_the_restart(
    backend: str,
) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        asks = [refs[0].ask(Add(n)) for n in (1, 2, -1, 3, 4, 5)]
        found = await asyncio.gather(*asks, return_exceptions=True)
        assert found[:2] == [101, 103] and found[3:] == [103, 107, 112]
        assert reasons(system) == {"handler_failed": 1}

    on_device(backend, body)


@on_each
@pytest.mark.parametrize("inbox", [16, 256])
def test_tells_behind_a_failed_one_keep_their_order(backend: str, inbox: int) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        refs[0].tell(Add(-1))
        for n in range(1, 301):
            refs[0].tell(InOrder(n))
        assert await refs[0].ask(Read(3)) == 300
        assert await refs[0].ask(Read(2)) == 0
        assert reasons(system) == {"handler_failed": 1}
        (letter,) = system.dead_letters
        assert letter.message == Add(-1)

    on_device(backend, body, inbox=inbox)


@on_each
def test_stop_ends_the_actor_and_the_rest_are_dead_letters(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        asks = [refs[0].ask(Add(n)) for n in (1, -1, 2, 3)]
        found = await asyncio.gather(*asks, return_exceptions=True)
        assert found[0] == 101 and isinstance(found[1], HandlerError)
        assert all(isinstance(error, ActorStopped) for error in found[2:])
        assert (await refs[0].stopped()).startswith("failed: DeviceFault: assert at")
        assert reasons(system) == {"handler_failed": 1, "actor_stopped": 2}
        assert rt.launches()[0].actors == 0
        with pytest.raises(ActorStopped):
            await refs[0].ask(Add(1))

    on_device(backend, body, supervise=ac.OneForOne(decide={DeviceFault: "stop"}))


@on_each
def test_sv_3_a_restart_storm_is_bounded_and_loses_nothing(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        asks = [refs[0].ask(Add(-1)) for _ in range(20)]
        found = await asyncio.gather(*asks, return_exceptions=True)
        failed = [e for e in found if isinstance(e, HandlerError)]
        assert len(failed) == 4  # 3 restarts, and the one too many
        assert all(isinstance(e, ActorStopped) for e in found if e not in failed)
        assert (await refs[0].stopped()).startswith("failed: DeviceFault")
        assert await refs[1].ask(Read()) == 100

    strategy = ac.OneForOne(max_restarts=3, within=60, backoff=(0, 0), on_limit="stop")
    on_device(backend, body, instances=2, blocks=1, supervise=strategy)


@on_each
def test_quarantine_takes_it_out_of_service_and_a_probe_brings_it_back(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        with pytest.raises(HandlerError):
            await refs[0].ask(Add(-1))
        assert refs[0].life_state == "quarantined"
        assert refs[0].tell(Add(1)).code == "quarantined"
        await until(lambda: refs[0].tell(Add(1)).ok)
        await system.idle()
        assert await refs[0].ask(Read()) == 101
        assert refs[0].life_state == "active"

    strategy = ac.OneForOne(
        decide={DeviceFault: "quarantine"}, cool_down=ac.CoolDown(first=0.02, longest=0.02)
    )
    on_device(backend, body, supervise=strategy)


@on_each
def test_an_operator_may_quarantine_and_release_it(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await refs[0].ask(Add(1))
        system.quarantine(refs[0])
        assert refs[0].tell(Add(1)).code == "quarantined"
        assert system.release(refs[0])
        assert await refs[0].ask(Add(1)) == 102

    on_device(backend, body)


@on_each
def test_escalation_restarts_the_launch_and_keeps_its_actors(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        assert await refs[1].ask(Add(7)) == 107
        with pytest.raises(HandlerError):
            await refs[0].ask(Add(-1))
        assert await refs[0].ask(Read()) == 100
        assert await refs[1].ask(Read()) == 107
        assert rt.launches()[0].state == "running" and rt.launches()[0].starts == 1

    strategy = ac.OneForOne(decide={DeviceFault: "escalate"})
    on_device(backend, body, instances=2, supervise=strategy)


@on_each
def test_a_group_restarts_together(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await asyncio.gather(*(ref.ask(Add(5)) for ref in refs))
        with pytest.raises(HandlerError):
            await refs[1].ask(Add(-1))
        assert await asyncio.gather(*(ref.ask(Read()) for ref in refs)) == [100, 100, 100]
        assert [ref.incarnation for ref in refs] == [1, 1, 1]

    on_device(backend, body, instances=3, blocks=2, supervise=ac.AllForOne())


@on_each
def test_a_poisonous_message_is_tried_as_often_as_it_says(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        asks = [refs[0].ask(Add(-1)), refs[0].ask(Add(1))]
        found = await asyncio.gather(*asks, return_exceptions=True)
        assert isinstance(found[0], HandlerError) and found[1] == 101
        assert rt.launches()[0].faults == 3
        refs[0].tell(Add(-1))
        refs[0].tell(Add(1))
        assert await refs[0].ask(Read()) == 101
        assert rt.launches()[0].faults == 6
        assert reasons(system) == {"handler_failed": 2}

    strategy = ac.OneForOne(poison="retry:2", backoff=(0, 0))
    on_device(backend, body, supervise=strategy)


@on_each
def test_a_fault_of_one_actor_leaves_the_others_of_its_block_alone(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        for n in range(1, 101):
            for ref in refs:
                ref.tell(InOrder(n))
            if n % 25 == 0:
                refs[1].tell(Add(-1))
        assert await refs[1].ask(Read(3)) == 0
        assert [await ref.ask(Read(3)) for ref in (refs[0], refs[2])] == [100, 100]
        assert [await ref.ask(Read(2)) for ref in (refs[0], refs[2])] == [0, 0]
        assert refs[1].incarnation == 4 and refs[0].incarnation == 0

    strategy = ac.OneForOne(backoff=(0, 0))
    on_device(backend, body, instances=3, blocks=1, inbox=16, supervise=strategy)


@on_each
def test_watchers_hear_of_restarts_and_of_the_end(backend: str) -> None:
    heard: list[str] = []

    class Watcher(ac.Actor):
        def __init__(self, target: Any) -> None:
            self.target = target

        def started(self) -> None:
            self.ctx.watch(self.target, restarts=True)

        @ac.on
        def restarted_one(self, notice: ac.Restarted) -> None:
            heard.append(f"{notice.ref.path} {notice.incarnation}")

        @ac.on
        def terminated(self, notice: ac.Terminated) -> None:
            assert notice.ref == self.target
            heard.append(notice.reason)

    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        system.spawn(Watcher, refs[0])
        await system.idle()
        with pytest.raises(HandlerError):
            await refs[0].ask(Add(-1))
        await refs[0].ask(Read())
        refs[0].stop()
        await refs[0].stopped()
        await system.idle()
        assert heard == ["/user/Ledger-1/0 1", "stopped"]

    on_device(backend, body)


@on_each
def test_a_linked_actor_falls_with_it(backend: str) -> None:
    class Twin(ac.Actor):
        def __init__(self, other: Any) -> None:
            self.other = other

        def started(self) -> None:
            self.ctx.link(self.other)

    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        twin = system.spawn(Twin, refs[0])
        await system.idle()
        refs[0].kill()
        assert "killed" in await twin.stopped()

    on_device(backend, body)


@on_each
def test_it_falls_with_a_linked_actor(backend: str) -> None:
    class Twin(ac.Actor):
        def __init__(self, other: Any) -> None:
            self.other = other

        def started(self) -> None:
            self.ctx.link(self.other)

    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        twin = system.spawn(Twin, refs[0])
        await system.idle()
        twin.kill()
        assert "LinkedExit" in await refs[0].stopped()
        assert rt.launches()[0].actors == 0

    on_device(backend, body)


@on_each
def test_kill_ends_it_and_what_the_ring_held_comes_back(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await refs[0].ask(Read())
        asks = [refs[0].ask(Add(1)) for _ in range(200)]
        await asyncio.sleep(0)
        refs[0].kill()
        assert await refs[0].stopped() == "killed"
        found = await asyncio.gather(*asks, return_exceptions=True)
        answered = [value for value in found if isinstance(value, int)]
        assert answered == list(range(101, 101 + len(answered)))
        assert all(isinstance(e, ActorStopped) for e in found[len(answered) :])
        assert rt.launches()[0].actors == 0

    on_device(backend, body, inbox=256)


@on_each
def test_stop_lets_what_the_device_has_end_first(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        asks = [refs[0].ask(Add(1)) for _ in range(5)]
        await asyncio.sleep(0)
        refs[0].stop(drain=True)
        assert await refs[0].stopped() == "stopped"
        assert await asyncio.gather(*asks) == [101, 102, 103, 104, 105]
        assert not refs[0].tell(Add(1)).ok

    on_device(backend, body)


@on_each
def test_sv_2_a_place_has_many_actors_one_after_another(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        ref = refs[0]
        for _ in range(20):
            assert await ref.ask(Add(1)) == 101
            ref.stop()
            await ref.stopped()
            ref = await rt.spawn(Ledger)
        assert await ref.ask(Read()) == 100

    on_device(backend, body)


@on_each
def test_spawn_takes_a_free_place_or_says_that_there_is_none(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        third = await rt.spawn(Ledger, name="third")
        assert third.path.endswith("/third") and await third.ask(Add(1)) == 101
        with pytest.raises(Overloaded, match="3 places and all are taken"):
            await rt.spawn(Ledger)
        third.stop()
        await third.stopped()
        again = await rt.spawn(Ledger, name="third")
        assert again != third and await again.ask(Read()) == 100

    on_device(backend, body, instances=2, max_actors=3, blocks=1)


@on_each
def test_sv_4_a_device_tells_the_same_story_as_an_actor_of_this_process(backend: str) -> None:
    """Watchers' notices, dead letters, events and answers for one script of faults."""

    class Same(ac.Actor):
        def __init__(self) -> None:
            self.total = 100

        @ac.on
        def add(self, m: Add) -> int:
            assert m.amount != -1
            self.total += m.amount
            return self.total

        @ac.on
        def divide(self, m: Divide) -> int:
            return self.total // m.by

        @ac.on
        def read(self, m: Read) -> int:
            return self.total

    story: list[list[str]] = []

    async def tell(system: ac.System, ref: Any) -> None:
        lines: list[str] = []

        class Scribe(ac.Actor):
            def started(self) -> None:
                self.ctx.watch(ref, restarts=True)

            @ac.on
            def again(self, notice: ac.Restarted) -> None:
                lines.append(f"restarted {notice.incarnation}")

            @ac.on
            def ended(self, notice: ac.Terminated) -> None:
                lines.append(f"terminated {notice.reason.split(':')[0]}")

        def failed(event: Any) -> None:
            if event.ref == ref:
                lines.append(f"event failed {event.directive}")

        def restarted(event: Any) -> None:
            if event.ref == ref:
                lines.append("event restarted")

        watch = [
            system.events.subscribe(ActorFailedEvent, failed),
            system.events.subscribe(ActorRestartedEvent, restarted),
        ]
        system.spawn(Scribe)
        await system.idle()
        before = len(list(system.dead_letters))
        script = [Add(1), Add(-1), Add(2), Divide(0), Read(), Add(-1), Add(3), Add(-1), Add(4)]
        found = await asyncio.gather(*map(ref.ask, script), return_exceptions=True)
        lines.extend(str(v) if isinstance(v, int) else type(v).__name__ for v in found)
        await system.idle()
        letters = list(system.dead_letters)[before:]
        lines.extend(f"{letter.reason} {letter.message}" for letter in letters)
        assert watch
        story.append(lines)

    strategy = ac.OneForOne(max_restarts=3, within=60, backoff=(0, 0), on_limit="stop")

    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await tell(system, refs[0])
        await tell(system, system.spawn(Same, supervise=strategy))
        assert sorted(story[0]) == sorted(story[1])
        told = [[x for x in lines if not x.startswith("event")] for lines in story]
        assert told[0] == told[1]

    on_device(backend, body, supervise=strategy)


@on_each
def test_sv_5_faults_under_load_lose_nothing(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        asks = []
        for i in range(600):
            ref = refs[i % 3]
            if i % 97 == 0:
                ref.tell(Divide(0))
            elif i % 3 == 0:
                ref.tell(Add(1))
            else:
                asks.append(ref.ask(Add(-1 if i % 50 == 7 else 1)))
        found = await asyncio.gather(*asks, return_exceptions=True)
        failed = [e for e in found if isinstance(e, BaseException)]
        assert failed and all(isinstance(e, HandlerError) for e in failed)
        assert all(ref.alive for ref in refs)

    strategy = ac.OneForOne(max_restarts=None, backoff=(0, 0))
    on_device(backend, body, instances=3, blocks=2, inbox=16, supervise=strategy)


@on_each
def test_a_failing_actor_that_drains_ends_in_order(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        asks = [refs[0].ask(Add(n)) for n in (1, -1, 2)]
        refs[0].stop(drain=True)
        found = await asyncio.gather(*asks, return_exceptions=True)
        assert found[0] == 101 and isinstance(found[1], HandlerError) and found[2] == 102
        assert await refs[0].stopped() == "stopped"

    on_device(backend, body)
