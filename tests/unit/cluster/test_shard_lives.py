"""``System(shards=N)``: lives and ends of actors over threads, and what is the whole system's.

They run where there is no GIL (scripts/free_threaded.sh).
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from shard_actors import (
    ROOMY,
    Ask,
    Blocker,
    Count,
    Fail,
    Flood,
    Numbered,
    Read,
    Wait,
    Watcher,
    Where,
    Worker,
    free_threaded,
    run,
)

import actinium as ac
from actinium import errors
from actinium.cluster import shards as shards_module

ESCALATE = ac.OneForOne(decide={ValueError: "escalate"})

# -- life


@free_threaded
def test_wd_1_a_watcher_hears_once_and_after_all_messages() -> None:
    class Talker(ac.Actor):
        @ac.on
        def talk(self, msg: ac.LocalRef[Any]) -> None:
            for i in range(100):
                msg.tell(Numbered(0, i))
            self.ctx.stop()

    async def main() -> None:
        async with ac.System(shards=2) as system:
            talker = system.spawn(Talker, place=2)
            watcher = system.spawn(Watcher, place=1)
            watcher.tell(talker)
            await watcher.ask(Read())
            talker.tell(watcher)
            assert await talker.stopped() == "stopped"
            await system.idle()
            assert await watcher.ask(Read()) == [*map(str, range(100)), "stopped"]

    run(main())


@free_threaded
def test_a_watch_of_the_dead_is_answered_and_one_taken_back_is_not() -> None:
    class Fickle(Watcher):
        @ac.on
        def leave(self, msg: tuple) -> None:  # type: ignore[type-arg]
            self.ctx.unwatch(msg[0])

    async def main() -> None:
        async with ac.System(shards=2) as system:
            dead = system.spawn(Worker, place=2)
            dead.kill()
            assert await dead.stopped() == "killed"
            fickle = system.spawn(Fickle, place=1)
            fickle.tell(dead)
            await system.idle()
            assert await fickle.ask(Read()) == ["killed"]
            other = system.spawn(Worker, place=2)
            fickle.tell(other)
            fickle.tell((other,))
            await fickle.ask(Read())
            other.stop()
            await other.stopped()
            await system.idle()
            assert await fickle.ask(Read()) == ["killed"]

    run(main())


@free_threaded
def test_stop_comes_after_the_messages_sent_before_it() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            worker = system.spawn(Worker, place=2, mailbox=ROOMY)
            for i in range(1000):
                worker.tell(Numbered(0, i))
            worker.stop(drain=True)
            await worker.stopped()
            assert system.statistics()["handled"] >= 1000
            worker.tell(Numbered(0, 1000))
            await system.idle()
            assert len(system.dead_letters.find(reason="actor_stopped")) == 1

    run(main())


@free_threaded
def test_links_do_not_cross_and_say_so() -> None:
    class Linker(ac.Actor):
        @ac.on
        def link(self, msg: ac.LocalRef[Any]) -> None:
            self.ctx.link(msg)

    async def main() -> None:
        async with ac.System(shards=2) as system:
            linker = system.spawn(Linker, place=1)
            with pytest.raises(errors.HandlerError, match=r"another one: use ctx\.watch"):
                await linker.ask(system.spawn(Worker, place=2))

    run(main())


@free_threaded
def test_a_failure_that_reaches_the_root_of_any_shard_ends_the_system() -> None:
    async def main() -> None:
        with pytest.raises(errors.SystemFailed):
            async with ac.System(shards=2) as system:
                worker = system.spawn(Worker, place=2, supervise=ESCALATE)
                worker.tell(Fail())
                report = await system.ended()
                assert "told to" in report.cause
        assert worker.closed_flag

    run(main())


@free_threaded
def test_quarantine_and_release_reach_another_shard() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            worker = system.spawn(Worker, place=2)
            await worker.ask(Where())
            system.quarantine(worker)
            worker.tell(Numbered(0, 0))
            await system.idle()
            assert worker.life_state == "quarantined"
            assert len(system.dead_letters.find(reason="quarantined")) == 1
            assert system.release(worker)
            assert await worker.ask(Where())

    run(main())


@free_threaded
def test_stuck_handlers_are_found_on_every_shard() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            worker = system.spawn(Worker, place=2)
            ask = worker.ask(Wait())
            await system.spawn(Worker, place=2).ask(Where())  # by then the handler waits
            (stuck,) = system.stuck(0.0)
            assert stuck.ref is worker and "event().wait" in stuck.stack.lower()
            ask.cancel()

    run(main())


# -- what belongs to the whole


@free_threaded
def test_events_and_names_are_the_systems_on_every_shard() -> None:
    class Member(ac.Actor):
        def __init__(self) -> None:
            self.heard: list[Any] = []

        @ac.on
        def join(self, msg: str) -> None:
            system = self.ctx.system
            system.registry.register(msg, self.ctx.self_ref)
            system.events.subscribe(Numbered, self.ctx.self_ref)

        @ac.on
        def numbered(self, msg: Numbered) -> None:
            self.heard.append(msg.number)

        @ac.on
        def publish(self, msg: int) -> int:
            return self.ctx.system.events.publish(Numbered(0, msg))

        @ac.on
        def read(self, msg: Read) -> list[int]:
            return self.heard

    async def main() -> None:
        async with (
            ac.System(shards=2) as system,
            system.registry.watch("member/*") as names,
        ):
            members = [system.spawn(Member, place=place) for place in (1, 2)]
            for i, member in enumerate(members):
                await member.ask(f"member/{i}")
            assert {(await anext(names)).entry.name for _ in members} == {
                "member/0", "member/1",
            }  # fmt: skip
            assert system.registry.ref("member/1") is members[1]
            for i, member in enumerate(members):
                assert await member.ask(i) == 2
            await system.idle()
            assert [sorted(await m.ask(Read())) for m in members] == [[0, 1], [0, 1]]
            members[1].stop()
            assert isinstance(await anext(names), ac.NameRemoved)
            assert [e.name for e in system.registry.find("member/*")] == ["member/0"]

    run(main())


@free_threaded
def test_the_lives_of_actors_on_all_shards_are_told() -> None:
    async def main() -> None:
        async with (
            ac.System(shards=2) as system,
            system.events.watch(ac.ActorStoppedEvent) as ends,
        ):
            await system.spawn(Worker, place=2).ask(Where())
            worker = system.spawn(Worker, place=2)
            worker.stop()
            assert (await anext(ends)).ref is worker

    run(main())


@free_threaded
def test_an_entity_has_one_place_whoever_reaches_it() -> None:
    class Session(ac.Actor):
        def __init__(self, key: str) -> None:
            self.count = 0

        @ac.on
        def add(self, msg: int) -> None:
            self.count += msg

        @ac.on
        def read(self, msg: Read) -> tuple[int, int]:
            return self.count, threading.get_ident()

        @ac.on
        async def numbers(self, msg: Count) -> Any:
            for i in range(msg.to):
                yield i

    class User(ac.Actor):
        @ac.on
        async def use(self, msg: int) -> None:
            for i in range(msg):
                self.ctx.system.entity(Session, f"key-{i % 20}").tell(1)

    async def main() -> None:
        async with ac.System(shards=3) as system:
            users = [system.spawn(User, place=place) for place in (1, 2, 3)]
            await asyncio.gather(*(user.ask(200) for user in users))
            await system.idle()
            entities = [system.entity(Session, f"key-{i}") for i in range(20)]
            seen = [await entity.ask(Read()) for entity in entities]
            assert [count for count, _ in seen] == [30] * 20
            assert len({thread for _, thread in seen}) == 3
            assert system.statistics()["entities"] == 20
            for entity in entities[:4]:
                async with entity.stream(Count(50), items=4) as numbers:
                    assert [n async for n in numbers] == list(range(50))
                assert await entity.send(1)

    run(main())


@free_threaded
def test_timers_reach_other_shards_and_die_with_their_actor() -> None:
    class Ticker(ac.Actor):
        @ac.on
        def tick(self, msg: ac.LocalRef[Any]) -> None:
            self.ctx.schedule(0.0, Numbered(0, 1), to=msg)

    async def main() -> None:
        async with ac.System(shards=2) as system:
            worker = system.spawn(Worker, place=2)
            system.spawn(Ticker, place=1).tell(worker)
            while not (await worker.ask(Read()))["handled"]:
                continue

    run(main())


# -- the end


@free_threaded
def test_a_shutdown_drains_every_shard() -> None:
    async def main() -> None:
        async with ac.System(shards=3) as system:
            workers = [system.spawn(Worker, mailbox=ROOMY) for _ in range(6)]
            for i in range(1000):
                for worker in workers:
                    worker.tell(Numbered(0, i))
            report = await system.shutdown()
        assert report.handled == report.accepted == 6000
        assert (report.dead_lettered, report.lost, report.forced) == (0, 0, 0)
        assert not any("actinium" in t.name and t.is_alive() for t in threading.enumerate())

    run(main())


@free_threaded
def test_dl_1_what_was_accepted_is_handled_or_a_dead_letter_when_dropped_under_load() -> None:
    async def main() -> None:
        system = ac.System(shards=3, settings=ac.Settings(dead_letters=100_000))
        async with system:
            workers = [system.spawn(Worker, mailbox=ac.Mailbox(500)) for _ in range(6)]
            floods = [w.ask(Flood(workers[i - 1], i, 3000)) for i, w in enumerate(workers)]
            for worker in workers[::2]:
                worker.tell(Fail())
            report = await system.shutdown(policy="drop")
        assert report.accepted == report.handled + report.dead_lettered + report.withdrawn
        assert report.lost == 0
        assert all(flood.done() for flood in floods)

    run(main())


@free_threaded
def test_nothing_reaches_a_system_that_has_ended() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            worker = system.spawn(Worker, place=2)
            await worker.ask(Where())
        assert not worker.tell(Numbered(0, 1))
        assert await worker.stopped() == "stopped"
        async with ac.System(shards=2) as other:
            asker = other.spawn(Worker, place=2)
            with pytest.raises(errors.ActiniumError):
                await asker.ask(Ask(worker, Where(), 0.5))

    run(main())


@free_threaded
def test_a_shard_held_up_by_a_handler_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shards_module, "END_SECONDS", 0.05)

    async def main() -> None:
        held = threading.Event()
        async with ac.System(shards=2) as system:
            blocker = system.spawn(Blocker, held, place=2)
            await blocker.ask(Where())
            blocker.tell(Wait())
            await system.shutdown(drain_timeout=0.0)
        held.set()

    run(main())
    assert "shard 2 did not end" in caplog.text


@free_threaded
def test_from_plain_threads_only_telling_and_blocking_work() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            worker = system.spawn(Worker, place=2)

            def outside() -> int:
                worker.tell(Numbered(0, 1))
                with pytest.raises(errors.UsageError):
                    worker.ask(Where())
                with pytest.raises(errors.UsageError, match="on a thread of their system"):
                    system.spawn(Worker)
                return ac.blocking(system).ask(worker, Where())  # type: ignore[no-any-return]

            assert await asyncio.to_thread(outside) != threading.get_ident()
            assert (await worker.ask(Read()))["handled"] == 1

    run(main())
