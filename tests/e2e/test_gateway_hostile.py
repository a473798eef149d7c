"""Bytes that no proper client sends: an answer with a right status or a close, never a 500."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from actinium.serve import Limits
from actinium.testkit.gateway import Served, served, until
from actinium.testkit.provider import Provider
from actinium.testkit.rawhttp import Client, ask, chat, get, post


def run(body: Callable[[Served], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with served(**options) as s:
            await body(s)
            assert (await ask(s.port, get("/healthz"))).status == 200

    asyncio.run(main())


async def outcome(port: int, raw: bytes) -> bytes:
    """Everything the server says to ``raw`` before it closes; our side closes first."""
    async with await Client.to(port) as client:
        client.send(raw)
        client.writer.write_eof()
        return await client.closed()


SMUGGLING = [
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
    "Content-Length: 5\r\nContent-Length: 5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: -5\r\n",
    "Content-Length: 0x5\r\n",
    "Content-Length: 5 \r\nContent-Length: 7\r\n",
    "Content-Length: 99999999999999999999999\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    " Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding:\x0bchunked\r\n",
    "Host: y\r\nContent-Length: 0\r\n",
    "Authorization: a\r\nAuthorization: b\r\nContent-Length: 0\r\n",
    "X: a\x00b\r\nContent-Length: 0\r\n",
    "X: a\rY: b\r\nContent-Length: 0\r\n",
    "X\x01: a\r\nContent-Length: 0\r\n",
    "X: a\r\n folded\r\nContent-Length: 0\r\n",
    "Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 0\r\n",
]


@pytest.mark.parametrize("headers", SMUGGLING)
def test_inf_GW_2_two_readings_of_a_body_are_refused(headers: str) -> None:
    """Exactly one answer, a 4xx, and the bytes that follow are never taken for a request."""

    async def body(s: Served) -> None:
        follow = "0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{headers}\r\n"
        async with await Client.to(s.port) as client:
            client.send((head + follow).encode("latin-1"))
            got = await client.answer()
            assert 400 <= got.status < 500, got.status
            assert got.error["type"] == "invalid_request_error"
            if got.error["code"] in ("bad_http", "request_too_large"):
                assert b"HTTP/1.1 200" not in await client.closed()
        assert s.provider.seen == []

    run(body)


BROKEN = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    b"\x00" * 300,
    b"\xff\xfe\xfd" * 100,
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n\r\n",
    b"FOO /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost x\r\n\r\n",
    b"GET /\x7f\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"fffffffffffffffff\r\n",
]


@pytest.mark.parametrize("raw", BROKEN)
def test_inf_GW_2_what_is_not_http_is_refused(raw: bytes) -> None:
    async def body(s: Served) -> None:
        async with await Client.to(s.port) as client:
            client.send(raw)
            got = await client.answer()
            assert got.status in (400, 404, 405, 505), got.status
            assert got.error["message"]

    run(body)


def test_every_split_of_a_request_is_the_same_request() -> None:
    async def body(s: Served) -> None:
        plain = post(chat())
        raw = plain.replace(b"Content-Length", b"X-Old-Length", 1)
        content = raw.partition(b"\r\n\r\n")[2]
        chunked = (
            raw.partition(b"\r\n\r\n")[0]
            + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"1\r\n%c\r\n" % byte for byte in content)
            + b"0\r\nX-Trailer: 1\r\nAuthorization: x\r\n\r\n"
        )
        for request in (plain, chunked):
            async with await Client.to(s.port) as client:
                for at in range(len(request)):
                    client.send(request[at : at + 1])
                    await client.writer.drain()
                    await asyncio.sleep(0)
                assert (await client.answer()).status == 200
        assert s.provider.seen[0].body == s.provider.seen[1].body

    run(body)


def test_sizes() -> None:
    limits = Limits(head_bytes=2000, headers=10, body_bytes=5000)

    async def body(s: Served) -> None:
        cases = [
            (get("/healthz", headers="X: " + "y" * 3000 + "\r\n"), 431, "headers_too_large"),
            (get("/healthz?" + "y" * 3000), 431, "headers_too_large"),
            (get("/healthz", headers="X" * 3000 + ": y\r\n"), 431, "headers_too_large"),
            (get("/healthz", headers="".join(f"X{i}: y\r\n" for i in range(20))), 431, None),
            (post(b"x" * 6000), 413, "request_too_large"),
        ]
        for raw, status, code in cases:
            got = await ask(s.port, raw)
            assert got.status == status, raw[:60]
            assert code is None or got.error["code"] == code
        head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        got = await ask(s.port, head + b"1000\r\n" + b"x" * 4096 + b"\r\n1000\r\n" + b"x" * 4096)
        assert got.status == 413

    run(body, limits=limits)


def test_a_head_without_end_is_cut_at_the_limit() -> None:
    async def body(s: Served) -> None:
        async with await Client.to(s.port) as client:
            client.send(b"GET /healthz HTTP/1.1\r\nX: ")
            for _ in range(40):
                client.send(b"y" * 100)
                await asyncio.sleep(0)
            assert (await client.answer()).status == 431

    run(body, limits=Limits(head_bytes=2000))


@pytest.mark.parametrize("drip", [b"y" * 100, b"\r\nX: y"])
def test_trailers_without_end_are_cut_at_the_limit(drip: bytes) -> None:
    async def body(s: Served) -> None:
        async with await Client.to(s.port) as client:
            client.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n")
            client.send(b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nX: ")
            answer = asyncio.create_task(client.answer())
            for _ in range(400):
                client.send(drip)
                await client.writer.drain()
                await asyncio.wait((answer,), timeout=0.001)
                if answer.done():
                    break
            assert (await answer).status == 431

    run(body, limits=Limits(head_bytes=2000))


def test_a_refused_upload_is_not_kept_and_its_answer_arrives() -> None:
    async def body(s: Served) -> None:
        async with await Client.to(s.port) as client:
            client.send(b"POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n")
            for _ in range(30):
                client.send(b"x" * 100_000)
            assert (await client.answer()).status == 404
            client.send(b"POST /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
            client.send(b"x" * 500_000)
            assert (await client.answer()).status == 413

    run(body)


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nX: y", 408),
        (b"P", 408),
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{", 408),
    ],
)
def test_slow_loris_gets_a_408(start: bytes, status: int) -> None:
    async def body(s: Served) -> None:
        async with await Client.to(s.port) as client:
            client.send(start)
            got = await client.answer()
            assert got.status == status and got.error["code"] == "request_timeout"

    run(body, limits=Limits(head_seconds=0.1, body_seconds=0.1))


def test_dripping_bytes_does_not_extend_the_time() -> None:
    async def body(s: Served) -> None:
        async with await Client.to(s.port) as client:
            client.send(b"GET /healthz HTTP/1.1\r\n")
            answer = asyncio.create_task(client.answer())
            while not answer.done():
                client.send(b"X: y\r\n")
                await asyncio.wait((answer,), timeout=0.01)
            assert answer.result().status in (408, 431)

    run(body, limits=Limits(head_seconds=0.1, headers=100_000))


def test_idle_connections_are_closed() -> None:
    async def body(s: Served) -> None:
        async with await Client.to(s.port) as client:
            assert await client.closed() == b""

    run(body, limits=Limits(idle_seconds=0.05))


def test_too_many_connections() -> None:
    async def body(s: Served) -> None:
        async with await Client.to(s.port) as one, await Client.to(s.port) as two:
            for client in (one, two):
                client.send(get("/healthz"))
                assert (await client.answer()).status == 200
            async with await Client.to(s.port) as three:
                got = await three.answer()
                assert got.status == 503 and got.error["code"] == "too_many_connections"
        await until(lambda: not s.gateway._server.connections)

    run(body, limits=Limits(connections=2))


def test_inf_GW_2_bounded_fuzz_of_http() -> None:
    """Sound requests with bytes changed, cut, doubled and mixed: no 500, no hang, no crash."""
    rng = random.Random(11)
    seeds = [
        post(chat()),
        post(chat(stream=True)),
        post({"model": "m", "prompt": "x"}, "/v1/completions"),
        post({"model": "m", "input": "x"}, "/v1/embeddings"),
        get("/v1/models"),
        get("/readyz", "HEAD"),
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n0\r\n\r\n",
    ]
    tokens = [b"\r\n", b"\n", b"\x00", b": ", b"Content-Length: 3\r\n", b"chunked", b"\xff", b"0"]

    def mutated() -> bytes:
        raw = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(raw) + 1)
            match rng.randrange(5):
                case 0:
                    raw[at:at] = bytes([rng.randrange(256)])
                case 1:
                    del raw[at : at + rng.randrange(1, 20)]
                case 2:
                    raw[at:at] = rng.choice(tokens)
                case 3:
                    raw[at : at + 1] = bytes([rng.randrange(256)])
                case 4:
                    raw += rng.choice(seeds)
            if not raw:
                raw += b"x"
        return bytes(raw)

    async def body(s: Served) -> None:
        for _ in range(40):
            said = await asyncio.gather(*(outcome(s.port, mutated()) for _ in range(20)))
            for text in said:
                assert not text or text.startswith(b"HTTP/1.1 "), text[:80]
                assert b"HTTP/1.1 500" not in text, text
        await until(lambda: not s.gateway._server.connections)
        assert s.running() == 0

    run(body)


def test_inf_GW_2_bounded_fuzz_of_bodies() -> None:
    """JSON of all kinds in all places: 200, 400 or 404, in OpenAI's shape."""
    rng = random.Random(5)
    fields = [
        "model", "messages", "stream", "stream_options", "temperature", "top_p", "n", "stop",
        "max_tokens", "logprobs", "top_logprobs", "seed", "tools", "tool_choice", "logit_bias",
        "response_format", "user", "metadata", "prompt", "input", "echo", "unknown", "dimensions",
        "top_k", "repetition_penalty", "parallel_tool_calls", "encoding_format",
    ]  # fmt: skip
    atoms: list[Any] = [
        None, True, False, 0, 1, -1, 2**31, 2**63, 2**70, 1e308, -0.5, "", "m", "x" * 300, "\u2028",
        "\U0001f600", [], {}, [1, 2], [[1]], ["a", None], {"type": "text"}, {"a": {"b": [1]}},
        [{"role": "user", "content": "x"}], [{"role": "user", "content": [{"type": "text"}]}],
        [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
        [{"role": "assistant", "tool_calls": [{"id": 1}]}], [{"role": "tool", "content": None}],
        [{"type": "function", "function": {"name": "f"}}], {"include_usage": True},
    ]  # fmt: skip
    paths = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]

    def made() -> bytes:
        body: dict[str, Any] = {}
        if rng.random() < 0.8:
            body = {"model": "m", "prompt": "x", "input": "y", **chat()}
        for _ in range(rng.randrange(4)):
            body[rng.choice(fields)] = rng.choice(atoms)
        return post(body, rng.choice(paths))

    async def body(s: Served) -> None:
        async with await Client.to(s.port) as client:
            for _ in range(600):
                raw = made()
                client.send(raw)
                got = await client.answer()
                assert got.status in (200, 400, 404), (got.status, raw, got.body)
                if got.status != 200:
                    assert got.error["type"] == "invalid_request_error"

    run(body, provider=Provider(words=("a", "b")))


@pytest.mark.parametrize("value", ["000000000001" + "0" * 400, "1" * 5000, "0", "86400001", "1.5"])
def test_a_time_that_is_none_is_the_clients_fault(value: str) -> None:
    async def check(s: Served) -> None:
        got = await ask(s.port, post(chat(), headers=f"x-request-timeout-ms: {value}\r\n"))
        assert got.status == 400 and got.error["param"] == "x-request-timeout-ms"

    run(check)


PARTS: list[Callable[[Any], dict[str, Any]]] = [
    lambda deep: {"content": [{"type": "image_url", "image_url": deep}]},
    lambda deep: {"content": [{"type": "text", "text": "", "cache_control": deep}]},
    lambda deep: {"thinking_blocks": [deep]},
    lambda deep: {
        "tool_calls": [
            {"id": "1", "function": {"name": "f", "arguments": ""}, "extra_content": deep}
        ]
    },
]


@pytest.mark.parametrize("part", PARTS)
def test_messages_nested_too_deep_are_the_clients_fault(part: Callable[[Any], Any]) -> None:
    """What can be read and not be written again would be counted against the deployment."""
    deep: dict[str, Any] = {}
    for _ in range(70):
        deep = {"a": deep}

    async def check(s: Served) -> None:
        message = {"role": "assistant", **part(deep)}
        got = await ask(s.port, post({**chat(), "messages": [message]}))
        assert got.status == 400 and got.error["code"] == "invalid_json"

    run(check)
