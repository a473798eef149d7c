"""Virtual time: the clock jumps, nothing waits, and the world outside is refused."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from actinium.errors import UsageError
from actinium.testkit import VirtualLoop


def run(main: Callable[[], Coroutine[Any, Any, Any]], *, outside: bool = False) -> Any:
    with asyncio.Runner(loop_factory=partial(VirtualLoop, outside=outside)) as runner:
        return runner.run(main())


def test_sleep_moves_the_clock_exactly() -> None:
    async def main() -> float:
        await asyncio.sleep(3600.25)
        return asyncio.get_running_loop().time()

    assert run(main) == 3600.25


def test_a_jump_beyond_a_day_arrives() -> None:
    async def main() -> float:
        await asyncio.sleep(86400.0 * 40)
        return asyncio.get_running_loop().time()

    assert run(main) == 86400.0 * 40


def test_timeouts_wait_for_and_call_later_follow_the_clock() -> None:
    async def main() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        seen: list[tuple[str, float]] = []
        loop.call_later(3.0, lambda: seen.append(("later", loop.time())))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await loop.create_future()
        seen.append(("timeout", loop.time()))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.create_future(), 2.0)
        seen.append(("wait_for", loop.time()))
        return seen

    assert run(main) == [("timeout", 1.5), ("later", 3.0), ("wait_for", 3.5)]


def test_timers_of_one_time_fire_in_the_order_they_were_set() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        seen: list[int] = []
        for n in range(20):
            loop.call_later(5.0, seen.append, n)
        await asyncio.sleep(6.0)
        return seen

    assert sorted(run(main)) == list(range(20))


def test_waiting_for_ever_is_an_error_that_names_the_tasks() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(UsageError, match=r"would wait for ever.*main"):
        run(main)


def test_threads_are_refused_unless_allowed() -> None:
    async def main() -> float:
        await asyncio.to_thread(time.monotonic)
        return asyncio.get_running_loop().time()

    with pytest.raises(UsageError, match=r"run_in_executor.*outside=True"):
        run(main)
    assert run(main, outside=True) == 0.0


def test_the_clock_stands_still_while_a_thread_works() -> None:
    async def main() -> tuple[float, bool]:
        loop = asyncio.get_running_loop()
        sleeper = asyncio.create_task(asyncio.sleep(1.0))
        await asyncio.to_thread(sum, range(100_000))
        at, early = loop.time(), sleeper.done()
        await sleeper
        return at, early

    assert run(main, outside=True) == (0.0, False)


def test_sockets_are_refused_unless_allowed() -> None:
    async def main() -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            loop = asyncio.get_running_loop()
            reading = asyncio.create_task(loop.sock_recv(ours, 10))
            await asyncio.sleep(0)
            await loop.sock_sendall(theirs, b"hello")
            return await reading

    with pytest.raises(UsageError, match="a socket or pipe was opened"):
        run(main)
    assert run(main, outside=True) == b"hello"


def test_looking_up_a_name_is_refused() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)

    with pytest.raises(UsageError, match="a name was looked up"):
        run(main)


def test_call_soon_threadsafe_wakes_the_loop() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        with_thread = loop.run_in_executor(None, loop.call_soon_threadsafe, future.set_result, 5)
        await with_thread
        return await future

    assert run(main, outside=True) == 5


def test_until_looks_at_its_condition_and_gives_up_in_time() -> None:
    async def main() -> tuple[bool, float, bool, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        box: list[int] = []
        loop.call_later(2.0, box.append, 1)
        met = await loop.until(lambda: bool(box), 10.0)
        at = loop.time()
        given_up = await loop.until(lambda: len(box) > 1, 3.0)
        return met, at, given_up, loop.time()

    assert run(main) == (True, 2.0, False, 5.0)
