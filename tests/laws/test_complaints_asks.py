"""What users of other runtimes complain about in their asks, and what happens here instead."""

from __future__ import annotations

import asyncio
import inspect
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from actinium import testkit
from actinium.core import Actor, LocalRef, Message, System, blocking, on
from actinium.errors import AskCycle, AskTimeout, HandlerError
from actinium.testkit import TestSystem


class Job(Message):
    n: int


async def balanced(t: TestSystem) -> bool:
    await t.run_until_idle()
    s = t.system.statistics()
    return s["accepted"] == s["handled"] + s["dead_lettered"] + s["withdrawn"]


class Worker(Actor):
    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []

    @on
    async def goes_on(self, m: int) -> int:
        self.begun.append(m)
        await asyncio.sleep(1.0)
        self.ended.append(m)
        return m

    @on(cancellable=True)
    async def ends(self, m: Job) -> int:
        self.begun.append(m.n)
        await asyncio.sleep(1.0)
        self.ended.append(m.n)
        return m.n


# -- 8: cancelling is partial; a part of the cancelled calls runs to its end


@pytest.mark.parametrize("how", ["cancel", "task", "timeout"])
def test_complaint_8_a_queued_ask_that_was_cancelled_is_never_handled(how: str) -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker)
        first = worker.ask(1)
        if how == "timeout":
            second: Any = worker.ask(2, 0.5)
        else:
            second = worker.ask(2)
        await t.advance(0.1)
        if how == "cancel":
            assert second.cancel()
        elif how == "task":
            waiting = asyncio.ensure_future(_wait(second))
            await asyncio.sleep(0)
            waiting.cancel()
        await first
        await t.advance(5.0)
        assert worker.instance.begun == [1]
        assert await balanced(t)

    testkit.run(test)


async def _wait(reply: Awaitable[Any]) -> Any:
    return await reply


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_complaint_8_a_running_handler_that_is_cancellable_is_cancelled(how: str) -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker)
        replies = [worker.ask(Job(n), 0.5 if how == "timeout" else 60.0) for n in range(100)]
        await t.advance(0.4)
        if how == "cancel":
            for reply in replies:
                reply.cancel()
        await t.advance(500.0)
        assert worker.instance.ended == [], "none ran to its end"
        assert worker.instance.begun == [0], "none began after its asker was gone"
        assert worker.incarnation == 0
        assert await balanced(t)

    testkit.run(test)


def test_complaint_8_one_that_is_not_runs_on_and_its_late_reply_is_counted() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker)
        with pytest.raises(AskTimeout):
            await worker.ask(1, 0.5)
        await t.advance(1.0)
        assert worker.instance.ended == [1]
        assert t.system.statistics()["late_replies"] == 1
        assert await worker.ask(2) == 2, "MS-3: a late reply reaches no other ask"

    testkit.run(test)


# -- 9: a timeout on a call may never fire


class Deaf(Actor):
    @on
    async def never(self, m: int) -> None:
        while True:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                if m == 0:
                    raise


def test_complaint_9_ask_timeouts_hold_against_a_deaf_callee() -> None:
    async def test(t: TestSystem) -> None:
        deaf = t.spawn(Deaf)
        for seconds in (0.5, 1.0):  # the handler hangs; then the mailbox behind it
            before = t.now()
            with pytest.raises(AskTimeout):
                await deaf.ask(0, seconds)
            assert t.now() - before == pytest.approx(seconds, abs=0.002)
        before = t.now()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(deaf.ask(0, 60.0), 0.25)
        assert t.now() - before == pytest.approx(0.25, abs=0.002)
        deaf.kill()

    testkit.run(test)


# -- 12: a blocking call inside a handler stops everybody, with a warning at most


def test_complaint_12_blocking_inside_a_handler_is_an_error_that_names_the_line() -> None:
    class Blocks(Actor):
        @on
        def ask(self, m: int) -> Any:
            return blocking(self.ctx.system).ask(worker, m)

        @on
        async def send(self, m: float) -> Any:
            return blocking(self.ctx.system).send(worker, int(m))

    worker: LocalRef[Any]

    async def main() -> None:
        nonlocal worker
        async with System() as system:
            worker = system.spawn(Worker)
            for handler, message in ((Blocks.ask, 1), (Blocks.send, 1.0)):
                began = time.monotonic()
                with pytest.raises(HandlerError) as error:
                    await system.spawn(Blocks).ask(message)
                assert time.monotonic() - began < 4.0, "it waited"
                line = inspect.getsourcelines(handler)[1] + 2
                text = str(error.value)
                assert f"{__file__}:{line}) calls ac.blocking()" in text
                assert "write `await ref.ask(...)` there" in text

    asyncio.run(main())


# -- 15: call cycles are found by their timeout only; long ones, self-calls and streams too


class Next(Message):
    left: int


class Round(Actor):
    """Asks the next one in a ring, in one of several ways."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.other: Any = None

    @on
    async def go(self, m: Next) -> Any:
        if self.how == "late":
            await asyncio.sleep(0.5)
        return await WAYS[self.how](self.other, m)

    @on
    async def flow(self, m: int) -> AsyncIterator[Any]:
        yield await self.other.ask(Next(m))


async def by_ask(other: Any, m: Next) -> Any:
    return await other.ask(m, 1000.0)


async def by_gather(other: Any, m: Next) -> Any:
    return (await asyncio.gather(other.ask(m, 1000.0)))[0]


async def by_timeout(other: Any, m: Next) -> Any:
    async with asyncio.timeout(1000.0):
        return await other.ask(m, 1000.0)


async def by_stream(other: Any, m: Next) -> Any:
    async with other.stream(m.left) as items:
        return [item async for item in items]


WAYS: dict[str, Callable[[Any, Next], Awaitable[Any]]] = {
    "ask": by_ask,
    "late": by_ask,
    "gather": by_gather,
    "timeout": by_timeout,
    "stream": by_stream,
}


def cycle_behind(error: BaseException | None) -> AskCycle:
    while isinstance(error, HandlerError):
        error = error.cause
    assert isinstance(error, AskCycle)
    return error


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("size", [1, 2, 3, 16])
def test_complaint_15_call_cycles_fail_at_once_by_name(size: int, how: str) -> None:
    async def test(t: TestSystem) -> None:
        refs = [t.spawn(Round, how, name=f"r{n}") for n in range(size)]
        for n, ref in enumerate(refs):
            ref.instance.other = refs[(n + 1) % size]
        with pytest.raises(HandlerError) as failure:
            await refs[0].ask(Next(size), 1000.0)
        assert t.now() < 0.5 * size + 0.1, "it waited for a timeout"
        text = str(cycle_behind(failure.value))
        path = text.split(":")[0].split(" -> ")
        assert path[0] == path[-1]
        assert sorted(path[1:]) == sorted(ref.path for ref in refs)
        assert await balanced(t)
        for ref in refs:
            assert not ref.depth, "the ask that closed the circle was withdrawn"

    testkit.run(test)


def test_complaint_15_a_stream_that_asks_its_reader_back() -> None:
    async def test(t: TestSystem) -> None:
        reader, producer = t.spawn(Round, "stream"), t.spawn(Round, "ask")
        reader.instance.other, producer.instance.other = producer, reader
        with pytest.raises(HandlerError) as failure:
            await reader.ask(Next(1), 1000.0)
        assert t.now() < 0.1
        assert re.match(rf"{re.escape(producer.path)} -> ", str(cycle_behind(failure.value)))

    testkit.run(test)


def test_complaint_15_of_several_asks_only_the_one_in_the_circle_fails() -> None:
    class Fan(Actor):
        @on
        async def go(self, m: int) -> list[Any]:
            asks = [back.ask(m, 100.0), worker.ask(m, 100.0)]
            return await asyncio.gather(*asks, return_exceptions=True)

    async def test(t: TestSystem) -> None:
        nonlocal worker, back
        fan, worker = t.spawn(Fan), t.spawn(Worker)
        back = t.spawn(Round, "ask")

        class Back(Actor):
            @on
            async def go(self, m: int) -> Any:
                return await fan.ask(m, 100.0)

        back = t.spawn(Back)
        first, second = await fan.ask(1, 100.0)
        assert isinstance(cycle_behind(first), AskCycle)
        assert second == 1
        assert await balanced(t)

    worker: Any = None
    back: Any = None
    testkit.run(test)


def test_complaint_15_no_circle_where_somebody_can_go_on() -> None:
    class Open(Actor, concurrent=2):
        @on
        async def go(self, m: int) -> int:
            return m if m == 0 else await other.ask(m - 1, 100.0) + 1

    class Half(Actor):
        @on(concurrent=2)
        async def go(self, m: int) -> int:
            return m if m == 0 else await other.ask(m - 1, 100.0) + 1

    class Shut(Actor):
        @on
        async def go(self, m: int) -> int:
            return await first.ask(m - 1, 100.0) + 1

    async def test(t: TestSystem) -> None:
        nonlocal first, other
        for kind in (Open, Half):
            first, other = t.spawn(kind), t.spawn(Shut)
            assert await first.ask(2) == 2, "first -> other -> first, which takes two"

    first: Any = None
    other: Any = None
    testkit.run(test)


def test_complaint_15_a_reply_given_away_is_no_circle() -> None:
    class Defers(Actor):
        def __init__(self) -> None:
            self.token: Any = None

        @on
        def take(self, m: int) -> None:
            self.token = self.ctx.defer()

        @on
        def give(self, m: str) -> str:
            self.token.reply(m)
            return "given"

    class Asks(Actor):
        @on
        async def go(self, m: int) -> Any:
            return await defers.ask(m)

    async def test(t: TestSystem) -> None:
        nonlocal defers
        defers = t.spawn(Defers)
        reply = t.spawn(Asks).ask(1)
        await t.run_until_idle()
        assert await defers.ask("x") == "given"
        assert await reply == "x"

    defers: Any = None
    testkit.run(test)
