"""Libraries written for asyncio work inside handlers as they do inside tasks."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import aiohttp.web
import anyio
import httpx
import pytest
import uvloop

from actinium.core import Actor, Message, System, on

Case = Callable[[str], Awaitable[None]]
CASES: dict[str, Case] = {}
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


class Run(Message):
    case: str
    url: str


class Host(Actor, concurrent=8):
    """Runs one case in a handler."""

    @on
    async def run(self, m: Run) -> str:
        await CASES[m.case](m.url)
        return "ok"


def case(fn: Case) -> Case:
    CASES[fn.__name__] = fn
    return fn


@case
async def sleep(url: str) -> None:
    await asyncio.sleep(0.001)


@case
async def sleep_zero(url: str) -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@case
async def wait_for(url: str) -> None:
    await asyncio.wait_for(asyncio.sleep(0.001), 5)


@case
async def wait_for_runs_out(url: str) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(60), 0.001)


@case
async def timeout(url: str) -> None:
    async with asyncio.timeout(5):
        await asyncio.sleep(0.001)


@case
async def timeout_fires(url: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.sleep(60)


@case
async def nested_timeouts(url: str) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(60)
        await asyncio.sleep(0)


@case
async def gather(url: str) -> None:
    assert await asyncio.gather(asyncio.sleep(0.001, 1), asyncio.sleep(0, 2)) == [1, 2]


@case
async def task_group(url: str) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(asyncio.sleep(0.001, 3))
    assert task.result() == 3


@case
async def task_group_fails(url: str) -> None:
    async def bad() -> None:
        raise ValueError

    caught = False
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(bad())
            await asyncio.sleep(60)
    except* ValueError:
        caught = True
    assert caught


@case
async def queue(url: str) -> None:
    items: asyncio.Queue[int] = asyncio.Queue()
    asyncio.get_running_loop().call_later(0.001, items.put_nowait, 1)
    assert await items.get() == 1


@case
async def lock_and_event(url: str) -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    async with asyncio.Lock():
        await event.wait()


@case
async def executor(url: str) -> None:
    assert await asyncio.get_running_loop().run_in_executor(None, lambda: 1) == 1


@case
async def to_thread(url: str) -> None:
    assert await asyncio.to_thread(lambda: 1) == 1


@case
async def context_variable(url: str) -> None:
    assert variable.get() == 0, "another handler's value leaked in"
    variable.set(5)
    await asyncio.sleep(0.001)
    assert variable.get() == 5


@case
async def anyio_sleep(url: str) -> None:
    await anyio.sleep(0.001)


@case
async def anyio_move_on(url: str) -> None:
    with anyio.move_on_after(0.001) as scope:
        await anyio.sleep(60)
    assert scope.cancelled_caught


@case
async def anyio_task_group(url: str) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 0.001)


@case
async def httpx_get(url: str) -> None:
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        assert (await client.get(url)).status_code == 200


@case
async def aiohttp_get(url: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, timeout=aiohttp.ClientTimeout(total=5)) as response,
    ):
        assert response.status == 200


@case
async def streams(url: str) -> None:
    port = int(url.rsplit(":", 1)[1].strip("/"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert (await reader.read()).endswith(b"text")
    writer.close()
    await writer.wait_closed()


@case
async def subprocess(url: str) -> None:
    process = await asyncio.create_subprocess_exec("true")
    assert await process.wait() == 0


@case
async def current_task(url: str) -> None:
    task = asyncio.current_task()
    assert task is not None
    await asyncio.sleep(0)
    assert asyncio.current_task() is task
    assert not task.done()
    assert task.get_name().startswith("/user/")


@case
async def all_tasks(url: str) -> None:
    asyncio.all_tasks()


@case
async def shield(url: str) -> None:
    inner = asyncio.ensure_future(asyncio.sleep(0.001, 7))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.shield(inner)
    assert await inner == 7


@case
async def as_completed(url: str) -> None:
    found = [await f for f in asyncio.as_completed([asyncio.sleep(0, 1), asyncio.sleep(0, 2)])]
    assert sorted(found) == [1, 2]


async def _text(_: aiohttp.web.Request) -> aiohttp.web.Response:
    return aiohttp.web.Response(text="text")


@asynccontextmanager
async def http_server() -> AsyncIterator[str]:
    app = aiohttp.web.Application()
    app.router.add_get("/", _text)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    try:
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def ask_host(*cases: str) -> list[Any]:
    async with http_server() as url, System() as system:
        host = system.spawn(Host)
        return await asyncio.gather(*(host.ask(Run(name, url), 30.0) for name in cases))


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", CASES)
def test_works_in_a_handler(name: str, loop: str) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        assert runner.run(ask_host(name)) == ["ok"]


@pytest.mark.parametrize("loop", LOOPS)
def test_all_work_side_by_side_in_one_actor(loop: str) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        outcomes = runner.run(ask_host(*CASES, *CASES))
    assert outcomes == ["ok"] * (2 * len(CASES))


def test_context_variables_of_callers_and_of_other_actors_do_not_leak() -> None:
    class Looks(Actor):
        @on
        async def look(self, m: int) -> int:
            seen = variable.get()
            variable.set(m)
            await asyncio.sleep(0)
            assert variable.get() == m
            return seen

    async def main() -> list[int]:
        async with System() as system:
            variable.set(100)
            refs = [system.spawn(Looks) for _ in range(2)]
            return [await refs[n % 2].ask(n) for n in range(6)]

    assert asyncio.run(main()) == [0] * 6
