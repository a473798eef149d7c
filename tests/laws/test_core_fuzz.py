"""Actors that do anything to each other at random: nothing crashes, hangs or gets lost."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any

import pytest

from actinium import testkit
from actinium.core import Actor, Mailbox, Message, OneForOne, Settings, Stop, Terminated, on
from actinium.errors import ActiniumError
from actinium.patterns import Retry, gather
from actinium.testkit import TestSystem


class Plain(Message):
    n: int = 0


class Waiting(Message):
    n: int = 0


class Flow(Message):
    n: int = 0


class Boom(Exception):
    pass


KEEP = 20


class World:
    """What the actors of one run know: refs, replies, timers, tokens, streams, tasks."""

    def __init__(self, t: TestSystem, seed: int) -> None:
        self.t = t
        self.random = random.Random(seed)
        self.things: dict[str, list[Any]] = {}

    def keep(self, kind: str, thing: Any) -> None:
        shelf = self.things.setdefault(kind, [])
        shelf.append(thing)
        del shelf[:-KEEP]

    def take(self, kind: str) -> Any:
        shelf = self.things.get(kind)
        return shelf.pop(self.random.randrange(len(shelf))) if shelf else None

    def ref(self) -> Any:
        """An actor, now and then one that is gone."""
        shelf = self.things.get("ref")
        found = self.random.choice(shelf) if shelf else None
        if found is None or not (found.alive or self.random.random() < 0.2):
            found = self.spawn(self.t)
        return found

    def message(self) -> Any:
        return self.random.choice((Plain, Waiting, Flow))(self.random.randrange(100))

    def spawn(self, parent: Any) -> Any:
        ref = parent.spawn(self.random.choice(KINDS), self)
        self.keep("ref", ref)
        return ref

    def replay(self) -> None:
        letters = self.t.system.dead_letters
        self.keep("replay", asyncio.ensure_future(letters.replay(max_attempts=1, timeout=0)))

    # -- one random deed

    def act(self, actor: Any = None) -> None:
        """Does something, in the name of an actor or from outside."""
        ctx = actor.ctx if actor is not None else None
        ref, message, rng = self.ref(), self.message(), self.random
        deeds: list[Callable[[], Any]] = [
            *[lambda: ref.tell(message)] * 16,
            lambda: ref.tell(message, deadline=rng.random() * 0.01),
            lambda: self.keep("reply", ref.ask(message, rng.choice((None, 0.0, 0.01)))),
            lambda: ref.ask(message),
            lambda: (self.take("reply") or ref.ask(message)).cancel(),
            lambda: self.take("reply"),
            lambda: (ref.kill, ref.stop, lambda: ref.stop(drain=True), str)[rng.randrange(4)](),
            lambda: self.spawn(ctx or self.t),
            lambda: self.keep("stream", self.open(ref, message)),
            lambda: (self.take("stream") or self.open(ref, message)).take_ready(),
            lambda: self.take("ref"),
            lambda: self.replay() if rng.random() < 0.1 else 0,
            lambda: gc.collect(0),
            self.raises,
        ]
        if ctx is not None:
            again: list[Callable[[], Any]] = [  # makes work of work: not too often
                lambda: ctx.unstash_all(),
                lambda: ref.forward(),
                lambda: ref.forward(Plain(1)),
                lambda: ctx.pipe(self.later(), ok=Plain, err=rng.choice((None, lambda e: Plain()))),
            ]
            deeds += [
                lambda: ctx.watch(ref),
                lambda: ctx.unwatch(ref),
                lambda: self.keep("timer", ctx.schedule(rng.random() * 0.01, message, to=ref)),
                lambda: ctx.schedule(0.002, message, every=0.005, name="again"),
                lambda: ctx.cancel("again"),
                lambda: (self.take("timer") or ctx.schedule(0.0, message)).cancel(),
                lambda: ctx.idle_after(0.001),
                lambda: self.keep("token", ctx.defer()),
                lambda: ctx.reply(5),
                lambda: ctx.stash(),
                lambda: rng.choice(again)() if rng.random() < 0.3 else 0,
                lambda: ctx.become("odd", push=rng.random() < 0.5),
                lambda: ctx.unbecome(),
            ]
        token = self.take("token") if rng.random() < 0.1 else None
        if token is not None:
            rng.choice((lambda: token.reply(1), lambda: token.fail(Boom()), lambda: None))()
        rng.choice(deeds)()

    def open(self, ref: Any, message: Any) -> Any:
        stream = ref.stream(message, items=self.random.randrange(1, 4))
        stream._open()
        return stream

    def raises(self) -> None:
        raise self.random.choice((Boom, Boom, Stop, asyncio.CancelledError))

    async def wait(self) -> None:
        ref, message, rng = self.ref(), self.message(), self.random
        self.keep("task", asyncio.current_task())
        match rng.randrange(9):
            case 0:
                await asyncio.sleep(rng.choice((0, 0.001)))
            case 1:
                await ref.ask(message, 0.005)
            case 2:
                await asyncio.gather(ref.ask(message, 0.005), ref.ask(message, 0.001))
            case 3:
                await asyncio.wait_for(ref.ask(message), 0.002)
            case 4:
                await ref.send(message, timeout=0.002)
            case 5:
                async with ref.stream(message, items=2) as stream:
                    async for n in stream:
                        if n > rng.randrange(6):
                            break
            case 6:
                async with asyncio.timeout(0.002):
                    await ref.stopped()
            case 7:
                task = self.take("task")
                if task is not None:
                    task.cancel()
                await asyncio.sleep(0)
            case 8:
                await gather([(ref, message)] * 3, timeout=0.004, limit=2, retry=Retry(max=1))

    async def later(self) -> int:
        await asyncio.sleep(self.random.random() * 0.005)
        if self.random.random() < 0.3:
            raise Boom
        return 7


class Anyhow(Actor, stash=3):
    def __init__(self, world: World) -> None:
        self.world = world

    def often(self, most: int) -> range:
        return range(self.world.random.randrange(most))

    @on
    def plain(self, m: Plain) -> int:
        for _ in self.often(3):
            self.world.act(self)
        return m.n

    @on
    async def waiting(self, m: Waiting) -> int:
        for _ in self.often(4):
            self.world.act(self)
            await self.world.wait()
        return m.n

    @on
    async def flow(self, m: Flow) -> AsyncGenerator[int]:
        try:
            for n in self.often(8):
                if n % 4 == 3:
                    self.world.act(self)
                    await self.world.wait()
                yield n
        finally:
            await asyncio.sleep(0)

    @on(state="odd")
    def odd(self, m: Plain | Terminated) -> str:
        for _ in self.often(3):
            self.world.act(self)
        return "odd"

    @on
    def ended(self, m: Terminated) -> None: ...


class Wide(Anyhow, mailbox=Mailbox(4, "drop_old"), concurrent=3): ...


class Hooked(Anyhow, mailbox=Mailbox(3, "block", 4)):
    def started(self) -> None:
        for _ in self.often(2):
            self.world.act(self)

    def stopping(self, reason: str) -> None:
        self.world.act(self)

    def restarting(self, failure: BaseException) -> None:
        self.world.act(self)


class SlowHooks(Anyhow, concurrent=2, mailbox=Mailbox(2, "drop_new")):
    async def started(self) -> None:  # type: ignore[override]
        await self.world.wait()

    async def stopping(self, reason: str) -> None:  # type: ignore[override]
        self.world.act(self)
        await self.world.wait()

    async def restarting(self, failure: BaseException) -> None:  # type: ignore[override]
        await self.world.wait()


KINDS: tuple[type[Anyhow], ...] = (Anyhow, Wide, Hooked, SlowHooks)


@pytest.mark.parametrize("directive", ["resume", "restart", "stop"])
@pytest.mark.parametrize("seed", range(1, 6))
def test_MS_1_MS_3_LC_3_under_anything(seed: int, directive: Any) -> None:
    policy = OneForOne(max_restarts=None, backoff=(0.001, 0.01), decide={BaseException: directive})
    settings = Settings(drain_timeout=1.0, ask_timeout=0.05, dead_letters=200, supervise=policy)

    async def test(t: TestSystem) -> None:
        world = World(t, seed)
        asks = []
        for n in range(300):
            # A deed may be refused, and one of them raises.
            with suppress(ActiniumError, Boom, Stop, asyncio.CancelledError):
                world.act()
            t.step(world.random.randrange(4))
            if n % 10 == 0:
                asks.append(world.ref().ask(Plain(n), 0.5))
                await t.advance(0.001)
        report = await t.shutdown()
        assert report.lost == 0, "MS-1"
        assert report.handled > 100, "too little happened to prove anything"
        await asyncio.sleep(3.0)
        assert all(ask.done() for ask in asks), "MS-3: an ask hangs after the end"
        assert t.system.statistics()["actors"] == 0, "LC-3"
        for shelf in world.things.values():
            shelf.clear()
        gc.collect()

    testkit.run(test, seed=seed, settings=settings)
