"""One limit for many processes and machines, kept exactly by a Redis server (LM-3)."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from hashlib import sha1
from importlib import resources
from math import inf
from typing import Any, Final, TypeVar

from actinium._native import Charge
from actinium.base.secret import Secret, read_secret
from actinium.errors import LimitStoreDown, MissingExtra

from .headers import Told
from .limiter import KINDS, Limiter, Need
from .meter import SPAN
from .policy import RateLimits

try:
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import NoScriptError, RedisError
except ImportError as error:
    raise MissingExtra("redis", "limits.strict = 'redis'") from error

T = TypeVar("T")

_SECONDS: Final = 0.5
"""How long a call may take before the store counts as down."""
_DOWN_SECONDS: Final = 1.0
"""How long nobody asks a store that was down."""
_POLL_SECONDS: Final = 0.1
"""Between two questions for a place that a request of another process has."""
_BATCH: Final = 64
_REMEMBERED: Final = 256
_NEVER: Final = (0.0, 0.0)

_log = logging.getLogger("actinium.inference.limits")


class Grant:
    """What the store gave to one request. ``window`` None: it was away, and the limits of this
    process alone hold."""

    __slots__ = ("id", "need", "window")

    def __init__(self, id: str, need: Need, window: int | None) -> None:
        self.id = id
        self.need = need
        self.window = window


class SharedCharge:
    """A charge of this process with what the store knows it by."""

    __slots__ = ("_grant", "_limiter", "_local")

    def __init__(self, limiter: SharedLimiter, local: Charge, grant: Grant) -> None:
        self._limiter = limiter
        self._local = local
        self._grant = grant

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self._local.open

    def settle(self, now: float, /, *amounts: int) -> bool:
        """What it really used is told the store as well."""
        ended = self._local.settle(now, *amounts)
        if ended:
            self._limiter._return(self._grant, amounts)
        return ended

    def release(self) -> bool:
        """It is given back in the store as well."""
        ended = self._local.release()
        if ended:
            self._limiter._return(self._grant)
        return ended


class SharedLimiter:
    """A :class:`Limiter` whose every charge a Redis server has granted before.

    One call of a script takes a request's need of all limits or tells how long to wait, by the
    server's clock; so however many processes ask, the limits hold in any 60 s. :meth:`ask` gets a
    grant, :meth:`wait` then says 0 and :meth:`take` uses it up. For those who wait in a gate's
    queue the gate itself asks with :meth:`seek`, and ``changed`` has it look again.

    The limits of this process are charged as well. Where the store is away they alone hold
    (``on_store_error = "local"``), or nobody gets in (``"refuse"``).
    """

    def __init__(
        self, name: str, limits: RateLimits, *, most: int | None = None, lasts: float = 660.0
    ) -> None:
        self._local = Limiter(limits, most=most)
        self._limits = limits
        self._lasts = int(lasts * 1000)
        key = limits.key or name
        self._keys = (f"actinium:{{{key}}}:used", f"actinium:{{{key}}}:running")
        self._secret = _address(limits.store)
        self._redis: Redis | None = None
        self._node = uuid.uuid4().hex[:12]
        self._made = 0
        self._grants: dict[Need, list[Grant]] = {}
        self._again: dict[Need, tuple[float, float]] = {}  # when to ask, and when at the soonest
        self._asked: set[Need] = set()
        self._used: dict[str, float] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._calls: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []
        self._sender: asyncio.Task[None] | None = None
        self._down_until = 0.0
        self._closed = False
        self.up = True
        self.errors = 0
        self.changed: Callable[[], None] = lambda: None

    @property
    def local(self) -> Limiter:
        """The limits of this process."""
        return self._local

    def go_on(self, local: Limiter) -> None:
        """Goes on with what another limiter of this process has counted and learned."""
        self._local = local

    @property
    def running(self) -> int:
        """Requests of this process."""
        return self._local.running

    @property
    def concurrent(self) -> int | None:
        return self._local.concurrent

    @property
    def used_elsewhere(self) -> int:
        return self._local.used_elsewhere

    async def ask(self, need: Need) -> Grant | None:
        """Asks the store for a request; None where it has to wait, see :meth:`wait`.

        Raises LimitStoreDown where the store is away and ``on_store_error`` is ``"refuse"``.
        """
        task = self._background(self._acquire(need))
        try:
            grant = await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._unwanted)
            raise
        if grant is not None:
            self._grants.setdefault(need, []).append(grant)
        return grant

    def leave(self, grant: Grant) -> None:
        """Gives a grant back that nobody has used up."""
        waiting = self._grants.get(grant.need, [])
        if grant in waiting:
            waiting.remove(grant)
            if not waiting:
                del self._grants[grant.need]
            self._return(grant)

    def wait(self, now: float, need: Need) -> float:
        """0 where there is a grant; else seconds until the store can be asked again, ``inf`` when
        it can be or is being asked."""
        if self._local.concurrent is not None and self._local.running >= self._local.concurrent:
            return inf
        if need in self._grants:
            return 0.0
        again = self._again.get(need, _NEVER)[0] - now
        return again if again > 0 else inf

    def seek(self, need: Need) -> None:
        """Asks the store for one who waits in the gate's queue; ``changed`` tells the end."""
        now = asyncio.get_running_loop().time()
        full = self.concurrent is not None and self.running >= self.concurrent
        later = self._again.get(need, _NEVER)[0] > now
        if need not in self._asked and not (full or later):
            self._asked.add(need)
            self._background(self._ask_for_queue(need))

    def least_wait(self, now: float, need: Need) -> float:
        """Seconds to wait as far as the store told; others may end before."""
        if now < self._down_until:
            return self._local.least_wait(now, need)
        return max(0.0, self._again.get(need, _NEVER)[1] - now)

    def due(self, now: float, need: Need) -> float:
        """See :meth:`wait`."""
        return self.wait(now, need)

    def try_take(self, now: float, need: Need) -> SharedCharge | None:
        """Uses up a grant if there is one."""
        return self.take(now, need) if self.wait(now, need) == 0 else None

    def take(self, now: float, need: Need) -> SharedCharge:
        """Uses up a grant."""
        waiting = self._grants[need]
        grant = waiting.pop()
        if not waiting:
            del self._grants[need]
        return SharedCharge(self, self._local.take(now, need), grant)

    def learn(self, now: float, told: Mapping[str, Told]) -> float:
        """See :meth:`Limiter.learn`; what is learnt lowers the limits this process asks with."""
        return self._local.learn(now, told)

    def refused(self, now: float) -> None:
        """See :meth:`Limiter.refused`."""
        self._local.refused(now)

    def used_ratio(self, now: float) -> dict[str, float]:
        """The used part of each limit by all, as the store told last; else that by this process."""
        return {**self._local.used_ratio(now), **(self._used if self.up else {})}

    async def close(self) -> None:
        """Waits for calls under way and lets go of the connections."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2 * _SECONDS)
        for task in self._tasks:
            task.cancel()
        if self._redis is not None:
            await self._redis.aclose()
            self._redis = None

    # -- the store

    async def _acquire(self, need: Need) -> Grant | None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now < self._down_until:
            return self._without(need, now)
        self._made += 1
        id = f"{self._node}:{self._made}"
        limits = self._effective(now)
        amounts = dict(zip(KINDS, need.amounts, strict=True))
        asked = [part for kind, limit in limits.items() for part in (kind, limit, amounts[kind])]
        try:
            answer = await self._call(
                "acquire.lua", id, self._lasts, self._limits.concurrent or 0, SPAN, *asked
            )
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)
            return self._without(need, loop.time())
        self._well()
        for (kind, limit), total in zip(limits.items(), answer[3:], strict=False):
            self._used[kind] = total / limit
        if answer[0]:
            self._again.pop(need, None)
            return Grant(id, need, answer[1])
        wait = _POLL_SECONDS if answer[1] < 0 else answer[1] / 1000
        self._later(need, loop.time(), wait, answer[2] / 1000)
        return None

    def _without(self, need: Need, now: float) -> Grant | None:
        """What holds while the store is away."""
        if self._limits.on_store_error == "refuse":
            error = LimitStoreDown("the store of the limits cannot be asked; try again later")
            error.retry_after = _DOWN_SECONDS
            raise error
        wait = self._local.wait(now, need)
        if wait > 0:
            self._later(need, now, min(wait, _DOWN_SECONDS))
            return None
        return Grant("", need, None)

    async def _ask_for_queue(self, need: Need) -> None:
        """For somebody who waits in the gate's queue."""
        grant: Grant | None = None
        try:
            grant = await self._acquire(need)
        except LimitStoreDown:
            self._later(need, asyncio.get_running_loop().time(), _DOWN_SECONDS)
        finally:
            self._asked.discard(need)
        if grant is not None:
            self._grants.setdefault(need, []).append(grant)
        if not self._closed:
            self.changed()
        if grant is not None:
            self.leave(grant)  # who waited has gone

    def _return(self, grant: Grant, used: Sequence[int] = (0, 0, 0, 0)) -> None:
        """Tells the store the end of a request and what it used, in the background."""
        if grant.window is not None and not self._closed:
            self._background(self._settle(grant, used))

    async def _settle(self, grant: Grant, used: Sequence[int]) -> None:
        changes: list[str | int] = []
        kinds = self._local.meters
        for kind, was, now in zip(KINDS, grant.need.amounts, used, strict=True):
            if kind in kinds and now != was:
                changes += (kind, now - was)
        try:
            await self._call("settle.lua", grant.id, grant.window or 0, SPAN, *changes)
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)  # its place ends by itself, its tokens stay counted
            return
        self._again.clear()
        self.changed()

    async def _call(self, script: str, *arguments: str | int) -> Any:
        """Runs a script; calls of one turn of the loop, and those that come while one is under
        way, go together. Raises what the client raises."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls.append(((_HASHES[script], 2, *self._keys, *map(str, arguments)), answer))
        if self._sender is None or self._sender.done():
            self._sender = self._background(self._send())
        return await answer

    async def _send(self) -> None:
        while self._calls:
            batch, self._calls = self._calls[:_BATCH], self._calls[_BATCH:]
            error: Exception | None = None
            results: list[Any] = []
            try:
                results = await self._evaluated([call for call, _ in batch])
            except (RedisError, OSError, TimeoutError) as raised:
                error = raised
            for at, (_, answer) in enumerate(batch):
                found = error if error is not None else results[at]
                if answer.done():
                    continue
                if isinstance(found, Exception):
                    answer.set_exception(found)
                else:
                    answer.set_result(found)

    async def _evaluated(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The answers of calls in their order; errors of single ones stand among them."""
        redis = self._redis
        if redis is None:
            redis = self._redis = Redis.from_url(
                self._secret.reveal(), socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS,
                # Once more where the server had closed an idle connection.
                retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
            )  # fmt: skip
        for _ in range(2):
            pipe = redis.pipeline(transaction=False)
            for call in calls:
                pipe.evalsha(*call)
            results = await pipe.execute(raise_on_error=False)
            if not any(isinstance(result, NoScriptError) for result in results):
                break
            for text in _SCRIPTS.values():
                await redis.script_load(text)
        return list(results)

    def _effective(self, now: float) -> dict[str, int]:
        """The limits to ask with: those configured, or less as the upstream taught."""
        return {
            kind: limit
            for kind, meter in self._local.meters.items()
            if (limit := meter.limit(now)) is not None
        }

    def _later(self, need: Need, now: float, wait: float, least: float = 0.0) -> None:
        if len(self._again) >= _REMEMBERED:
            self._again.clear()
        self._again[need] = now + wait, now + least

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        self._down_until = asyncio.get_running_loop().time() + _DOWN_SECONDS
        if self.up:
            self.up = False
            holds = "this process's own limits hold"
            if self._limits.on_store_error == "refuse":
                holds = "requests are refused"
            _log.warning("the store of limits is away (%s): %s", type(error).__name__, holds)

    def _well(self) -> None:
        if not self.up:
            self.up = True
            _log.info("the store of limits is back")

    def _unwanted(self, task: asyncio.Task[Grant | None]) -> None:
        """Who asked has left before the answer."""
        if not task.cancelled() and task.exception() is None and (grant := task.result()):
            self._return(grant)

    def _background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _address(store: str) -> Secret:
    """Where the store is; a reference is resolved, since such an address may hold a password."""
    if store.startswith(("env:", "file:")):
        return read_secret(store, os.environ)
    return Secret(store, "limits.store")


_SCRIPTS: Final = {
    name: resources.files(__package__).joinpath(name).read_text("utf-8")
    for name in ("acquire.lua", "settle.lua")
}
_HASHES: Final = {name: sha1(text.encode()).hexdigest() for name, text in _SCRIPTS.items()}
