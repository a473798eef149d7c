"""Actors that move from a busy shard to an idle one, and those that stay (``System(shards=N)``).

They run where there is no GIL (scripts/free_threaded.sh).
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from shard_actors import Read, free_threaded, run

import actinium as ac
from actinium import errors
from actinium.core.mobile import is_mobile

EAGER = ac.Settings(move_us=0, supervise=ac.OneForOne(backoff=(0.0, 0.0)))


class Burn(ac.Message):
    """Takes the shard's time."""

    number: int = 0


class Break(ac.Message):
    """A failure."""


class Cruncher(ac.Actor):
    """May move: all of it is ``def``."""

    def __init__(self) -> None:
        self.threads = [threading.get_ident()]
        self.numbers: list[int] = []

    @ac.on
    def burn(self, m: Burn) -> None:
        sum(range(2000))
        self.numbers.append(m.number)
        if self.threads[-1] != threading.get_ident():
            self.threads.append(threading.get_ident())

    @ac.on
    def read(self, m: Read) -> tuple[list[int], list[int]]:
        return self.threads, self.numbers

    @ac.on
    def fail(self, m: Break) -> None:
        raise RuntimeError("told to")


class Awaiting(Cruncher):
    @ac.on
    async def later(self, m: str) -> None: ...


class Opening(Cruncher):
    async def started(self) -> None: ...


class Asking(Cruncher):
    """Has a reply that belongs to its shard."""

    @ac.on
    def ask(self, m: ac.LocalRef[Any]) -> None:
        self.reply = m.ask(Read())


class Timed(Cruncher):
    @ac.on
    def time(self, m: float) -> None:
        self.ctx.schedule(m, Burn())


class Family(Cruncher):
    @ac.on
    def spawn(self, m: int) -> list[ac.LocalRef[Any]]:
        return [self.ctx.spawn(Cruncher) for _ in range(m)]


async def _until_moved(
    system: ac.System, crunchers: list[Any], rounds: int = 500
) -> list[tuple[Any, list[int], list[int]]]:
    """Makes one shard busy until some of these have moved; who did, with what they have seen."""
    for number in range(rounds):
        for cruncher in crunchers:
            for n in range(5):
                cruncher.tell(Burn(number * 5 + n))
        await system.idle()
        seen = [(c, *await c.ask(Read())) for c in crunchers]
        moved = [one for one in seen if len(one[1]) > 1]
        if moved:
            return moved
    return []


async def _stay(system: ac.System, crunchers: list[Any]) -> bool:
    """Whether none of these changes its thread from now on, however busy it is."""
    before: list[list[int]] = []
    for _ in range(6):
        for cruncher in crunchers:
            for n in range(5):
                cruncher.tell(Burn(n))
        await system.idle()
        threads = [list((await c.ask(Read()))[0]) for c in crunchers]
        if before and threads != before:
            return False
        before = threads
    return True


def _on_first(system: ac.System, cls: type[Any], n: int, **options: Any) -> list[Any]:
    """So many actors on shard 1, placed by the system."""
    found: list[Any] = []
    while len(found) < n:
        one = system.spawn(cls, **options)
        if not one.away:
            found.append(one)
    return found


@free_threaded
def test_an_idle_shard_gets_actors_of_a_busy_one() -> None:
    async def main() -> None:
        async with ac.System(shards=2, settings=EAGER) as system:
            crunchers = _on_first(system, Cruncher, 6)
            await system.idle()
            before = system.statistics()["actors"]
            moved = await _until_moved(system, crunchers)
            assert moved, "nothing has moved"
            assert system.shards()[1].moved_in > 0
            for _, _, numbers in moved:
                assert numbers == sorted(numbers)
            assert system.statistics()["actors"] == before
            assert [system.lookup(c.path) for c in crunchers] == crunchers

    run(main())


@free_threaded
def test_what_one_who_has_moved_goes_through_afterwards() -> None:
    async def main() -> None:
        async with ac.System(shards=2, settings=EAGER) as system:
            crunchers = _on_first(system, Cruncher, 8)
            moved: list[Any] = []
            while len(moved) < 3:
                assert await _until_moved(system, crunchers)
                moved = [c for c in crunchers if c.away]
            failing, stopped, killed = moved[:3]
            failing.tell(Break())
            assert (await failing.ask(Read()))[1] == []  # a new instance
            assert failing.incarnation == 1
            stopped.stop()
            assert await stopped.stopped() == "stopped"
            killed.kill()
            assert await killed.stopped() == "killed"
            with pytest.raises(errors.ActorStopped):
                await killed.ask(Read())
            with pytest.raises(errors.ActorNotFound):
                system.lookup(killed.path)

    run(main())


@free_threaded
def test_a_shutdown_drains_actors_wherever_they_have_moved_to() -> None:
    async def main() -> None:
        for _ in range(3):
            async with ac.System(shards=3, settings=EAGER) as system:
                crunchers = _on_first(system, Cruncher, 6)
                for n in range(50):
                    for cruncher in crunchers:
                        cruncher.tell(Burn(n))
                report = await system.shutdown()
            assert (report.handled, report.lost, report.forced) == (300, 0, 0), report
            assert all(cruncher.stopped_flag for cruncher in crunchers)

    run(main())


@free_threaded
def test_an_actor_that_has_moved_leaves_nothing_behind() -> None:
    instances: list[weakref.ref[Any]] = []

    class Weak(Cruncher):
        def __init__(self) -> None:
            super().__init__()
            instances.append(weakref.ref(self))

    async def main() -> None:
        async with ac.System(shards=2, settings=EAGER) as system:
            crunchers = _on_first(system, Weak, 6)
            assert await _until_moved(system, crunchers)
            for cruncher in crunchers:
                cruncher.stop()
                await cruncher.stopped()

    run(main())
    gc.collect()
    assert [one() for one in instances if one() is not None] == []


@free_threaded
@pytest.mark.parametrize(
    ("what", "make"),
    [
        ("placed by number", lambda s: [s.spawn(Cruncher, place=1) for _ in range(4)]),
        ("local", lambda s: [s.spawn(Cruncher, place="local") for _ in range(4)]),
        ("named", lambda s: _on_first_named(s)),
        ("async handler", lambda s: _on_first(s, Awaiting, 4)),
        ("async hook", lambda s: _on_first(s, Opening, 4)),
        ("ranked", lambda s: _on_first(s, Cruncher, 4, priority="high")),
        ("own mailbox", lambda s: _on_first(s, Cruncher, 4, mailbox=ac.Mailbox(100_000, lanes=4))),
    ],
)
def test_sc_5_pinned_and_async_actors_never_move(
    what: str, make: Callable[[ac.System], list[Any]]
) -> None:
    async def main() -> None:
        async with ac.System(shards=2, settings=EAGER) as system:
            assert await _stay(system, make(system)), what
            assert [shard.moved_in for shard in system.shards()] == [0, 0]

    run(main())


def _on_first_named(system: ac.System) -> list[Any]:
    named = [system.spawn(Cruncher, name=f"name-{n}") for n in range(8)]
    return [one for one in named if not one.away]


@free_threaded
def test_who_has_asked_set_a_timer_or_has_children_stays() -> None:
    async def main() -> None:
        async with ac.System(shards=2, settings=EAGER) as system:
            other = system.spawn(Cruncher, place=2)
            asking = _on_first(system, Asking, 4)
            for one in asking:
                one.tell(other)
            assert await _stay(system, asking)
            timed = _on_first(system, Timed, 4)
            for one in timed:
                one.tell(60.0)
            assert await _stay(system, timed)
            family = _on_first(system, Family, 2)
            children = [child for one in family for child in await one.ask(2)]
            assert await _stay(system, [*family, *children])

    run(main())


@free_threaded
def test_watched_actors_stay_and_their_watchers_too() -> None:
    class Watcher(Cruncher):
        @ac.on
        def watch(self, m: ac.LocalRef[Any]) -> None:
            self.ctx.watch(m)

    async def main() -> None:
        async with ac.System(shards=2, settings=EAGER) as system:
            watchers, watched = _on_first(system, Watcher, 2), _on_first(system, Cruncher, 2)
            for watcher, other in zip(watchers, watched, strict=True):
                watcher.tell(other)
            assert await _stay(system, [*watchers, *watched])

    run(main())


@free_threaded
@pytest.mark.parametrize("settings", [ac.Settings(move_us=None), ac.Settings(move_us=10**9)])
def test_what_is_not_worth_the_trip_stays(settings: ac.Settings) -> None:
    async def main() -> None:
        async with ac.System(shards=2, settings=settings) as system:
            assert await _stay(system, _on_first(system, Cruncher, 6))
            assert [shard.moved_in for shard in system.shards()] == [0, 0]

    run(main())


@free_threaded
def test_a_negative_worth_is_refused() -> None:
    with pytest.raises(errors.ConfigError, match="move_us"):
        ac.System(shards=2, settings=ac.Settings(move_us=-1))


def test_classes_with_anything_async_are_not_mobile() -> None:
    class Threaded(Cruncher):
        @ac.on(thread=True)
        def work(self, m: int) -> None: ...

    class Streaming(Cruncher):
        @ac.on
        async def items(self, m: int) -> Any:
            yield m

    class Stateful(ac.Actor, initial="open"):
        @ac.on(state="open")
        async def late(self, m: int) -> None: ...

    assert is_mobile(Cruncher) and is_mobile(Family)
    assert not any(is_mobile(cls) for cls in (Awaiting, Opening, Threaded, Streaming, Stateful))
