"""The shards of a system on an interpreter without a GIL: threads, each with a loop and a core.

The first shard is the system itself, on the thread it was started on; each further one is a system
of its own inside, which shares with it what belongs to the whole: events, registry, dead letters.
An actor lives on the shard where it was placed, with all its children; those that the system
placed may move to a shard that has nothing to do. How one shard reaches another is told in
native/binding/shards.cpp, how actors move in native/binding/moving.cpp.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

import msgspec

from actinium.core import Actor, LocalRef, Report, Settings, System
from actinium.core.away import across
from actinium.core.extra import extra_of, on_stop
from actinium.core.mobile import is_mobile
from actinium.core.names import check_name
from actinium.core.remote import Ledger
from actinium.core.shardcore import post, shard_cell, shard_core
from actinium.core.watchdog import Stuck, stuck_below
from actinium.errors import ActiniumError, ActorNotFound, ConfigError, NameTaken, UsageError
from actinium.store import SqliteStore

from .place import check_place, choose, rendezvous
from .shard_entity import entity_on

_log = logging.getLogger("actinium.shards")

END_SECONDS = 5.0
"""How long a shard may take to end, beyond the time its actors have for it."""

LOOK_SECONDS = 0.25
"""How long ``System.stuck`` waits for a shard that is busy."""


class ShardState(msgspec.Struct, frozen=True, kw_only=True):
    """How one shard is. Numbers begin with 1, the thread the system was started on."""

    index: int
    actors: int
    accepted: int
    handled: int
    moved_in: int = 0
    """Actors that came from busier shards since the system was started."""


class Shard(System):
    """One of the further shards: a system inside a system, with a thread of its own."""

    def __init__(self, first: System, index: int) -> None:
        super().__init__(first.name, settings=first.settings, store=first.store)
        self._first = first
        self.index = index
        self.started: Future[None] = Future()
        self.over: asyncio.Event
        self.thread = threading.Thread(
            target=self._run, name=f"actinium.{first.name}.shard.{index}", daemon=True
        )

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - it ends the start, or the system
            if not self.started.done():
                self.started.set_exception(error)
            else:
                _log.exception("shard %d ended by a failure", self.index)

    async def _serve(self) -> None:
        first = self.whole
        shards = first._shards
        assert shards is not None
        self.over = asyncio.Event()
        await self.start()
        self._keyed()
        core = self._running()
        worth = _worth(self.settings)
        shard_core(core).join_shards(first._running(), self.index - 1, shards.count, worth)
        first._life.events.observed_by(lambda on: post(core, partial(core.observe, on)))
        self.started.set_result(None)
        await self.over.wait()

    def _end_on_fatal(self) -> None:
        fatal = self._life.supervisor.fatal
        assert fatal is not None
        first = self.whole
        post(first._running(), partial(first._life.supervisor.end_all, fatal))


class ShardThreads:
    """Fills the core's plug ``shards``; see ``core.sharding.Shards`` for the calls."""

    def __init__(self, system: System, count: int) -> None:
        if system.store is not None and not isinstance(system.store, SqliteStore):
            raise UsageError(
                f"a {type(system.store).__name__} serves one thread; with shards write "
                'ac.System(shards=..., store=await ac.SqliteStore.open("state.db"))'
            )
        worth = system.settings.move_us
        if worth is not None and worth < 0:
            raise ConfigError(f"move_us: expected 0 or more microseconds, or None, got {worth!r}")
        self.count = count
        self._system = system
        self._shards: list[Shard] = []
        self._by_thread: dict[int, System] = {}
        self._named: set[str] = set()
        """Names taken below /user, on any shard."""
        self._lock = threading.Lock()

    def _all(self) -> Iterator[tuple[int, System]]:
        yield 1, self._system
        yield from ((shard.index, shard) for shard in self._shards)

    def _here(self) -> System:
        """The shard whose thread this is; raises UsageError on any other thread."""
        here = self._by_thread.get(threading.get_ident())
        if here is None:
            raise UsageError(
                "actors are spawned, and entities reached, on a thread of their system; from "
                "another one use ac.blocking(system), or loop.call_soon_threadsafe(...)"
            )
        return here

    # -- start

    async def start(self) -> None:
        system = self._system
        core = system._running()
        shard_core(core).join_shards(None, 0, self.count, _worth(system.settings))
        system._keyed()  # on its own thread
        system._life.events.shared = True
        system._life.registry.across = partial(post, core)
        shards = [Shard(system, index) for index in range(2, self.count + 1)]
        for shard in shards:
            shard.thread.start()
        starts = [asyncio.wrap_future(shard.started) for shard in shards]
        failures = await asyncio.gather(*starts, return_exceptions=True)
        self._shards = [s for s, failed in zip(shards, failures, strict=True) if failed is None]
        for failure in failures:
            if failure is not None:
                raise failure
        self._by_thread = {shard.thread.ident or 0: shard for shard in self._shards}
        self._by_thread[threading.get_ident()] = system

    # -- use

    def spawn(self, cls: type[Any], /, *args: Any, **kwargs: Any) -> LocalRef[Any]:
        """Starts an actor on the shard that ``place`` says (default: the one with fewest)."""
        place = check_place(kwargs.pop("place", "any"), self.count, "a shard")
        here = self._here()
        name = kwargs.get("name")
        if name is not None:
            check_name(name)
        shards = dict(self._all())
        if place == "local":
            target = here
        else:
            load = {n: float(shard_core(shard._running()).load()[0]) for n, shard in shards.items()}
            target = shards[choose(place, shards, load) or 1]
        if name is None:
            moves = self._system.settings.move_us is not None
            mobile = moves and place == "any" and is_mobile(cls)
            return self._spawn_on(target, here, name, cls, args, kwargs, mobile)
        with self._lock:
            if name in self._named:
                raise NameTaken(f"/user has a child named {name!r} already")
            self._named.add(name)
        try:
            cell = self._spawn_on(target, here, name, cls, args, kwargs)
        except BaseException:
            self._named.discard(name)
            raise
        on_stop(cell, lambda ref, reason: self._named.discard(name))
        return cell

    def _spawn_on(
        self,
        target: System,
        here: System,
        name: str | None,
        cls: type[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        mobile: bool = False,
    ) -> LocalRef[Any]:
        core = target._running()
        cell: LocalRef[Any]
        if target is here:
            cell = core.spawn(cls, *args, **kwargs)
            if mobile:
                shard_cell(cell).set_mobile()
            return cell
        cell = shard_core(core).reserve(target._user, cls)
        if name is not None:
            extra_of(cell).name = name  # nobody else knows the cell yet
        if not post(core, partial(_settle, target, cell, cls, args, kwargs, mobile)):
            raise UsageError(f"system {self._system.name!r} has ended: it cannot spawn any more")
        return cell

    def entity(self, cls: type[Actor], key: str) -> LocalRef[Any] | None:
        """A ref to the entity of a key, on the shard that its key belongs to."""
        shards = dict(self._all())
        owner = shards[rendezvous(f"{cls.__module__}:{cls.__qualname__}/{key}", shards)]
        here = self._here()
        if owner is not here:
            return entity_on(owner, here._running(), cls, key)
        return None if here is self._system else here.entity(cls, key)._live()

    def lookup(self, path: str) -> LocalRef[Any] | None:
        """Looks again if an actor moved meanwhile: it may have slipped past."""
        while True:
            moves = self._moves()
            for _, shard in self._all():
                try:
                    return shard._life.lookup(shard._root, path)
                except ActorNotFound:
                    continue
            if moves == self._moves():
                return None

    def _moves(self) -> int:
        """How often an actor of this system has changed its shard."""
        return shard_core(self._system._running()).load()[3]

    # -- looking

    def states(self) -> tuple[ShardState, ...]:
        found = []
        for index, shard in self._all():
            counts = shard._running().statistics()
            found.append(
                ShardState(
                    index=index,
                    actors=counts["actors"],
                    accepted=counts["accepted"],
                    handled=counts["handled"],
                    moved_in=shard_core(shard._running()).load()[2],
                )
            )
        return tuple(found)

    def statistics(self) -> dict[str, int]:
        whole = self._system._statistics_here()
        total: Counter[str] = Counter()
        for _, shard in self._all():
            total.update(shard._statistics_here())
        # What is counted once for all shards is not the sum of as many looks at it.
        once = {"dead_letters"} | {n for n in whole if n.endswith("_bytes") or n.startswith("slab")}
        return {name: whole[name] if name in once else n for name, n in total.items()}

    def stuck(self, seconds: float) -> list[Stuck]:
        """A shard that a handler blocks does not answer; its watchdog tells of that one."""
        looks: list[Future[list[Stuck]]] = []
        for shard in self._shards:
            look: Future[list[Stuck]] = Future()
            if post(shard._running(), partial(_look, shard, seconds, look)):
                looks.append(look)
        found: list[Stuck] = []
        for look in looks:
            try:
                found += look.result(LOOK_SECONDS)
            except TimeoutError:
                continue
        return found

    # -- the end

    async def quiet(self) -> None:
        """Every shard was idle, and nothing happened on any since the last time that was so.

        What one shard sent to another while that was looked at has raised a counter by then.
        """
        before: tuple[int, list[tuple[int, int, int]]] | None = None
        while True:
            await asyncio.gather(
                *(across(s._running(), s._idle_here, lambda: None) for _, s in self._all())
            )
            counts = [shard._running().statistics() for _, shard in self._all()]
            now = (
                self._moves(),
                [(c["accepted"], c["handled"], c["withdrawn"]) for c in counts],
            )
            if now == before:
                return
            before = now

    async def end(self, limit: float) -> Ledger:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for shard in self._shards:
            core = shard._running()
            post(core, core.set_closing)
        if limit > 0:
            try:
                async with asyncio.timeout(limit):
                    await self.quiet()
            except TimeoutError:
                _log.warning("the shards are not quiet after %g s; they are ended", limit)
        left = max(0.0, limit - (loop.time() - began))
        reports = await asyncio.gather(*(self._end_one(shard, left) for shard in self._shards))
        return self._ledger([report for report in reports if report is not None])

    async def _end_one(self, shard: Shard, left: float) -> Report | None:
        """None: it is held up by a handler that blocks its thread, and is left behind."""
        try:
            async with asyncio.timeout(left + END_SECONDS):
                report = await across(
                    shard._running(),
                    lambda: System.shutdown(
                        shard, drain_timeout=left, policy="drain" if left > 0 else "drop"
                    ),
                )
        except (TimeoutError, ActiniumError):
            _log.error("shard %d did not end: a handler blocks its thread", shard.index)
            return None
        shard._running().loop.call_soon_threadsafe(shard.over.set)
        await asyncio.to_thread(shard.thread.join, END_SECONDS)
        return report

    def _ledger(self, reports: list[Report]) -> Ledger:
        late = sum(shard_core(shard._running()).load()[1] for _, shard in self._all())
        return Ledger(
            accepted=sum(r.accepted for r in reports) + late,
            handled=sum(r.handled for r in reports),
            dead_lettered=sum(r.dead_lettered for r in reports) + late,
            withdrawn=sum(r.withdrawn for r in reports),
            forced=sum(r.forced for r in reports),
            lost=sum(r.lost for r in reports),
        )


def _worth(settings: Settings) -> int:
    """Nanoseconds of work that has to wait for an actor before it moves."""
    return (settings.move_us or 0) * 1000


def _look(shard: Shard, seconds: float, look: Future[list[Stuck]]) -> None:
    try:
        look.set_result(stuck_below(shard._root, seconds, shard.now()))
    except Exception as error:  # noqa: BLE001 - it is the caller's
        look.set_exception(error)


def _settle(
    shard: System,
    cell: LocalRef[Any],
    cls: type[Any],
    args: Any,
    kwargs: dict[str, Any],
    mobile: bool,
) -> None:
    """Makes an actor that another shard has spawned; what fails ends it, and those who ask."""
    try:
        shard._life.settle(shard._user, cell, cls, args, kwargs)
        if mobile:
            shard_cell(cell).set_mobile()
    except Exception as error:  # noqa: BLE001 - whatever a constructor raises
        extra_of(cell).reason = f"not spawned: {error}"
        _log.error("%s could not be spawned: %s", cell.path, error, exc_info=error)
