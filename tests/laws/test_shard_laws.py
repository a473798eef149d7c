"""The laws that shards are under: random programs over three threads, with faults.

SC-1, MB-2, MS-1, MS-2, MS-3 and WD-1 as in docs/explain/invariants; they run where there is no GIL
(scripts/free_threaded.sh).
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from typing import Any

import pytest

import actinium as ac
from actinium import errors
from actinium.core.sharding import gil_disabled

pytestmark = pytest.mark.skipif(
    not gil_disabled(), reason="shards run without a GIL: scripts/free_threaded.sh"
)

SHARDS = 3
SETTINGS = ac.Settings(
    ask_timeout=20.0,
    dead_letters=100,
    watchdog=0.0,
    supervise=ac.OneForOne(max_restarts=10**6, backoff=(0.0, 0.0)),
)


class Step(ac.Message):
    sender: int
    number: int


class Act(ac.Message):
    """What one actor shall do to another."""

    what: str
    ref: Any


class Stress(ac.Actor):
    """Does what it is told to others, and notes every breach of a law."""

    def __init__(self, me: int, board: Board) -> None:
        self.me = me
        self.board = board
        self.thread: int | None = None
        self.busy = False
        self.last: dict[int, int] = {}
        self.sent: Counter[Any] = Counter()

    def _enter(self) -> None:
        here = threading.get_ident()
        if self.thread is None:
            self.thread = here
        if self.thread != here or self.busy:
            self.board.breach(f"SC-1: {self.me} ran on two threads, or twice at once")

    @ac.on
    def step(self, msg: Step) -> int:
        self._enter()
        self.busy = True
        if msg.number <= self.last.get(msg.sender, 0):
            self.board.breach(f"MS-2: {msg} after {self.last[msg.sender]}")
        self.last[msg.sender] = msg.number
        self.busy = False
        if msg.number % 97 == 0:
            raise ValueError(f"step {msg.number}")
        return msg.number

    @ac.on(concurrent=1000)
    async def act(self, msg: Act) -> None:
        self._enter()
        ref = msg.ref
        self.board.count("acts")
        match msg.what:
            case "tell":
                for _ in range(20):
                    ref.tell(self._next(ref))
            case "ask":
                await self._ask(ref, None)
            case "impatient":
                await self._ask(ref, 0.0001)
            case "cancel":
                ref.ask(self._next(ref)).cancel()
            case "forget":
                _ = ref.ask(self._next(ref))
            case "watch":
                self.ctx.watch(ref)
                self.board.count("watches")
            case "kill":
                ref.kill()
            case "stop":
                ref.stop(drain=True)
            case "stream":
                try:
                    async with ref.stream(30, items=4) as items:
                        if [n async for n in items] != list(range(30)):
                            self.board.breach("ST-2: a stream with a gap")
                except (errors.ActorStopped, errors.ActorRestarted, errors.HandlerError):
                    self.board.count("failed")
            case "leave":
                async with ref.stream(1000, items=4) as items:
                    async for _ in items:
                        break

    def _next(self, ref: Any) -> Step:
        self.sent[ref] += 1
        return Step(self.me * 1000 + id(ref) % 1000, self.board.number())

    async def _ask(self, ref: Any, timeout: float | None) -> None:
        try:
            await ref.ask(self._next(ref), timeout)
            self.board.count("answers")
        except (errors.ActorStopped, errors.ActorRestarted, errors.HandlerError, errors.AskTimeout):
            self.board.count("failed")

    @ac.on
    async def items(self, msg: int) -> Any:
        for i in range(msg):
            yield i

    @ac.on
    def terminated(self, msg: ac.Terminated) -> None:
        self.board.count("ends")


class Board:
    """What all threads write down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self.breaches: list[str] = []
        self.counts: Counter[str] = Counter()

    def breach(self, text: str) -> None:
        with self._lock:
            self.breaches.append(text)

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def number(self) -> int:
        """Greater than all before it, whichever thread asks."""
        with self._lock:
            self._number += 1
            return self._number


ACTS = (
    *("tell",) * 6, *("ask",) * 6, *("impatient",) * 2, "cancel", "forget", "watch", "watch",
    "kill", "stop", "stream", "stream", "leave",
)  # fmt: skip


async def _program(seed: int, rounds: int) -> tuple[Board, Any]:
    chance = random.Random(seed)
    board = Board()
    system = ac.System(shards=SHARDS, settings=SETTINGS)
    async with system:
        names = iter(range(10**6))
        actors = [system.spawn(Stress, next(names), board) for _ in range(12)]
        for _ in range(rounds):
            for _ in range(10):
                who, whom = chance.choice(actors), chance.choice(actors)
                what = chance.choice(ACTS)
                if who is not whom or what in ("tell", "kill", "stop"):
                    who.tell(Act(what, whom))
            await asyncio.sleep(0)
            for i, actor in enumerate(actors):
                if actor.closed_flag:
                    actors[i] = system.spawn(Stress, next(names), board)
        await system.idle()
        report = await system.shutdown()
    return board, report


def _check(board: Board, report: Any) -> None:
    assert not board.breaches, board.breaches[:5]
    accounted = report.handled + report.dead_lettered + report.withdrawn
    assert report.accepted == accounted, f"MS-1: {report}"
    assert report.lost == 0, f"MS-1: {report}"
    # Everything that began to wait has ended: idle() and the drain came back (MB-2, MS-3).
    assert report.forced == 0, f"MB-2: {report}"
    assert board.counts["acts"] > 0


@pytest.mark.parametrize("seed", range(4))
def test_sc_1_ms_1_ms_2_hold_in_random_programs(seed: int) -> None:
    _check(*asyncio.run(_program(seed, 60)))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(100, 110))
def test_sc_1_ms_1_ms_2_hold_in_long_random_programs(seed: int) -> None:
    _check(*asyncio.run(_program(seed, 1000)))


def test_mb_2_no_wakeup_is_lost_between_sleeping_shards() -> None:
    """A ring over all shards with one message: each hop wakes a shard that sleeps."""

    class Hop(ac.Message):
        left: int

    class Ring(ac.Actor):
        @ac.on
        def meet(self, msg: ac.LocalRef[Any]) -> None:
            self.next = msg

        @ac.on
        def hop(self, msg: Hop) -> None:
            if msg.left:
                self.next.tell(Hop(msg.left - 1))
            else:
                loop.call_soon_threadsafe(done.set)

    async def main() -> None:
        nonlocal loop, done
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        async with ac.System(shards=SHARDS) as system:
            ring = [system.spawn(Ring, place=1 + i % SHARDS) for i in range(9)]
            for one, after in zip(ring, [*ring[1:], ring[0]], strict=True):
                one.tell(after)
            await system.idle()
            ring[0].tell(Hop(3000))
            async with asyncio.timeout(30):
                await done.wait()

    loop: asyncio.AbstractEventLoop
    done: asyncio.Event
    asyncio.run(main())


def test_wd_1_every_watch_is_answered_once_whoever_ends_first() -> None:
    async def main() -> None:
        board = Board()
        async with ac.System(shards=SHARDS) as system:
            for i in range(60):
                watcher = system.spawn(Stress, i, board)
                other = system.spawn(Stress, i, board)
                watcher.tell(Act("watch", other))
                (other.kill if i % 2 else other.stop)()
            await system.idle()
            assert board.counts["watches"] == board.counts["ends"] == 60

    asyncio.run(main())


def test_ms_3_no_ask_hangs_when_its_actor_ends_at_any_moment() -> None:
    async def main() -> None:
        board = Board()
        async with ac.System(shards=SHARDS) as system:
            ended: Counter[str] = Counter()
            for i in range(200):
                actor = system.spawn(Stress, i, board, place=1 + i % SHARDS)
                asks = [actor.ask(Step(0, n), 20.0) for n in range(1, 4)]
                if i % 3:
                    actor.kill()
                for ask in asks:
                    try:
                        await ask
                        ended["answered"] += 1
                    except errors.ActorStopped:
                        ended["stopped"] += 1
                actor.stop()
            assert ended.total() == 600 and ended["answered"] >= 200

    asyncio.run(main())
