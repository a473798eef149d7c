"""A pool: workers of one class behind a router, as many as their queues ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actinium.core import Actor, Context, LocalRef, Message, System, Unchecked, on
from actinium.errors import ConfigError

from .choose import LeastLoaded
from .members import Member, is_alive
from .router import Router
from .strategy import Strategy


class _Look(Message):
    """Time to see whether the size is right."""


class _Workers:
    """The pool's workers that take messages; those that are draining are no longer here."""

    def __init__(self) -> None:
        self.members: tuple[Member, ...] = ()

    def now(self) -> tuple[Member, ...]:
        return self.members


class _Keeper(Actor):
    """Spawns the workers, supervises them, and keeps their number right."""

    def __init__(self, pool: Unchecked[Pool]) -> None:
        self.pool = pool.value
        self.numbers = iter(range(1, 2**62))

    def started(self) -> None:
        self.pool._workers.members = ()
        for _ in range(self.pool.least):
            self._add()
        self.ctx.schedule(self.pool.every, _Look(), every=self.pool.every)

    def _add(self) -> None:
        pool = self.pool
        ref = self.ctx.spawn(pool.cls, *pool.args, **pool.kwargs)
        pool._workers.members = (*pool._workers.members, Member(f"{next(self.numbers)}", ref))

    def _leave(self, ref: LocalRef[Any]) -> None:
        workers = self.pool._workers
        workers.members = tuple(m for m in workers.members if m.ref is not ref)

    @on
    def look(self, m: _Look) -> None:
        """At most one step at a time, toward the target depth."""
        pool = self.pool
        members = tuple(m for m in pool._workers.members if is_alive(m.ref))
        pool._workers.members = members
        if len(members) < pool.least:
            self._add()
            return
        depth = sum(member.ref.depth for member in members) / len(members)
        if depth > pool.target_depth and len(members) < pool.most:
            self._add()
        elif len(members) > pool.least and self._would_do(depth, len(members) - 1):
            least = min(reversed(members), key=lambda member: member.ref.depth)
            self._leave(least.ref)
            least.ref.stop(drain=True)  # what waits for it is handled first

    def _would_do(self, depth: float, fewer: int) -> bool:
        """Whether so many workers would stay well below the target depth."""
        return depth * (fewer + 1) / fewer < self.pool.target_depth / 2


class Pool(Router):
    """A router over workers that it spawns, supervises and adds or drains by need.

    ``size`` is how many there may be, ``(least, most)``. Every ``every`` seconds one worker is
    added if on average more than ``target_depth`` messages wait for each, and one is drained and
    stopped if fewer would than half of that without it. A worker that stopped for good is
    replaced in the same steps. ``parent`` is a system or an actor's context; the pool ends with
    it, or by ``stop``.

    >>> pool = ac.Pool(system, Worker, size=(2, 8))
    >>> await pool.ask(Job(1))
    """

    def __init__(
        self,
        parent: System | Context,
        cls: type[Actor],
        *args: Any,
        size: tuple[int, int] = (1, 8),
        target_depth: float = 10.0,
        every: float = 1.0,
        by: Strategy | None = None,
        name: str | None = None,
        wait: float = 0.0,
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.least, self.most = size
        if not 1 <= self.least <= self.most:
            raise ConfigError(f"a pool's size is (least, most) with 1 <= least, got {size!r}")
        if target_depth <= 0 or every <= 0:
            raise ConfigError(
                "target_depth and every must be above 0, got "
                f"target_depth={target_depth!r}, every={every!r}"
            )
        self.cls = cls
        self.args: Sequence[Any] = args
        self.kwargs = dict(kwargs or {})
        self.target_depth = target_depth
        self.every = every
        self.by = by if by is not None else LeastLoaded()
        self._members = self._workers = _Workers()
        self._wait = wait
        self._system = parent if isinstance(parent, System) else parent.system
        options = {"name": name} if name is not None else {}
        self._keeper: LocalRef[Any] = parent.spawn(_Keeper, Unchecked(self), **options)

    @property
    def path(self) -> str:
        """The path of the actor that holds the workers."""
        return self._keeper.path

    def stop(self, *, drain: bool = False) -> None:
        """Stops all workers; with ``drain`` they handle what they hold first."""
        self._workers.members = ()
        self._keeper.stop(drain=drain)

    async def stopped(self) -> str:
        """Waits until the pool has stopped; returns the reason."""
        return await self._keeper.stopped()
