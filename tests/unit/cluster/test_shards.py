"""``System(shards=N)``: where actors live, and what they send each other over threads.

With a GIL shards are refused; the rest runs where there is none (scripts/free_threaded.sh).
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from shard_actors import (
    FREE_THREADED,
    ROOMY,
    Ask,
    Blocker,
    Broken,
    Count,
    Fail,
    Fan,
    Flood,
    Numbered,
    Parent,
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

# -- what is refused


@pytest.mark.skipif(FREE_THREADED, reason="there is no GIL to be refused for")
def test_with_a_gil_shards_are_refused_and_workers_named() -> None:
    with pytest.raises(errors.Unsupported, match=r"GIL.*Write workers=2") as refusal:
        ac.System(shards=2)
    assert "python3.14t" in str(refusal.value)


@pytest.mark.skipif(FREE_THREADED, reason="auto is the number of cores here")
def test_auto_is_one_shard_with_a_gil() -> None:
    async def main() -> None:
        async with ac.System(shards="auto") as system:
            assert system.shards() == ()
            assert await system.spawn(Worker).ask(Where()) == threading.get_ident()

    run(main())


@pytest.mark.parametrize("shards", [0, -1, 65, 1.5, True, "many"])
def test_a_number_of_shards_is_1_to_64(shards: Any) -> None:
    with pytest.raises(errors.ConfigError, match=r"1 to 64"):
        ac.System(shards=shards)


def test_shards_and_workers_exclude_each_other() -> None:
    with pytest.raises(errors.ConfigError, match="write one of the two"):
        ac.System(shards=2, workers=2)


@free_threaded
def test_a_store_that_serves_one_thread_is_refused() -> None:
    with pytest.raises(errors.UsageError, match="SqliteStore"):
        ac.System(shards=2, store=ac.MemoryStore())


# -- placement


@free_threaded
def test_actors_spread_over_all_threads_and_stay_where_they_are() -> None:
    async def main() -> None:
        async with ac.System(shards=3) as system:
            workers = [system.spawn(Worker) for _ in range(12)]
            at = [await worker.ask(Where()) for worker in workers]
            assert len(set(at)) == 3 and threading.get_ident() in at
            assert max(at.count(thread) for thread in set(at)) <= 5
            assert [await worker.ask(Where()) for worker in workers] == at
            assert [state.index for state in system.shards()] == [1, 2, 3]
            assert len({worker.path for worker in workers}) == 12

    run(main())


@free_threaded
def test_a_place_is_a_number_a_key_or_local() -> None:
    async def main() -> None:
        async with ac.System(shards=3) as system:
            first, second, again = [
                await system.spawn(Worker, place=place).ask(Where()) for place in (1, 2, 2)
            ]
            assert first == threading.get_ident() != second == again
            local = await system.spawn(Worker, place="local").ask(Where())
            assert local == threading.get_ident()
            same = [
                await system.spawn(Worker, place=ac.ByKey("anna")).ask(Where()) for _ in range(3)
            ]
            assert len(set(same)) == 1
            with pytest.raises(errors.UsageError, match=r"the number of a shard \(1 to 3\)"):
                system.spawn(Worker, place=4)

    run(main())


@free_threaded
def test_children_live_with_their_parent() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            for place in (1, 2):
                mine, childs = await system.spawn(Parent, place=place).ask(Where())
                assert mine == childs

    run(main())


@free_threaded
def test_an_actor_places_others_through_its_system() -> None:
    class Placer(ac.Actor):
        @ac.on
        async def place(self, msg: int) -> tuple[int, int, bool]:
            system = self.ctx.system
            there = await system.spawn(Worker, place=msg).ask(Where())
            here = await system.spawn(Worker, place="local").ask(Where())
            return there, here, system is whole[0]

    whole: list[ac.System] = []

    async def main() -> None:
        async with ac.System(shards=2) as system:
            whole.append(system)
            placer = system.spawn(Placer, place=2)
            there, here, same = await placer.ask(1)
            assert there == threading.get_ident() != here
            assert same

    run(main())


@free_threaded
def test_names_are_unique_over_all_shards_and_free_again() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            one = system.spawn(Worker, name="one", place=2)
            assert one.path == "/user/one"
            await one.ask(Where())
            assert system.lookup("/user/one") is one
            for place in (1, 2):
                with pytest.raises(errors.NameTaken):
                    system.spawn(Worker, name="one", place=place)
            one.stop()
            await one.stopped()
            assert await system.spawn(Worker, name="one", place=1).ask(Where())

    run(main())


@free_threaded
def test_an_actor_that_cannot_be_made_there_ends_and_its_askers_hear() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            watcher = system.spawn(Watcher, place=1)
            broken = system.spawn(Broken, name="broken", place=2)
            watcher.tell(broken)
            with pytest.raises(errors.ActorStopped):
                await broken.ask(Where())
            assert "no such thing" in await broken.stopped()
            await system.idle()
            assert "no such thing" in (await watcher.ask(Read()))[0]
            await system.spawn(Worker, name="broken", place=2).ask(Where())

    run(main())


# -- messages


@free_threaded
def test_ms_2_each_senders_messages_arrive_in_order_from_every_shard() -> None:
    async def main() -> None:
        async with ac.System(shards=3) as system:
            target = system.spawn(Worker, place=3, mailbox=ROOMY)
            senders = [system.spawn(Worker, place=1 + i % 3) for i in range(6)]
            taken = await asyncio.gather(
                *(s.ask(Flood(target, i, 2000)) for i, s in enumerate(senders))
            )
            await system.idle()
            seen = await target.ask(Read())
            assert seen["handled"] == sum(taken) == 12_000
            assert (seen["disorder"], seen["threads"]) == (0, 1)

    run(main())


@free_threaded
def test_asks_cross_in_all_directions_at_once() -> None:
    async def main() -> None:
        async with ac.System(shards=3) as system:
            workers = tuple(system.spawn(Worker) for _ in range(9))
            answers = await asyncio.gather(*(w.ask(Fan(workers, 30)) for w in workers))
            assert answers == [270] * 9

    run(main())


@free_threaded
def test_the_sender_is_known_there_and_a_reply_reaches_it() -> None:
    class Echo(ac.Actor):
        @ac.on
        def numbered(self, msg: Numbered) -> None:
            assert self.ctx.sender is not None
            self.ctx.sender.tell(Numbered(1, msg.number + 1))

    async def main() -> None:
        async with ac.System(shards=2) as system:
            echo = system.spawn(Echo, place=2)
            worker = system.spawn(Worker, place=1)
            await worker.ask(Flood(echo, 0, 10))
            await system.idle()
            assert (await worker.ask(Read()))["handled"] == 10

    run(main())


@free_threaded
def test_a_failing_handler_fails_the_ask_and_restarts_there() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            worker = system.spawn(Worker, place=2)
            with pytest.raises(errors.HandlerError, match="told to"):
                await worker.ask(Fail())
            assert (await worker.ask(Read()))["incarnation"] == 1
            assert system.statistics()["restarts"] == 1
            (letter,) = system.dead_letters.find(reason="handler_failed")
            assert letter.target is worker

    run(main())


@free_threaded
def test_ms_3_an_ask_of_a_deaf_actor_ends_in_time_and_its_handler_is_cancelled() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            worker = system.spawn(Worker, place=2)
            with pytest.raises(errors.AskTimeout):
                await worker.ask(Wait(), 0.02)
            assert (await worker.ask(Read()))["cancelled"] == 1
            asker = system.spawn(Worker, place=2)
            deaf = system.spawn(Worker, place=1)
            with pytest.raises(errors.HandlerError, match="AskTimeout"):
                await asker.ask(Ask(deaf, Wait(), 0.02))
            assert (await deaf.ask(Read()))["cancelled"] == 1

    run(main())


@free_threaded
def test_ms_4_a_message_that_expired_on_its_way_enters_no_handler() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            begun, held = threading.Event(), threading.Event()
            blocker = system.spawn(Blocker, held, begun, place=2)
            worker = system.spawn(Worker, place=2)
            await blocker.ask(Where())
            blocker.tell(Wait())
            await asyncio.to_thread(begun.wait)  # its thread stands still from here on
            ask = worker.ask(Numbered(0, 1), 0.01)
            worker.tell(Numbered(0, 2), deadline=0.01)
            with pytest.raises(errors.AskTimeout):
                await ask
            held.set()
            await system.idle()
            assert (await worker.ask(Read()))["handled"] == 0
            assert len(system.dead_letters.find(reason="expired")) == 2

    run(main())


@free_threaded
def test_cancelling_the_ask_cancels_the_handler_there() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            worker = system.spawn(Worker, place=2)
            ask = worker.ask(Wait())
            ask.cancel()
            await system.idle()
            seen = await worker.ask(Read())
            # It was taken back before it began, or was cancelled in its handler.
            assert seen["cancelled"] + system.statistics()["withdrawn"] >= 1

    run(main())


@free_threaded
def test_a_reply_may_be_given_by_an_actor_of_another_shard() -> None:
    class Clerk(ac.Actor):
        @ac.on
        def give(self, msg: Numbered) -> None:
            tokens.pop().reply(msg.number)

    class Front(ac.Actor):
        def __init__(self, clerk: ac.LocalRef[Clerk]) -> None:
            self.clerk = clerk

        @ac.on
        def take(self, msg: str) -> None:
            tokens.append(self.ctx.defer())
            self.clerk.tell(Numbered(0, 7))

        @ac.on
        def hand_on(self, msg: Where) -> None:
            self.clerk.forward(Where())

    class Desk(Clerk):
        @ac.on
        def where(self, msg: Where) -> int:
            return threading.get_ident()

    tokens: list[Any] = []

    async def main() -> None:
        async with ac.System(shards=3) as system:
            desk = system.spawn(Desk, place=3)
            front = system.spawn(Front, desk, place=2)
            assert await front.ask("please") == 7
            assert await front.ask(Where()) == await desk.ask(Where())

    run(main())


@free_threaded
def test_a_full_mailbox_of_another_shard_refuses_into_a_dead_letter() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            held = threading.Event()
            blocker = system.spawn(Blocker, held, place=2)
            worker = system.spawn(Worker, place=2, mailbox=ac.Mailbox(10))
            await worker.ask(Where())
            blocker.tell(Wait())
            assert all(worker.tell(Numbered(0, i)) for i in range(25))
            held.set()
            await system.idle()
            assert (await worker.ask(Read()))["handled"] == 10
            assert len(system.dead_letters.find(reason="mailbox_full")) == 15
            report = await system.shutdown()
            assert report.accepted == report.handled + report.dead_lettered
            assert report.dead_lettered == 15 and report.lost == 0

    run(main())


@free_threaded
def test_send_waits_for_room_in_a_mailbox_of_another_shard() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            worker = system.spawn(Worker, place=2, mailbox=ac.Mailbox(2))
            for i in range(200):
                assert await worker.send(Numbered(0, i))
            seen = await worker.ask(Read())
            assert (seen["handled"], seen["disorder"]) == (200, 0)

    run(main())


# -- streams


@free_threaded
def test_a_stream_crosses_whole_and_in_order() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            worker = system.spawn(Worker, place=2)
            async with worker.stream(Count(1000), items=8) as numbers:
                assert [n async for n in numbers] == list(range(1000))

    run(main())


@free_threaded
def test_st_1_the_producer_stays_within_the_window() -> None:
    made: list[int] = []

    class Eager(ac.Actor):
        @ac.on
        async def count(self, msg: Count) -> Any:
            for i in range(msg.to):
                made.append(i)
                yield i

    async def main() -> None:
        async with ac.System(shards=2) as system:
            eager = system.spawn(Eager, place=2)
            async with eager.stream(Count(100), items=4) as numbers:
                read = 0
                async for _ in numbers:
                    read += 1
                    assert len(made) <= read + 5
            assert read == 100

    run(main())


@free_threaded
def test_st_3_leaving_a_stream_ends_its_producer_there() -> None:
    async def main() -> None:
        async with ac.System(shards=2) as system:
            worker = system.spawn(Worker, place=2)
            async with worker.stream(Count(10**9), items=4) as numbers:
                async for n in numbers:
                    if n == 10:
                        break
            await system.idle()
            assert (await worker.ask(Read()))["ended"] == ["stream"]

    run(main())


@free_threaded
def test_a_stream_of_a_failing_producer_fails() -> None:
    class Brittle(ac.Actor):
        @ac.on
        async def count(self, msg: Count) -> Any:
            yield 1
            raise ValueError("half way")

    async def main() -> None:
        async with ac.System(shards=2) as system:
            brittle = system.spawn(Brittle, place=2)
            seen = []
            with pytest.raises(errors.HandlerError, match="half way"):
                async with brittle.stream(Count(2)) as numbers:
                    async for n in numbers:
                        seen.append(n)  # noqa: PERF401 - what came before the failure counts
            assert seen == [1]

    run(main())
