"""What users of other gateways complain about (their number in the list), on a real loopback."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actinium.errors import ConfigError
from actinium.inference import BreakerPolicy, Deployment, Inference
from actinium.serve import Gateway
from actinium.serve.process import file_limit, raise_file_limit
from actinium.testkit.gateway import Served, served, until
from actinium.testkit.provider import Fault, Provider
from actinium.testkit.rawhttp import Client, ask, chat, get, post
from actinium.topology import parse_plan


def run(body: Callable[[Served], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with served(**options) as s:
            await body(s)
            await s.provider.until(lambda p: p.live == 0)
            await until(lambda: not s.running())

    asyncio.run(main())


@asynccontextmanager
async def two(**first: Any) -> AsyncIterator[tuple[int, Inference, Provider, Provider]]:
    """A gateway with ``m`` and ``n`` on a provider each."""
    async with Provider() as a, Provider(words=("other",)) as b:
        described = [
            Deployment(name="m", model="x", runtime="openai", base_url=a.base_url, **first),
            Deployment(name="n", model="x", runtime="openai", base_url=b.base_url),
        ]
        inference = Inference(described)
        await inference.start()
        async with Gateway(inference, port=0) as gateway:
            yield int(gateway.url.rsplit(":", 1)[1]), inference, a, b
        await inference.close(drain=0)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("kind", ["cut_at", "reset_at"])
def test_complaint_2_a_cut_stream_never_ends_as_a_clean_one(kind: str, path: str) -> None:
    """Upstream drops the stream, client gets a clean 200 end: half an answer looks whole."""

    async def body(s: Served) -> None:
        wish = {**chat(stream=True), "max_tokens": 50}
        for at in range(7):
            s.provider.faults.append(Fault(**{kind: at}))
            got = await ask(s.port, post(wish, path))
            if got.status == 200:
                text = got.body.decode()
                assert text.count("stream_interrupted") + text.count("event: error") == 1, text
                for end in ("[DONE]", "message_stop", '"finish_reason":"stop"', "end_turn"):
                    assert end not in text
            else:
                assert got.status == 502 and at <= 1

    run(body)


class Timeless(asyncio.SelectorEventLoop):
    """A loop whose timers never fire."""

    def call_at(
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return asyncio.TimerHandle(when, callback, args, self, context)


@pytest.mark.parametrize("stream", [True, False])
def test_complaint_8_no_answer_waits_for_a_timer(stream: bool) -> None:
    """Fixed 50 ms added to every first token by a response batcher."""

    async def main() -> None:
        async with served() as s:
            for _ in range(3):
                got = await ask(s.port, post(chat(stream=stream)))
                assert got.status == 200
                assert not stream or got.events[-1] == "[DONE]"

    with asyncio.Runner(loop_factory=Timeless) as runner:
        runner.run(main())


def test_complaint_13_a_dead_backend_blocks_nobody_else() -> None:
    """One dead backend blocks requests to healthy ones."""

    async def main() -> None:
        async with two(max_concurrent=20, queue=20) as (port, inference, a, _):
            a.plan = lambda _: Fault(hold=True)
            stuck = [await Client.to(port) for _ in range(40)]
            for client in stuck:
                client.send(post(chat()))
            await a.until(lambda p: p.live == 20)
            for _ in range(20):
                got = await ask(port, post({**chat(), "model": "n"}))
                assert got.status == 200
            assert inference.statistics()["n"]["waiting"] == 0
            for client in stuck:
                client.leave()
            await a.until(lambda p: p.live == 0)

    asyncio.run(main())


def test_complaint_15_the_ceiling_of_connections_is_raised_and_told() -> None:
    """~32 k concurrent connections is a wall."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))

        async def body(s: Served) -> None:
            for limit in (file_limit, raise_file_limit):
                files = limit()
                measures = (await ask(s.port, get("/metrics"))).body.decode()
                room = min(4096, files // 2)
                assert f"actinium_http_connections_limit {float(room)}" in measures

        run(body)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_complaint_16_the_breaker_opens_and_everybody_can_see_it() -> None:
    """Circuit breaker configured, never opens in the self-hosted edition."""

    async def body(s: Served) -> None:
        s.provider.plan = lambda _: Fault(status=500)
        for _ in range(3):
            assert (await ask(s.port, post(chat()))).status == 502
        seen = len(s.provider.seen)
        got = await ask(s.port, post(chat()))
        assert got.status == 503 and got.error["code"] == "upstream_unavailable"
        assert int(got.headers["retry-after"]) >= 1 and len(s.provider.seen) == seen
        assert s.inference.statistics()["m"]["breaker"] == "open"
        measures = (await ask(s.port, get("/metrics"))).body.decode()
        assert 'actinium_upstream_breaker_state{deployment="m"} 2' in measures

    run(body, breaker=BreakerPolicy(failures=3))


def test_complaint_23_an_attempt_leaves_nothing_to_the_next() -> None:
    """Fallbacks re-target the primary; headers of the failed try leak into the answer."""

    async def main() -> None:
        async with two(fallback=("n",)) as (port, _, a, b):
            marks = {"x-request-id": "theirs", "set-cookie": "a=b"}
            a.faults.append(Fault(status=500, headers=marks))
            got = await ask(port, post(chat()))
            assert got.status == 200 and got.json["choices"][0]["message"]["content"] == "other"
            assert "set-cookie" not in got.headers
            assert got.headers["x-request-id"] != "theirs"
            assert (len(a.seen), len(b.seen)) == (1, 1)
            a.faults.append(Fault(status=500))
            b.faults.append(Fault(status=503))
            got = await ask(port, post(chat()))
            assert got.status >= 500 and (len(a.seen), len(b.seen)) == (2, 2)

    asyncio.run(main())


def test_complaint_23_a_crash_ends_one_request_alone() -> None:
    """Nil dereference crashes the process."""

    async def body(s: Served) -> None:
        runner: Any = s.inference.replica("m").runner
        whole = runner.complete
        crashed = 0

        async def complete(request: Any) -> Any:
            nonlocal crashed
            if request.messages[-1].content == "crash":
                crashed += 1
                raise ZeroDivisionError("a bug")
            return await whole(request)

        s.inference.replica("m")._whole = complete  # type: ignore[attr-defined]
        answers = await asyncio.gather(
            *(ask(s.port, post(chat("crash" if n % 4 == 0 else "fine"))) for n in range(20))
        )
        assert [a.status for a in answers] == [500 if n % 4 == 0 else 200 for n in range(20)]
        assert crashed == 5 and b"ZeroDivision" not in b"".join(a.body for a in answers)

    run(body)


def test_complaint_29_hundreds_at_once_all_end_and_leave_nothing() -> None:
    """At 2,048 concurrent: 1.6 % of the work done, requests hang, state leaks, duplicate ids."""

    async def body(s: Served) -> None:
        answers = await asyncio.gather(
            *(ask(s.port, post(chat(str(n), stream=n % 2 == 0))) for n in range(400))
        )
        assert {a.status for a in answers} == {200}
        assert len({a.headers["x-request-id"] for a in answers}) == 400
        await until(lambda: s.inference.replica("m").inflight == 0)  # type: ignore[attr-defined]

    run(body, max_concurrent=32, queue=1000)


def test_complaint_30_a_limit_with_a_mistake_in_it_is_refused() -> None:
    """Fallback and token limits silently not applied."""
    for wrong, says in (
        ("limits = { tpn = 5 }", "tpm"),
        ('fallback = ["there-is-none"]', "no other deployment"),
        ("budget = { per_dy = 1.0 }", "per_day"),
        ("hedge = { aftr = 1.0 }", "after"),
    ):
        text = f'[[deployment]]\nname = "a"\nmodel = "gpt-4o"\n{wrong}\n'
        with pytest.raises(ConfigError, match=says):
            parse_plan(text, "actinium.toml", {"OPENAI_API_KEY": "k"})


def test_complaint_30_large_bodies_arrive_whole() -> None:
    """1 MB bodies give 500; large bodies cost half a second."""

    async def body(s: Served) -> None:
        text = "x" * 1_000_000
        got = await ask(s.port, post(chat(text)))
        assert got.status == 200
        assert s.provider.seen[-1].body["messages"][0]["content"] == text

    run(body)
