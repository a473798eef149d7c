"""The actor system: its shard, the tree of actors, and an orderly end."""

from __future__ import annotations

import asyncio
import functools
import random
import weakref
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import msgspec

from actinium import _native
from actinium.base import plugs
from actinium.errors import SystemFailed, UsageError

from .actor import Actor
from .afterlife import Afterlife
from .away import across
from .budget import Level, MemoryBudget
from .context import Context
from .deadletters import DeadLetters, Limits
from .extra import extra_of
from .failure import OnFatal, reason_of
from .lifecycle import Lifecycle
from .ossignals import StopSignals
from .ref import LocalRef
from .shardcore import post_to
from .sharding import check_shards
from .shutdown import Hook, Phase, PhaseLimits, Policy, Report, Shutdown, check_policy
from .supervision import CoolDown, OneForOne, SupervisorStrategy
from .watchdog import Stuck, Watchdog, stuck_below
from .workers import Workers

if TYPE_CHECKING:
    from actinium.store import Store

    from .activations import Entities
    from .entity import EntityRef
    from .events.stream import Events
    from .registry.registry import Registry
    from .remote import WorkerPool
    from .sharding import Shards

A = TypeVar("A", bound=Actor)
T = TypeVar("T")

_systems: weakref.WeakValueDictionary[int, System] = weakref.WeakValueDictionary()


def system_of(ref: LocalRef[Any]) -> System:
    """The system a local ref belongs to; where it has several shards, the ref's own."""
    return _systems[id(ref.core)]


def _on_first_shard(
    method: Callable[..., Coroutine[Any, Any, T]],
) -> Callable[..., Coroutine[Any, Any, T]]:
    """What belongs to the thread the system was started on, made to run there for all shards."""

    @functools.wraps(method)
    async def run(self: System, *args: Any, **kwargs: Any) -> T:
        if self._shards is None or asyncio.get_running_loop() is self._running().loop:
            return await method(self, *args, **kwargs)
        return await across(self._running(), lambda: method(self, *args, **kwargs))

    return run


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a system runs.

    ``slice_us``: longest run of actors before the event loop gets its turn (microseconds).
    ``batch``: most messages one actor handles in a row. ``ask_timeout``: seconds an ask waits
    unless told otherwise. ``drain_timeout``: seconds a shutdown lets actors finish,
    ``phase_limits`` those of its other phases.
    ``memory_limit``: bytes of payload that may wait in mailboxes and streams (0: no limit).

    ``dead_letters``: how many are kept in memory, up to ``dead_letter_bytes`` and for
    ``dead_letter_age`` seconds, ``whole`` or only what describes them (``meta``);
    ``dead_letter_spool``: how many more a spool keeps. ``max_live``: how many entities of all
    classes may be in memory.

    ``on_fatal``: what a failure that reaches the root ends, the system (``shutdown``) or only the
    top-level actor it came from (``stop_branch``). ``hook_timeout``: seconds an ``async`` hook of
    an actor's life may take. ``watchdog``: seconds after which a handler that blocks the event loop
    is reported (0: never). ``move_us``: with shards, how much work has to wait for an actor before
    it moves to a shard that has none, in microseconds (None: actors stay where they were placed).
    """

    slice_us: int = 200
    batch: int = 64
    ask_timeout: float = 5.0
    drain_timeout: float = 30.0
    phase_limits: PhaseLimits = PhaseLimits()
    dead_letters: int = 4096
    dead_letter_bytes: int = 64 * 1024 * 1024
    dead_letter_age: float = 3600.0
    dead_letter_keep: Literal["whole", "meta"] = "whole"
    dead_letter_spool: int = 1_000_000
    max_live: int | None = None
    supervise: SupervisorStrategy = OneForOne()
    on_fatal: OnFatal = "shutdown"
    hook_timeout: float = 5.0
    watchdog: float = 5.0
    memory_limit: int = 0
    move_us: int | None = 200


class Guardian(Actor):
    """An actor that only holds children: the root and ``/user``. What reaches it is fatal."""

    __actinium_guardian__ = True


class System:
    """Actors of one process on the running event loop, or on several threads with a loop each.

    >>> async with System("demo") as system:
    ...     counter = system.spawn(Counter)
    ...     counter.tell(Add(2))
    ...     assert await counter.ask(Get()) == 2

    ``store`` keeps the state of durable entities, and ``spool`` dead letters; both outlive the
    system, which does not close them.

    ``workers`` processes run actors beside this one; ``shards`` threads share them out on an
    interpreter without a GIL (``"auto"``: as many as there are cores, and 1 with a GIL), see
    docs/howto/free-threaded.md. Raises Unsupported for shards where there is a GIL.

    With ``handle_signals`` SIGINT and SIGTERM begin its shutdown, and a second one forces it;
    ``await system.ended()`` then waits for it. Main thread only.
    """

    def __init__(
        self,
        name: str = "actinium",
        *,
        settings: Settings | None = None,
        store: Store | None = None,
        spool: Store | None = None,
        workers: int | Workers = 0,
        shards: int | Literal["auto"] = 1,
        handle_signals: bool = False,
        _core_options: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.settings = settings if settings is not None else Settings()
        self.store = store
        self._spool = spool
        processes = workers if isinstance(workers, Workers) else Workers(workers)
        self._workers: WorkerPool | None = None
        if processes.count:
            self._workers = plugs.filled("workers")(self, processes)
        self._first: System | None = None
        """The system's first shard, where this is another one of it."""
        self._shards: Shards | None = None
        count = check_shards(shards, processes.count)
        if count > 1:
            self._workers = self._shards = plugs.filled("shards")(self, count)
        self._core_options = _core_options or {}
        self._core: _native.Core | None = None
        self._life: Lifecycle
        self._entities: Entities | None = None
        self._handle_signals = handle_signals
        self._signals: StopSignals | None = None
        self._watchdog: Watchdog | None = None
        self._ending: asyncio.Task[Report] | None = None
        self._end_waiters: list[asyncio.Future[None]] = []

    # -- life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.shutdown()
        fatal = self._life.supervisor.fatal
        if isinstance(fatal, (SystemExit, KeyboardInterrupt)) and exc is None:
            raise fatal
        if fatal is not None and exc is None:
            raise SystemFailed(f"system {self.name!r} was shut down by a failure") from fatal

    async def start(self) -> None:
        """Starts on the running loop; ``async with`` does it for you."""
        if self._core is not None:
            raise UsageError(f"system {self.name!r} was started already")
        s = self.settings
        options = dict(self._core_options)
        seed = options.pop("seed", 0)
        self._core = core = _native.Core(
            asyncio.get_running_loop(),
            LocalRef,
            Context,
            slice_ns=s.slice_us * 1000,
            batch=s.batch,
            ask_timeout=s.ask_timeout,
            memory_limit=self._part(s.memory_limit) if s.memory_limit else 0,
            **options,
        )
        limits = Limits(
            records=s.dead_letters,
            bytes=s.dead_letter_bytes,
            age=s.dead_letter_age,
            keep=s.dead_letter_keep,
            spooled=s.dead_letter_spool,
        )
        first = self._first._life if self._first is not None else None
        self._life = Lifecycle(core, s.supervise, s.on_fatal, s.hook_timeout, limits, seed, first)
        try:
            if first is None:
                await self._life.dead_letters.open(self._spool, self.name, self._resolve)
        except BaseException:
            core.close(Afterlife(self._life.dead_letters))
            self._core = None
            raise
        self._life.memory_use.on_change(self._relieve)
        _systems[id(core)] = self
        self._root = core.spawn_root(Guardian)
        self._user = core.spawn_plain(self._root, Guardian, (), None)
        extra_of(self._user).name = "user"
        self._life.names.add(self._root, "user", self._user)
        core.set_user(self._user)
        self.spawn = core.spawn  # type: ignore[method-assign,assignment] # saves a Python call per actor
        self._shutdown = Shutdown(
            core,
            self._life,
            self._root,
            self._user,
            self._idle_here,
            {
                "ingress": s.phase_limits.ingress,
                "drain_user": s.drain_timeout,
                "drain_system": s.phase_limits.drain_system,
                "leave_cluster": s.phase_limits.leave_cluster,
                "flush": s.phase_limits.flush,
            },
        )
        self._life.supervisor.end = self._end_on_fatal
        if self._handle_signals:
            self._signals = StopSignals(self._begin_shutdown, self._shutdown.force)
        if s.watchdog and not options.get("manual"):
            self._watchdog = Watchdog(core, self.name, s.watchdog, self._life.events)
        if self._workers is not None:
            self._shutdown.workers = self._workers
            try:
                await self._workers.start()
            except BaseException:
                await self.shutdown(drain_timeout=0)
                raise
            self.spawn = self._workers.spawn  # type: ignore[method-assign,assignment]

    # -- use

    def spawn(self, cls: type[A], *args: Any, **kwargs: Any) -> LocalRef[A]:
        """Starts an actor below ``/user`` and returns its ref at once.

        ``args`` and ``kwargs`` go to the class; the keywords ``name``, ``mailbox``,
        ``supervise`` and ``priority`` are the runtime's. Raises SpawnError when the constructor
        fails and NameTaken for a living sibling's name.
        """
        ref: LocalRef[A] = self._running().spawn(cls, *args, **kwargs)
        return ref

    def lookup(self, path: str) -> LocalRef[Any]:
        """The living actor at a path such as ``/user/counter``; raises ActorNotFound."""
        if self._workers is not None:
            far = self._workers.lookup(path)
            if far is not None:
                return far
        return self._life.lookup(self._root, path)

    def _resolve(self, path: str) -> Any:
        """A ref for the path in a dead letter of an earlier process."""
        if path.startswith("/entity/") and self._entities is not None:
            return self._entities.lookup(path)
        return self.lookup(path)

    def entity(self, cls: type[A], key: str) -> EntityRef[A]:
        """The actor of a class for a key: made on its first message, gone when idle."""
        return self._keyed().ref(cls, key)

    def _keyed(self) -> Entities:
        if self._entities is None:
            from .activations import Entities

            self._entities = Entities(self)
        return self._entities

    def workers(self) -> tuple[Any, ...]:
        """How each worker process is (``actinium.cluster.WorkerState``); empty without any."""
        if self._workers is None or self._shards is not None:
            return ()
        return self._workers.states()

    def shards(self) -> tuple[Any, ...]:
        """How each shard is (``actinium.cluster.ShardState``); empty where there is only one."""
        return self._shards.states() if self._shards is not None else ()

    @property
    def whole(self) -> System:
        """The system as its maker has it; only one of its further shards is not that itself."""
        return self._first if self._first is not None else self

    def _part(self, total: int) -> int:
        """This shard's part of what the whole system may have."""
        shards = self.whole._shards
        return max(1, total // shards.count) if shards is not None else total

    @property
    def dead_letters(self) -> DeadLetters:
        """Every message that reached no handler."""
        return self._life.dead_letters

    @property
    def registry(self) -> Registry:
        """Names that everybody may look up, by pattern too."""
        self._running()
        return self._life.registry

    @property
    def events(self) -> Events:
        """Publish and subscribe: events of the runtime and of the program."""
        self._running()
        return self._life.events

    @property
    def memory(self) -> MemoryBudget:
        """What waiting payload takes of memory, by region, and actions near the limit."""
        self._running()
        return self._life.memory_use

    def _relieve(self, level: Level) -> None:
        if level in ("high", "critical") and self._entities is not None:
            self._entities.passivate_idle()

    def statistics(self) -> dict[str, int]:
        """Counters of the shard; all but gauges only grow."""
        if self._shards is not None:
            return self._shards.statistics()
        return self._statistics_here()

    def _statistics_here(self) -> dict[str, int]:
        core = self._running()
        return {
            **core.statistics(),
            **{f"{name}_bytes": held for name, (_, held) in _native.memory()["regions"].items()},
            "dead_lettered": self._life.undelivered.count,
            "dead_letters": sum(self.dead_letters.counts.values()),
            "restarts": self._life.supervisor.restarts,
            **(self._entities.statistics() if self._entities is not None else {}),
        }

    @property
    def random(self) -> random.Random:
        """The system's source of chance: restarts and retries draw from it; seeded in a test."""
        return self._life.supervisor.random

    def now(self) -> float:
        """The system's clock in seconds (monotonic; virtual in a test system)."""
        return self._running().now()

    def stuck(self, seconds: float = 1.0) -> list[Stuck]:
        """Handlers that have awaited something for so long, with the place where each waits.

        One that blocks the event loop leaves nobody to ask: see ``Settings.watchdog``.
        """
        found = stuck_below(self._root, seconds, self.now())
        return found if self._shards is None else [*found, *self._shards.stuck(seconds)]

    def quarantine(
        self, ref: LocalRef[Any], *, seconds: float = 30.0, reason: str = "asked for"
    ) -> None:
        """Takes an actor out of service, with its state; a probe after ``seconds`` decides.

        Raises UsageError unless it is active.
        """
        if ref.life_state != "active":
            raise UsageError(
                f"{ref.path} is {ref.life_state}: only an active actor can be quarantined"
            )
        cool_down = CoolDown(first=seconds, longest=max(seconds, 600.0))

        def enter() -> None:
            system_of(ref)._life.quarantines.enter(ref, None, cool_down, reason)

        if ref.away:
            post_to(ref, enter)
        else:
            enter()

    def release(self, ref: LocalRef[Any]) -> bool:
        """Ends an actor's quarantine now; False if it is in none."""

        def release() -> bool:
            return system_of(ref)._life.quarantines.release(ref)

        if ref.away:
            return ref.life_state == "quarantined" and post_to(ref, release)
        return release()

    def _running(self) -> _native.Core:
        if self._core is None:
            raise UsageError(
                f"system {self.name!r} is not started; write `async with ac.System() as system:`"
            )
        return self._core

    # -- the end

    @_on_first_shard
    async def idle(self) -> None:
        """Waits until no message is under way anywhere in this system."""
        if self._workers is not None and self._ending is None:
            await self._workers.quiet()
        else:
            await self._idle_here()

    async def _idle_here(self) -> None:
        core = self._running()
        if core.closed:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._life.idle_waiters.append(waiter)
        core.want_idle(True)
        await waiter

    @_on_first_shard
    async def shutdown(
        self,
        *,
        drain_timeout: float | None = None,
        policy: Policy = "drain",
        force: bool = False,
    ) -> Report:
        """Ends the system in phases, children before parents; see docs/howto/shut-down.md.

        With ``drain`` actors handle what they hold first, with ``drop`` that becomes dead
        letters. Messages still there after ``drain_timeout`` seconds become dead letters and
        their handlers are cancelled. May be called again, and from several places: all get the
        same report. ``force`` ends at once, also a shutdown that is under way.
        """
        check_policy(policy)
        ending = self._begin_shutdown("shutdown() was called", policy, drain_timeout)
        if force:
            self._shutdown.force()
        return await asyncio.shield(ending)

    @_on_first_shard
    async def ended(self) -> Report:
        """Waits until the system has ended, for whatever reason; begins nothing itself."""
        self._running()
        while self._ending is None:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._end_waiters.append(waiter)
            await waiter
        return await asyncio.shield(self._ending)

    def on_phase(self, phase: Phase, hook: Hook, *, limit: float | None = None) -> None:
        """Calls ``hook()`` when a phase of the shutdown begins; it may be ``async``.

        The hooks of a phase run side by side, each for at most ``limit`` seconds and no longer
        than its phase. One that fails is logged and counted, and holds up nothing.
        """
        self._running()
        self._shutdown.add_hook(phase, hook, limit)

    @property
    def phase(self) -> Phase | None:
        """The phase of the shutdown that is under way, or the last one; None while running."""
        return self._shutdown.phase if self._core is not None else None

    def _begin_shutdown(
        self, cause: str, policy: Policy = "drain", drain_timeout: float | None = None
    ) -> asyncio.Task[Report]:
        self._running()
        if self._ending is None:
            task = self._shutdown.begin(cause, policy, drain_timeout)
            self._ending = asyncio.get_running_loop().create_task(
                self._close_after(task), name=f"actinium.{self.name}.end"
            )
            for waiter in self._end_waiters:
                if not waiter.done():
                    waiter.set_result(None)
        return self._ending

    async def _close_after(self, shutdown: asyncio.Task[Report]) -> Report:
        try:
            return await shutdown
        finally:
            if self._signals is not None:
                self._signals.restore()
            if self._watchdog is not None:
                self._watchdog.close()
            self._running().close(Afterlife(self._life.dead_letters))
            if self._first is None:
                await self._life.dead_letters.close()

    def _end_on_fatal(self) -> None:
        fatal = self._life.supervisor.fatal
        assert fatal is not None
        orderly = isinstance(fatal, (SystemExit, KeyboardInterrupt))
        self._begin_shutdown(reason_of(fatal), "drain" if orderly else "drop")
