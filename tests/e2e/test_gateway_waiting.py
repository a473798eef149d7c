"""Clients that wait, and leave at every stage: what they hear, and what the backend notices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from actinium.inference import Deployment, Inference, RateLimits
from actinium.serve import Gateway, Limits
from actinium.testkit.gateway import Served, served, until
from actinium.testkit.provider import Fault
from actinium.testkit.rawhttp import Client, ask, chat, post

ALIVE = Limits(alive_seconds=0.04)
QUEUES: dict[str, dict[str, Any]] = {
    "limit": {"rates": RateLimits(concurrent=1)}, "places": {"max_concurrent": 1},
}  # fmt: skip
DOORS = {
    "/v1/chat/completions": chat(stream=True),
    "/v1/completions": {"model": "m", "prompt": "hello", "stream": True},
    "/v1/messages": {**chat(stream=True), "max_tokens": 20},
}


def run(body: Callable[[Served], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with served(**options) as s:
            await body(s)
            await s.provider.until(lambda p: p.live == 0)
            await until(lambda: not s.running())
            statistics = s.inference.statistics()["m"]
            assert not statistics["waiting"] and not statistics.get("limit_waiting")

    asyncio.run(main())


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("path", DOORS)
def test_complaint_5_who_waits_in_a_queue_hears_of_it(queue: str, path: str) -> None:
    """Nothing on the wire while the model thinks, or the request waits: proxies cut at 60 s."""

    async def body(s: Served) -> None:
        s.provider.faults.append(Fault(hold=True))
        async with await Client.to(s.port) as first, await Client.to(s.port) as second:
            first.send(post(chat()))
            await s.provider.until(lambda p: p.live == 1)
            second.send(post(DOORS[path], path))
            status, headers = await second.head()
            assert status == 200 and headers["content-type"].startswith("text/event-stream")
            for _ in range(2):
                comment = await second.chunk()
                assert comment.startswith(b": queued, 0 before this one\n"), comment
                assert comment.endswith(b"\n\n") and b"\n\n" not in comment[:-2]
            assert len(s.provider.seen) == 1, "it has not been sent yet"
            s.provider.release()
            rest = b""
            while piece := await second.chunk():
                rest += piece
            assert b"error" not in rest and b"test" in rest
            assert (await first.answer()).status == 200

    run(body, limits=ALIVE, **QUEUES[queue])


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_complaint_6_and_7_no_event_is_held_back(at: int) -> None:
    """``message_start`` was held back until thinking ended; streams arrived in one lump."""

    async def body(s: Served) -> None:
        s.provider.faults.append(Fault(stall_at=at + 1))
        async with await Client.to(s.port) as client:
            client.send(post(chat(stream=True)))
            await client.head()
            got = b""
            wanted = s.provider.words[at - 1].encode()
            while b'"content":"' + wanted not in got:  # the provider is silent from here on
                got += await client.chunk()
            client.leave()
        await s.provider.until(lambda p: p.aborted == 1)

    run(body)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("stage", ["limit", "places", "first_byte", "streaming"])
def test_complaint_3_inf_cx_1_leaving_at_any_stage_reaches_the_backend(
    stage: str, stream: bool
) -> None:
    """Client goes away, upstream keeps generating."""

    async def body(s: Served) -> None:
        queued = stage in QUEUES
        s.provider.faults.append(Fault(stall_at=4) if stage == "streaming" else Fault(hold=True))
        client = await Client.to(s.port)
        other = await Client.to(s.port)
        if queued:
            other.send(post(chat()))
            await s.provider.until(lambda p: p.live == 1)
        client.send(post(chat(stream=stream or stage == "streaming")))
        if queued:
            waiting = "limit_waiting" if stage == "limit" else "waiting"
            await until(lambda: s.inference.statistics()["m"].get(waiting, 0) == 1)
            client.leave()
            await until(lambda: s.inference.statistics()["m"].get(waiting, 0) == 0)
            assert len(s.provider.seen) == 1, "it never got there"
            s.provider.release()
            assert (await other.answer()).status == 200
        else:
            await s.provider.until(lambda p: p.live == 1)
            if stage == "streaming":
                await client.head()
                await client.chunk()
            client.leave()
            await s.provider.until(lambda p: p.aborted == 1)
        other.leave()
        assert s.count("requests", "m", "cancelled") == (0 if stage == "limit" else 1)

    run(body, **QUEUES.get(stage, {}))


def test_inf_cx_1_leaving_while_the_connection_is_made_closes_it() -> None:
    """TCP is there, TLS is not: the server never says its hello."""

    async def main() -> None:
        there, gone = asyncio.Event(), asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            there.set()
            while await reader.read(4096):
                pass
            gone.set()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        inference = Inference(
            [Deployment(name="m", runtime="openai", base_url=f"https://127.0.0.1:{port}/v1")]
        )
        await inference.start()
        async with Gateway(inference, port=0) as gateway:
            client = await Client.to(int(gateway.url.rsplit(":", 1)[1]))
            client.send(post(chat()))
            await there.wait()
            client.leave()
            await gone.wait()
            await until(lambda: not inference.replica("m").runner.statistics()["connections"])  # type: ignore[attr-defined]
            assert not inference.statistics()["m"]["running"]
        await inference.close(drain=0)
        server.close()
        await server.wait_closed()

    asyncio.run(main())


def test_complaint_12_more_clients_than_room_are_told_when_to_come_back() -> None:
    """Router crashes above 1,000 concurrent users."""

    async def body(s: Served) -> None:
        s.provider.faults.append(Fault(hold=True))
        async with await Client.to(s.port) as first:
            first.send(post(chat()))
            await s.provider.until(lambda p: p.live == 1)
            answers = [asyncio.create_task(ask(s.port, post(chat()))) for _ in range(300)]
            await until(lambda: sum(task.done() for task in answers) == 290)
            refused = [task.result() for task in answers if task.done()]
            assert {a.status for a in refused} == {503}
            assert all(int(a.headers["retry-after"]) >= 1 for a in refused)
            s.provider.release()
            served = await asyncio.gather(*answers)
            assert sum(a.status == 200 for a in served) == 10

    run(body, max_concurrent=1, queue=10)


def test_inf_gw_3_a_drain_loses_no_accepted_request() -> None:
    async def body(s: Served) -> None:
        s.provider.plan = lambda _: Fault(hold=True)
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(await Client.to(s.port)) for _ in range(12)]
            for n, client in enumerate(clients):
                client.send(post(chat(stream=n % 2 == 0)))
            await until(lambda: len(s.provider.seen) == 4 and _queued(s) == 8)
            draining = asyncio.create_task(s.gateway.drain(10))
            await asyncio.sleep(0)
            s.provider.release()
            answers = await asyncio.gather(*(client.answer() for client in clients))
        assert {a.status for a in answers} == {200}, "those under way and those that waited"
        assert all(a.events[-1] == "[DONE]" for a in answers[::2])
        assert await draining
        with pytest.raises(ConnectionRefusedError):
            await Client.to(s.port)

    run(body, max_concurrent=4)


def _queued(s: Served) -> int:
    return int(s.inference.statistics()["m"]["waiting"])
