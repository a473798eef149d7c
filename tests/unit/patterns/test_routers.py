"""Routers: who gets a message, what an ask of several answers, what happens without routees."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from actinium import testkit
from actinium.core import Actor, LocalRef, Message, OneForOne, Ref, Settings, on
from actinium.errors import (
    ActiniumError,
    ActorNotFound,
    ActorStopped,
    AskTimeout,
    ConfigError,
    HandlerError,
    UsageError,
)
from actinium.patterns import (
    Broadcast,
    Group,
    Hash,
    LeastLoaded,
    Pool,
    Random,
    RoundRobin,
    Router,
    ScatterFirst,
    TailChop,
)
from actinium.testkit import TestSystem


class Job(Message):
    key: str = ""
    n: int = 0


class Worker(Actor):
    def __init__(self, name: str, takes: float = 0.0, fails: bool = False) -> None:
        self.name, self.takes, self.fails = name, takes, fails
        self.seen: list[int] = []
        self.cancelled = 0

    @on(cancellable=True)
    async def job(self, m: Job) -> str:
        self.seen.append(m.n)
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fails:
            raise ValueError(self.name)
        return self.name

    @on
    async def count(self, m: int) -> Any:
        for n in range(m):
            yield n


def workers(t: TestSystem, *takes: float, fails: bool = False) -> list[LocalRef[Worker]]:
    return [t.spawn(Worker, str(n), s, fails) for n, s in enumerate(takes)]


quiet = Settings(supervise=OneForOne(decide={ValueError: "resume"}))


def seen(refs: list[LocalRef[Worker]]) -> list[list[int]]:
    return [ref.instance.seen for ref in refs]


def test_a_router_is_a_ref() -> None:
    async def test(t: TestSystem) -> None:
        router = Router(RoundRobin(), workers(t, 0), name="r")
        assert isinstance(router, Ref)
        assert router.path == "/router/r" and repr(router) == "<Router /router/r RoundRobin of 1>"
        assert (await router.send(Job())).ok
        assert router.tell_many([Job(), Job()]) == 2
        async with router.stream(3) as numbers:
            assert [n async for n in numbers] == [0, 1, 2]
        probe = t.probe()
        probe.ref.tell(router)
        assert await probe.expect(Router) is router, "it may be sent"

    testkit.run(test)


def test_round_robin_takes_turns_and_passes_over_the_dead() -> None:
    async def test(t: TestSystem) -> None:
        refs = workers(t, 0, 0, 0)
        router = Router(RoundRobin(), refs)
        for n in range(6):
            router.tell(Job(n=n))
        await t.run_until_idle()
        assert seen(refs) == [[0, 3], [1, 4], [2, 5]]
        refs[1].stop()
        await t.run_until_idle()
        for n in range(6, 12):
            assert router.tell(Job(n=n)).ok
        assert len(t.system.dead_letters) == 0
        for ref in refs:
            ref.stop(drain=True)
        await t.run_until_idle()
        assert router.tell(Job()).code == "closed"
        assert [x.reason for x in t.system.dead_letters] == ["actor_stopped"]
        with pytest.raises(ActorStopped):
            await router.ask(Job())

    testkit.run(test)


def test_random_is_repeatable_with_a_seed() -> None:
    async def test(t: TestSystem) -> None:
        refs = workers(t, 0, 0, 0)
        members = Router(RoundRobin(), refs)._members.now()
        first, second = Random(5), Random(5)
        picks = [first.choose(members, None) for _ in range(50)]
        assert picks == [second.choose(members, None) for _ in range(50)]
        assert set(picks) == set(refs)

    testkit.run(test)


def test_least_loaded_counts_asks_and_waiting_messages() -> None:
    async def test(t: TestSystem) -> None:
        refs = workers(t, 10.0, 0)
        by = LeastLoaded(1)
        router = Router(by, refs)
        asks = [router.ask(Job(n=n)) for n in range(2)]
        assert sorted(by.in_flight.values()) == [1, 1], "two choices of two: the lesser one"
        for n in range(20):
            refs[0].tell(Job(n=n))
        for n in range(20):
            router.tell(Job(n=100 + n))
        await t.run_until_idle()
        assert sum(n >= 100 for n in refs[1].instance.seen) >= 19
        for ask in asks:
            ask.cancel()

    testkit.run(test)


def test_hash_keeps_a_key_at_its_routee() -> None:
    async def test(t: TestSystem) -> None:
        refs = workers(t, *[0.0] * 5)
        router = Router(Hash("key"), refs)
        where = {key: await router.ask(Job(key)) for key in "abcdefghij"}
        assert len(set(where.values())) > 1
        assert {key: await router.ask(Job(key)) for key in "abcdefghij"} == where
        gone = where["a"]
        refs[int(gone)].stop()
        await t.run_until_idle()
        after = {key: await router.ask(Job(key)) for key in "abcdefghij"}
        assert all(after[k] == where[k] for k in where if where[k] != gone)
        by_function = Router(Hash(lambda m: m.key.encode()), refs)
        assert await by_function.ask(Job("b")) == after["b"]
        with pytest.raises(UsageError, match="a routing key is text, bytes or a whole number"):
            Router(Hash(lambda m: 1.5), refs).tell(Job())  # type: ignore[arg-type,return-value]
        with pytest.raises(UsageError, match="takes a field's name or a function, got 7"):
            Hash(7)  # type: ignore[arg-type]

    testkit.run(test)


def test_broadcast_tells_all_and_gathers_all_replies_in_order() -> None:
    async def test(t: TestSystem) -> None:
        refs = workers(t, 0.3, 0.1, 0.2)
        router = Router(Broadcast(), refs)
        assert router.tell(Job(n=1)).ok
        assert await router.ask(Job(n=2), 5.0) == ["0", "1", "2"]
        assert seen(refs) == [[1, 2]] * 3
        with pytest.raises(AskTimeout):
            await router.ask(Job(n=3), 0.15)
        with pytest.raises(UsageError, match="a stream has one producer"):
            router.stream(3)
        refs[1].stop()
        await t.run_until_idle()
        assert await router.ask(Job(), 5.0) == ["0", "2"]

    testkit.run(test, settings=quiet)


def test_broadcast_raises_the_first_error_and_withdraws_the_rest() -> None:
    async def test(t: TestSystem) -> None:
        slow, bad = t.spawn(Worker, "slow", 10.0), t.spawn(Worker, "bad", 0.1, True)
        began = t.now()
        with pytest.raises(HandlerError, match="bad"):
            await Router(Broadcast(), [slow, bad]).ask(Job(), 60.0)
        assert t.now() - began < 1
        await t.run_until_idle()
        assert slow.instance.cancelled == 1

    testkit.run(test, settings=quiet)


def test_scatter_first_takes_the_first_good_answer_and_cancels_the_losers() -> None:
    async def test(t: TestSystem) -> None:
        refs = [t.spawn(Worker, "a", 5.0), t.spawn(Worker, "b", 0.2), t.spawn(Worker, "c", 0, True)]
        assert await Router(ScatterFirst(), refs).ask(Job(), 60.0) == "b"
        await t.run_until_idle()
        assert refs[0].instance.cancelled == 1
        with pytest.raises(HandlerError):
            await Router(ScatterFirst(), workers(t, 0.1, 0.2, fails=True)).ask(Job())

    testkit.run(test, settings=quiet)


def test_tail_chop_asks_one_more_after_each_interval() -> None:
    async def test(t: TestSystem) -> None:
        refs = workers(t, 10.0, 10.0, 10.0, 10.0)
        router = Router(TailChop(0.5, seed=1), refs)
        began = t.now()
        ask = asyncio.ensure_future(router.ask(Job(), 60.0))
        asked = []
        for _ in range(5):
            await t.advance(0.4)
            asked.append(sum(map(len, seen(refs))))
        assert asked == [1, 2, 3, 4, 4]
        await ask
        assert t.now() - began == pytest.approx(10.0, abs=0.1)
        await t.run_until_idle()
        assert sum(ref.instance.cancelled for ref in refs) == 3
        router.tell(Job())
        await t.run_until_idle()
        assert sum(map(len, seen(refs))) == 5, "a tell goes to one"

    testkit.run(test)


def test_tail_chop_goes_on_at_once_after_a_failure_and_ends_with_the_last() -> None:
    async def test(t: TestSystem) -> None:
        bad = workers(t, 0.0, 0.0, 0.0, fails=True)
        began = t.now()
        with pytest.raises(HandlerError):
            await Router(TailChop(5.0), bad).ask(Job(), 60.0)
        assert t.now() - began < 1
        good = t.spawn(Worker, "good")
        assert await Router(TailChop(5.0), [*bad, good]).ask(Job(), 60.0) == "good"
        with pytest.raises(UsageError, match="above 0 seconds, got 0"):
            TailChop(0)

    testkit.run(test, settings=quiet)


def test_several_are_asked_from_within_a_handler_under_its_deadline() -> None:
    class Front(Actor):
        def __init__(self, router: Router) -> None:
            self.router = router

        @on
        async def job(self, m: Job) -> Any:
            return await self.router.ask(m, 60.0)

    async def test(t: TestSystem) -> None:
        refs = workers(t, 0.1, 0.2)
        for by, answer in ((Broadcast(), ["0", "1"]), (ScatterFirst(), "0"), (LeastLoaded(), None)):
            got = await t.spawn(Front, Router(by, refs)).ask(Job(), 1.0)
            assert got == answer or (answer is None and got in "01")
        stuck = t.spawn(Front, Router(Broadcast(), workers(t, 30.0)))
        began = t.now()
        with pytest.raises(ActiniumError):
            await stuck.ask(Job(), 1.0)
        assert t.now() - began < 2

    testkit.run(test)


# -- groups


def test_a_group_follows_the_registry() -> None:
    async def test(t: TestSystem) -> None:
        registry = t.system.registry
        router = Router(RoundRobin(), Group(t.system, "workers/*", tags={"v": "1"}))
        assert router.routees == []
        assert router.tell(Job(n=1)).code == "closed"
        (letter,) = t.system.dead_letters
        assert (letter.reason, letter.path) == ("actor_not_found", "/router/router")
        with pytest.raises(ActorNotFound, match="/router/router has no routee that is alive"):
            await router.ask(Job())
        with pytest.raises(ActorNotFound):
            router.stream(3)
        a, b, c = workers(t, 0, 0, 0)
        registry.register("workers/a", a, tags={"v": "1"})
        registry.register("workers/b", b, tags={"v": "1"})
        registry.register("workers/c", c, tags={"v": "2"})
        assert router.routees == [a, b]
        a.stop()
        await t.run_until_idle()
        assert router.routees == [b]
        (result,) = await t.system.dead_letters.replay()
        assert result.outcome == "accepted"
        await t.run_until_idle()
        assert b.instance.seen == [1]

    testkit.run(test)


def test_an_ask_may_wait_for_the_first_routee() -> None:
    async def test(t: TestSystem) -> None:
        router = Router(RoundRobin(), Group(t.system, "workers/*"), wait=2.0)
        ask = asyncio.ensure_future(router.ask(Job(), 5.0))
        await t.advance(1.0)
        t.system.registry.register("workers/a", t.spawn(Worker, "late"))
        assert await ask == "late"
        none = Router(RoundRobin(), Group(t.system, "others/*"), wait=2.0)
        began = t.now()
        with pytest.raises(ActorNotFound, match="alive within 2 s"):
            await none.ask(Job())
        assert t.now() - began >= 2.0
        with pytest.raises(ActorNotFound):
            await none.send(Job())

    testkit.run(test)


def test_a_router_needs_routees() -> None:
    with pytest.raises(UsageError, match="a router needs routees"):
        Router(RoundRobin(), [])


# -- pools


def test_a_pool_grows_under_load_and_drains_what_it_no_longer_needs() -> None:
    done: list[int] = []

    class Slow(Actor):
        @on
        async def job(self, m: Job) -> None:
            await asyncio.sleep(0.1)
            done.append(m.n)

    async def test(t: TestSystem) -> None:
        pool = Pool(t.system, Slow, size=(2, 5), target_depth=10, name="pool")
        await t.run_until_idle()
        assert pool.path == "/user/pool" and len(pool.routees) == 2
        sizes = []
        for n in range(400):
            assert pool.tell(Job(n=n)).ok
        for _ in range(30):
            await t.advance(1.0)
            sizes.append(len(pool.routees))
        assert max(sizes) == 5 and sizes[-1] == 2
        assert all(abs(a - b) <= 1 for a, b in itertools.pairwise(sizes))
        assert sorted(done) == list(range(400)), "a drained worker handles what it holds"
        pool.stop(drain=True)
        assert await pool.stopped() == "stopped"
        assert pool.tell(Job(n=1)).code == "closed"
        assert [x.reason for x in t.system.dead_letters] == ["actor_not_found"]

    testkit.run(test)


def test_a_pool_replaces_a_worker_that_stopped() -> None:
    async def test(t: TestSystem) -> None:
        pool = Pool(t.system, Worker, "w", size=(2, 2), by=RoundRobin())
        await t.run_until_idle()
        pool.routees[0].kill()
        await t.run_until_idle()
        assert await pool.ask(Job()) == "w", "the dead one is passed over meanwhile"
        await t.advance(2.0)
        assert len(pool.routees) == 2 and all(ref.alive for ref in pool.routees)
        assert await pool.ask(Job()) == "w"

    testkit.run(test)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": (0, 2)}, r"with 1 <= least, got \(0, 2\)"),
        ({"size": (3, 2)}, r"got \(3, 2\)"),
        ({"target_depth": 0}, "must be above 0, got target_depth=0, every=1.0"),
        ({"every": 0}, "every=0"),
    ],
)
def test_a_pools_options_are_checked(options: dict[str, Any], text: str) -> None:
    async def test(t: TestSystem) -> None:
        with pytest.raises(ConfigError, match=text):
            Pool(t.system, Worker, "w", **options)

    testkit.run(test)
