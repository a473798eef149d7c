"""Worker processes: the same refs, asks, streams, watches and errors as in one process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from worker_actors import (
    Add,
    CallOn,
    Cart,
    Counter,
    Get,
    Numbers,
    Refused,
    Sent,
    Stubborn,
    Tight,
    Watching,
)

import actinium as ac
from actinium.errors import (
    ActorStopped,
    AskTimeout,
    ConfigError,
    HandlerError,
    MailboxFull,
    NameTaken,
    NotEncodable,
    SpawnError,
    Unhandled,
    UsageError,
)

Body = Callable[[ac.System], Awaitable[None]]


def on_workers(body: Body, workers: int = 2, **options: Any) -> ac.Report:
    """Runs a body with worker processes and returns the report of the end."""

    async def main() -> ac.Report:
        settings = ac.Settings(drain_timeout=3)
        async with ac.System(workers=workers, settings=settings, **options) as system:
            async with asyncio.timeout(20):
                await body(system)
        return await system.shutdown()

    return asyncio.run(main())


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    while not await check():  # noqa: ASYNC110 - it is in another process
        await asyncio.sleep(0.01)


def test_handlers_run_in_worker_processes_and_nothing_is_lost() -> None:
    async def body(system: ac.System) -> None:
        refs = [system.spawn(Counter, 5) for _ in range(4)]
        pids = [await ref.ask("pid") for ref in refs]
        assert os.getpid() not in pids and len(set(pids)) == 2, "the least loaded comes first"
        assert set(pids) == {w.pid for w in system.workers()}
        for ref in refs:
            for _ in range(100):
                ref.tell(Add(2))
        assert [await ref.ask(Get()) for ref in refs] == [205] * 4
        local = system.spawn(Counter, place="local")
        assert await local.ask("pid") == os.getpid()
        assert isinstance(refs[0], ac.RemoteRef) and not isinstance(local, ac.RemoteRef)
        assert isinstance(refs[0], ac.Ref) and isinstance(refs[0], ac.LocalRef)
        assert len({*refs, *refs}) == 4
        await system.idle()
        assert sum(w.actors for w in system.workers()) >= 4

    report = on_workers(body)
    assert report.lost == 0 and report.forced == 0
    assert report.accepted == report.handled + report.dead_lettered + report.withdrawn
    assert report.handled >= 400


def test_places() -> None:
    async def body(system: ac.System) -> None:
        pids = [w.pid for w in system.workers()]
        assert await system.spawn(Counter, place=2).ask("pid") == pids[1]
        assert await system.spawn(Counter, place=1).ask("pid") == pids[0]
        same = {await system.spawn(Counter, place=ac.ByKey("k")).ask("pid") for _ in range(3)}
        assert len(same) == 1
        for wrong in (0, 3, "elsewhere", True, None):
            with pytest.raises(UsageError, match="the number of a worker"):
                system.spawn(Counter, place=wrong)
        named = system.spawn(Counter, name="one")
        assert named.path == "/user/one" and system.lookup("/user/one") is named
        with pytest.raises(NameTaken):
            system.spawn(Counter, name="one")
        named.stop()
        await named.stopped()
        assert await system.spawn(Counter, name="one").ask("pid") in pids

    on_workers(body)


def test_refs_travel_and_come_home() -> None:
    async def body(system: ac.System) -> None:
        one, two = system.spawn(Counter, 1, place=1), system.spawn(Counter, 2, place=2)
        local = system.spawn(Counter, 3, place="local")
        assert await one.ask(CallOn(two, Get())) == 2, "from worker to worker"
        assert await one.ask(CallOn(local, Get())) == 3, "from a worker to this process"
        assert await one.ask("me") is one, "a ref that comes back is the ref that went"
        assert await one.ask(CallOn(local, "me")) is local
        assert await local.ask(CallOn(one, "sender")) is local
        assert await two.ask(CallOn(one, "sender")) is two
        child = await one.ask("child")
        assert await child.ask(Get()) == 100
        assert await two.ask(CallOn(child, "pid")) == await one.ask("pid")
        assert await two.ask(CallOn(one, CallOn(local, Get()))) == 3

    on_workers(body)


def test_MS_2_order_holds_between_processes() -> None:
    async def body(system: ac.System) -> None:
        one, two = system.spawn(Counter, place=1), system.spawn(Counter, place=2)
        one.tell(Sent(two, 20_000))
        for i in range(3000):
            one.tell(i)
        await system.idle()
        assert await two.ask("seen") == tuple(range(20_000))
        assert await one.ask("seen") == tuple(range(3000))

    on_workers(body)


def test_asks_end_as_they_would_here() -> None:
    async def body(system: ac.System) -> None:
        one, two = system.spawn(Counter, place=1), system.spawn(Counter)
        with pytest.raises(Refused) as refused:
            await one.ask("refuse")
        assert refused.value.args == ("no", 7)
        with pytest.raises(HandlerError, match="ValueError: broken") as failed:
            await one.ask("fail")
        assert isinstance(failed.value.cause, ValueError)
        with pytest.raises(AskTimeout):
            await two.ask("slow", 0.05)
        two.kill()
        left = await one.ask("remaining", 7)
        assert 5 < left < 7.1, "the deadline crosses as the time that is left"
        with pytest.raises(NotEncodable):
            await system.spawn(Counter).ask("unencodable")
        with pytest.raises(NotEncodable):
            one.tell(ac.Unchecked([]))

    on_workers(body)


def test_a_cancelled_ask_is_taken_back_or_ends_unheard() -> None:
    async def body(system: ac.System) -> None:
        one = system.spawn(Counter)
        one.tell("block")
        asking = asyncio.ensure_future(one.ask(Add(50), 10))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert await one.ask(Get()) == 0, "it was cancelled while it waited"

    assert on_workers(body, 1).withdrawn == 1


def test_spawn_errors() -> None:
    async def body(system: ac.System) -> None:
        with pytest.raises(SpawnError, match="too many positional"):
            system.spawn(Counter, 1, 2)
        with pytest.raises(NotEncodable):
            system.spawn(Counter, object())
        with pytest.raises(UsageError, match="takes an actor class"):
            system.spawn(dict)  # type: ignore[type-var]

        class Hidden(ac.Actor):
            pass

        with pytest.raises(NotEncodable, match="inside a function"):
            system.spawn(Hidden)
        stubborn = system.spawn(Stubborn, "no way")
        with pytest.raises(SpawnError, match="no way"):
            await stubborn.ask(Get())
        assert "no way" in await stubborn.stopped()
        assert not stubborn.alive
        with pytest.raises(SpawnError, match="no way"):
            await stubborn.ask(Get())

    on_workers(body, 1)


def test_stop_kill_and_the_dead() -> None:
    async def body(system: ac.System) -> None:
        one, two = system.spawn(Counter), system.spawn(Counter)
        for i in range(50):
            one.tell(i)
        one.stop(drain=True)
        assert await one.stopped() == "stopped" and not one.alive
        with pytest.raises(ActorStopped):
            await one.ask(Get())
        put = one.tell(Add(1))
        assert (put.ok, put.code) == (False, "closed")
        assert [letter.reason for letter in system.dead_letters] == ["actor_stopped"]
        asking = asyncio.ensure_future(two.ask("slow", 20))
        await asyncio.sleep(0.05)
        two.kill()
        assert await two.stopped() == "killed"
        with pytest.raises(ActorStopped):
            await asking

    assert on_workers(body).lost == 0


def test_WD_1_one_notice_across_processes_after_all_messages() -> None:
    async def body(system: ac.System) -> None:
        here = system.spawn(Counter, place="local")
        one, two = system.spawn(Counter, place=1), system.spawn(Counter, place=2)
        for watcher in (here, two):
            watcher.tell(Watching(one))
        child = await one.ask("child")
        here.tell(Watching(child))
        await system.idle()
        one.tell(Sent(here, 500))
        one.stop(drain=True)
        await one.stopped()
        await system.idle()
        assert await here.ask("seen") == tuple(range(500))
        assert await here.ask("ended") == ("stopped", "stopped")
        assert await two.ask("ended") == ("stopped",)
        two.tell(Watching(one))
        await system.idle()
        assert await two.ask("ended") == ("stopped", "stopped"), "at once: it has stopped already"

    on_workers(body)


def test_ST_1_2_3_streams_keep_their_credits_across_processes() -> None:
    async def body(system: ac.System) -> None:
        numbers = system.spawn(Numbers)
        async with numbers.stream(1000, items=10) as stream:
            assert [n async for n in stream] == list(range(1000))
        async with numbers.stream(1_000_000, items=16) as stream:
            assert await anext(stream) == 0
            await asyncio.sleep(0.1)
            assert await anext(stream) == 1

        async def ended() -> bool:
            return bool((await numbers.ask(Get()))[1] == 2)

        await until(ended)
        ahead, _ = await numbers.ask(Get())
        assert ahead <= 2 + 16 + 16 // 2, "never further ahead than the window"
        got: list[int] = []
        with pytest.raises(HandlerError, match="why"):
            async with numbers.stream("why") as stream:
                async for n in stream:
                    got += [n]
        assert got == [1, 2], "what was produced before the failure comes first"
        with pytest.raises(Unhandled):
            async with numbers.stream(b"no such") as stream:
                await anext(stream)

    on_workers(body, 1)


def test_send_waits_for_room_and_tell_does_not() -> None:
    async def body(system: ac.System) -> None:
        tight = system.spawn(Tight)
        for i in range(6):
            assert (await tight.send(i, timeout=5)).ok
        with pytest.raises(MailboxFull):
            for i in range(10):
                await tight.send(i, timeout=0.01)
        for i in range(20):
            tight.tell(i)
        await system.idle()
        assert await tight.ask(Get()) < 26

    report = on_workers(body, 1)
    assert report.lost == 0 and report.dead_lettered > 0, "what the mailbox refused is a letter"


def test_large_payloads_cross() -> None:
    async def body(system: ac.System) -> None:
        one = system.spawn(Counter)
        data = os.urandom(5_000_000)
        assert await one.ask(data, 30) == (len(data), data)

    on_workers(body, 1)


def test_entities_live_on_one_worker_each() -> None:
    async def body(system: ac.System) -> None:
        carts = {f"c{i}": system.entity(Cart, f"c{i}") for i in range(8)}
        first = {key: await cart.ask(Add(1)) for key, cart in carts.items()}
        again = {key: await system.entity(Cart, key).ask(Add(1)) for key in carts}
        assert all(again[k] == (k, 2, first[k][2]) for k in carts)
        assert {pid for _, _, pid in first.values()} == {w.pid for w in system.workers()}
        await carts["c0"].stop()
        assert (await carts["c0"].ask(Add(1)))[1] == 1, "made anew after it was stopped"

    on_workers(body)


def test_tell_from_another_thread() -> None:
    async def body(system: ac.System) -> None:
        one = system.spawn(Counter)
        await asyncio.to_thread(lambda: [one.tell(Add(1)) for _ in range(100)])
        await system.idle()
        assert await one.ask(Get()) == 100

    on_workers(body, 1)


@pytest.mark.parametrize("workers", [-1, 1000, "two", 1.5])
def test_a_wrong_number_of_workers_is_refused(workers: Any) -> None:
    with pytest.raises(ConfigError, match="number of processes"):
        ac.System(workers=workers)


def test_a_memory_store_is_refused() -> None:
    with pytest.raises(UsageError, match="lives in one process"):
        ac.System(workers=1, store=ac.MemoryStore())
