"""What breaks on either side of the gateway, and what the other side sees."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from actinium.inference import Deployment, Inference, Timeouts
from actinium.serve import Gateway, Limits
from actinium.testkit.gateway import Served, served, until
from actinium.testkit.provider import Fault, Provider
from actinium.testkit.rawhttp import Client, ask, chat, get, post

WORDS = tuple(f" w{i}" for i in range(40))


def run(body: Callable[[Served], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with served(**options) as s:
            await body(s)
            await at_rest(s)

    asyncio.run(main())


async def at_rest(s: Served) -> None:
    """RQ-2: nothing is left of any request."""
    await s.provider.until(lambda p: p.live == 0)
    await until(lambda: not s.running() and not s.inference.replica("m").inflight)
    statistics = s.inference.statistics()["m"]
    assert statistics["running"] == statistics["waiting"] == 0


def test_inf_CX_1_client_leaves_in_mid_stream_and_frees_its_slot() -> None:
    async def body(s: Served) -> None:
        s.provider.faults.append(Fault(stall_at=5))
        client = await Client.to(s.port)
        client.send(post(chat(stream=True)))
        await client.head()
        await client.chunk()
        assert s.running() == 1
        client.leave()
        await s.provider.until(lambda p: p.aborted == 1)
        await until(lambda: not s.running())
        assert (await ask(s.port, post(chat()))).status == 200
        assert s.count("requests", "m", "cancelled") == 1

    run(body, max_concurrent=1, queue=0)


def test_inf_CX_1_client_leaves_while_a_whole_answer_is_made() -> None:
    async def body(s: Served) -> None:
        s.provider.faults.append(Fault(hold=True))
        client = await Client.to(s.port)
        client.send(post(chat()))
        await s.provider.until(lambda p: p.live == 1)
        client.leave()
        await s.provider.until(lambda p: p.aborted == 1)

    run(body, max_concurrent=1)


def test_inf_CX_1_client_leaves_while_it_waits_for_a_place() -> None:
    async def body(s: Served) -> None:
        s.provider.faults.append(Fault(hold=True))
        async with await Client.to(s.port) as first:
            first.send(post(chat()))
            await s.provider.until(lambda p: p.live == 1)
            second = await Client.to(s.port)
            second.send(post(chat()))
            await until(lambda: s.inference.statistics()["m"]["waiting"] > 0)
            second.leave()
            await until(lambda: not s.inference.statistics()["m"]["waiting"])
            s.provider.release()
            assert (await first.answer()).status == 200
        assert len(s.provider.seen) == 1

    run(body, max_concurrent=1, queue=1)


@pytest.mark.parametrize("at", [0, 1, 2, 3, 5, 6, 7])
@pytest.mark.parametrize("kind", ["cut_at", "reset_at", "garbage_at", "error_at"])
def test_inf_RQ_5_provider_breaks_at_any_event(kind: str, at: int) -> None:
    """Before content: a proper status. After it: an error in band and no [DONE]."""

    async def body(s: Served) -> None:
        s.provider.faults.append(Fault(**{kind: at}))
        got = await ask(s.port, post(chat(stream=True)))
        if got.status == 200 and got.events[-1] == "[DONE]":
            # Everything incl. the finish had come before the break.
            assert at >= 7 and got.text == "".join(s.provider.words)
        elif got.status == 200:
            assert "error" in got.events[-1], got.events
            assert got.events[-1]["error"]["code"] == "stream_interrupted"
            assert "".join(s.provider.words).startswith(got.text) and got.text
            finishes = [c["finish_reason"] for e in got.events[:-1] for c in e["choices"]]
            assert at >= 7 or set(finishes) == {None}
        else:
            assert got.status == 502 and got.error["type"] == "upstream_error"
        assert len(s.provider.seen) == 1, "RQ-4: nothing is sent twice"

    run(body)


def test_inf_RQ_5_stream_without_a_finish_is_no_answer() -> None:
    async def body(s: Served) -> None:
        for fault in (Fault(finish=False), Fault(finish=False, done=False)):
            s.provider.faults.append(fault)
            got = await ask(s.port, post(chat(stream=True)))
            assert got.events[-1]["error"]["code"] == "stream_interrupted"
        s.provider.faults.append(Fault(done=False))
        got = await ask(s.port, post(chat(stream=True)))
        assert got.events[-1] == "[DONE]", "a close after the finish is accepted"

    run(body)


@pytest.mark.parametrize(
    ("fault", "status", "code", "retry_after"),
    [
        (Fault(status=429), 429, "rate_limit_exceeded", None),
        (Fault(status=429, headers={"retry-after": "7"}), 429, "rate_limit_exceeded", "7"),
        (Fault(status=429, headers={"retry-after-ms": "2500"}), 429, "rate_limit_exceeded", "2"),
        (Fault(status=500), 502, "upstream_error", None),
        (Fault(status=503), 503, "upstream_overloaded", None),
        (Fault(status=529, headers={"retry-after": "3"}), 503, "upstream_overloaded", "3"),
        (Fault(status=403), 502, "upstream_authentication", None),
        (Fault(status=404), 404, "model_not_found", None),
        (Fault(status=504), 504, "upstream_timeout", None),
        (Fault(status=302), 502, "upstream_protocol", None),
        (Fault(drop=True), 502, "upstream_unreachable", None),
        (Fault(body=b"<html>"), 502, "upstream_protocol", None),
        (Fault(body=b'{"choices":[]}'), 502, "upstream_protocol", None),
    ],
)
def test_provider_refuses(fault: Fault, status: int, code: str, retry_after: str | None) -> None:
    async def body(s: Served) -> None:
        s.provider.faults.append(fault)
        got = await ask(s.port, post(chat()))
        assert (got.status, got.error["code"]) == (status, code), got.body
        assert got.headers.get("retry-after") == retry_after
        assert len(s.provider.seen) == 1

    run(body)


def test_provider_is_not_there() -> None:
    async def main() -> None:
        async with Provider() as gone:
            url = gone.base_url
        inference = Inference([Deployment(name="m", runtime="openai", base_url=url)])
        await inference.start()
        async with Gateway(inference, port=0) as gateway:
            got = await ask(int(gateway.url.rsplit(":", 1)[1]), post(chat()))
            assert got.status == 502 and got.error["code"] == "upstream_unreachable"
        await inference.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fault", "stream", "code"),
    [
        (Fault(hold=True), True, "upstream_timeout"),
        (Fault(hold=True), False, "deadline_exceeded"),
        (Fault(stall_at=3), True, "stream_interrupted"),
    ],
)
def test_provider_is_silent(fault: Fault, stream: bool, code: str) -> None:
    async def body(s: Served) -> None:
        s.provider.faults.append(fault)
        got = await ask(s.port, post(chat(stream=stream)))
        error = got.events[-1]["error"] if got.status == 200 else got.error
        assert error["code"] == code
        assert got.status in (200, 504)
        await s.provider.until(lambda p: p.aborted == 1)

    run(body, timeouts=Timeouts(first_byte=0.05, inter_chunk=0.05, total=0.2))


def test_full_queue_is_refused_with_a_hint() -> None:
    async def body(s: Served) -> None:
        s.provider.faults.append(Fault(hold=True))
        async with await Client.to(s.port) as first:
            first.send(post(chat()))
            await s.provider.until(lambda p: p.live == 1)
            got = await ask(s.port, post(chat()))
            assert got.status == 503 and got.error["code"] == "overloaded"
            assert int(got.headers["retry-after"]) >= 1
            s.provider.release()
            assert (await first.answer()).status == 200

    run(body, max_concurrent=1, queue=0)


def test_waiting_too_long_is_refused() -> None:
    async def body(s: Served) -> None:
        s.provider.faults.append(Fault(hold=True))
        async with await Client.to(s.port) as first:
            first.send(post(chat()))
            await s.provider.until(lambda p: p.live == 1)
            got = await ask(s.port, post(chat()))
            assert got.status == 503 and "no place became free" in got.error["message"]
            s.provider.release()
            assert (await first.answer()).status == 200

    run(body, max_concurrent=1, queue=5, queue_timeout=0.05)


def test_stale_pooled_connection_is_replaced_once() -> None:
    async def body(s: Served) -> None:
        assert (await ask(s.port, post(chat()))).status == 200
        s.provider.faults.append(Fault(drop=True))  # the kept connection dies unanswered
        assert (await ask(s.port, post(chat()))).status == 200
        assert len(s.provider.seen) == 3
        s.provider.faults += [Fault(drop=True), Fault(drop=True)]
        assert (await ask(s.port, post(chat()))).status == 502

    run(body)


def test_inf_ST_2_slow_reader_stops_the_provider_and_is_cut_off() -> None:
    """Credits reach the provider: what is unread stays with it, not in our memory."""
    words = tuple(f"{i:05d}" + "x" * 2000 for i in range(20000))

    async def body(s: Served) -> None:
        async with await Client.to(s.port) as client:
            client.writer.transport.pause_reading()
            client.send(post(chat(stream=True)))
            await s.provider.until(lambda p: p.live == 1)
            await s.provider.until(lambda p: p.aborted == 1)  # 40 MB never fit on the way
            assert s.count("stream_slow") == 1
        assert (await ask(s.port, get("/healthz"))).status == 200

    run(
        body,
        provider=Provider(words=words),
        limits=Limits(stall_seconds=0.3, write_bytes=64 * 1024),
    )


def test_slow_but_reading_client_gets_everything() -> None:
    words = tuple("x" * 3000 + str(i) for i in range(500))

    async def body(s: Served) -> None:
        async with await Client.to(s.port) as client:
            client.send(post(chat(stream=True)))
            await client.head()
            got = b""
            while piece := await client.chunk():
                got += piece
                await asyncio.sleep(0)
        assert got.endswith(b"data: [DONE]\n\n")
        assert got.count(b"xxx\x22") <= 500 and got.count(b'"content":"x') == 500

    run(body, provider=Provider(words=words), limits=Limits(write_bytes=4096))


def test_silent_stream_gets_comments_and_then_its_answer() -> None:
    async def body(s: Served) -> None:
        s.provider.faults.append(Fault(hold=True))
        async with await Client.to(s.port) as client:
            client.send(post(chat(stream=True)))
            status, _ = await client.head()
            assert status == 200
            assert await client.chunk() == b": keep-alive\n\n"
            assert await client.chunk() == b": keep-alive\n\n"
            s.provider.release()
            rest = b""
            while piece := await client.chunk():
                rest += piece
            assert rest.endswith(b"data: [DONE]\n\n")

    run(body, limits=Limits(alive_seconds=0.04))


def test_error_after_a_comment_goes_in_band() -> None:
    async def body(s: Served) -> None:
        s.provider.faults.append(Fault(hold=True, status=500))
        async with await Client.to(s.port) as client:
            client.send(post(chat(stream=True)))
            await client.head()
            await client.chunk()
            s.provider.release()
            rest = b""
            while piece := await client.chunk():
                rest += piece
            assert b'"upstream_error"' in rest and b"[DONE]" not in rest
            assert await client.closed() == b""

    run(body, limits=Limits(alive_seconds=0.04))


def test_closing_the_service_ends_streams_with_a_typed_error() -> None:
    async def body(s: Served) -> None:
        s.provider.faults.append(Fault(stall_at=4))
        async with await Client.to(s.port) as client:
            client.send(post(chat(stream=True)))
            await client.head()
            await client.chunk()
            await s.inference.close(drain=0)
            rest = await client.closed()
            assert b"stream_interrupted" in rest and b"[DONE]" not in rest
        got = await ask(s.port, post(chat()))
        assert got.status == 503 and got.error["code"] == "model_not_ready"

    run(body)


def test_inf_RQ_2_random_faults_and_leavers_leave_nothing() -> None:
    """Clients that stay or leave anywhere, a provider that fails anywhere: all counts at zero."""
    rng = random.Random(7)

    def plan(_: dict[str, Any]) -> Fault:
        place = rng.randrange(45)
        return rng.choice(
            [
                Fault(),
                Fault(),
                Fault(split=37),
                Fault(stall_at=place),
                Fault(cut_at=place),
                Fault(reset_at=place),
                Fault(garbage_at=place),
                Fault(error_at=place),
                Fault(status=500),
                Fault(status=429, headers={"retry-after": "1"}),
                Fault(drop=True),
                Fault(finish=False),
            ]
        )

    async def one(s: Served, number: int) -> None:
        draw = random.Random(number)
        stream = draw.random() < 0.7
        client = await Client.to(s.port)
        async with client:
            client.send(post(chat(str(number), stream=stream)))
            if draw.random() < 0.4:
                for _ in range(draw.randrange(30)):
                    await asyncio.sleep(0)
                client.leave()
                return
            got = await client.answer()
            assert got.status in (200, 429, 502, 503, 504), got.body
            if got.status == 200 and stream:
                done = got.events[-1] == "[DONE]"
                assert done or "error" in got.events[-1]
                assert "".join(WORDS).startswith(got.text)
                assert not done or got.text == "".join(WORDS), "RQ-5"

    async def body(s: Served) -> None:
        s.provider.plan = plan
        for start in range(0, 300, 30):
            await asyncio.gather(*(one(s, number) for number in range(start, start + 30)))
        await at_rest(s)
        outcomes = ("ok", "cancelled", "timeout", "upstream", "interrupted", "overload")
        ended = sum(s.count("requests", "m", outcome) for outcome in outcomes)
        assert ended == s.observed("request_seconds", "m"), "MT-1: each end is counted once"
        s.provider.plan = None
        assert (await ask(s.port, post(chat()))).status == 200

    run(
        body,
        provider=Provider(words=WORDS),
        max_concurrent=8,
        queue=64,
        timeouts=Timeouts(first_byte=0.3, inter_chunk=0.1, total=2),
    )
