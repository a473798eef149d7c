"""One trace from the client through the gateway to the backend, and out to a real collector."""

from __future__ import annotations

import asyncio
import io
import json
import time
from typing import Any

import pytest
from otlp_receiver import attributes, receiving

from actinium.base.trace import Span, Trace, Value, read_context
from actinium.inference import Deployment, Inference, RateLimits
from actinium.ops import LogSettings, Memory, RequestLog, Tracing, TracingSettings, Writer
from actinium.serve import Gateway
from actinium.testkit.gateway import served, until
from actinium.testkit.provider import Fault, Provider
from actinium.testkit.rawhttp import Client, ask, chat, post

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")
ALL = TracingSettings(ratio=1.0)


def traced(body: dict[str, Any], parent: str = PARENT) -> bytes:
    return post(body, headers=f"traceparent: {parent}\r\ntracestate: rojo=1\r\n")


def test_a_trace_reaches_the_collector_and_the_backend() -> None:
    async def main(url: str) -> None:
        settings = TracingSettings(exporter="otlp", endpoint=url, interval=0.05, service="gate")
        tracing = Tracing(settings)
        try:
            async with served(tracing=tracing) as s:
                got = await ask(s.port, traced(chat(stream=True, temperature=0.5, max_tokens=9)))
                assert got.status == 200
                sent = s.provider.seen[0].headers
                context = read_context(sent["traceparent"], sent["tracestate"])
                assert context is not None and context.sampled and context.state == "rojo=1"
                upstream.append(context.span_id)
        finally:
            tracing.close()

    upstream: list[int] = []
    with receiving() as receiver:
        asyncio.run(main(receiver.url))
        spans = {span.name: span for span in receiver.wait(2)}
    assert receiver.services == {"gate"}
    root, attempt = spans["POST /v1/chat/completions"], spans["chat upstream-model"]
    assert root.trace_id == attempt.trace_id == TRACE
    assert root.parent_span_id == bytes.fromhex("b7ad6b7169203331")
    assert attempt.parent_span_id == root.span_id
    assert int.from_bytes(attempt.span_id) == upstream[0]
    assert root.start_time_unix_nano <= attempt.start_time_unix_nano
    assert attempt.end_time_unix_nano <= root.end_time_unix_nano
    assert (root.kind, attempt.kind) == (2, 3)  # server, client
    said = attributes(root)
    assert said["http.route"] == "/v1/chat/completions"
    assert said["http.response.status_code"] == 200 and said["actinium.deployment"] == "m"
    said = attributes(attempt)
    assert said["gen_ai.operation.name"] == "chat" and said["gen_ai.provider.name"] == "openai"
    assert said["gen_ai.request.model"] == "upstream-model"
    assert (said["gen_ai.request.temperature"], said["gen_ai.request.max_tokens"]) == (0.5, 9)
    assert said["gen_ai.response.finish_reasons"] == ("stop",)
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (1, 5)
    assert said["server.address"] == "127.0.0.1" and said["server.port"] > 0
    assert [event.name for event in attempt.events] == ["first_token"]
    assert not {"gen_ai.input.messages", "gen_ai.output.messages"} & {*attributes(root), *said}


def test_names_are_those_of_the_conventions() -> None:
    from opentelemetry.semconv._incubating.attributes import (
        gen_ai_attributes,
        http_attributes,
        server_attributes,
    )
    from opentelemetry.semconv.attributes import error_attributes

    from actinium.base import attributes as ours

    known = {
        value
        for module in (gen_ai_attributes, http_attributes, server_attributes, error_attributes)
        for value in vars(module).values()
        if isinstance(value, str)
    }
    used = {
        value
        for name, value in vars(ours).items()
        if name.isupper()
        and "." in value
        and not value.startswith(("actinium.", "limiter.", "queue."))
    }
    assert used - known == set()


async def faulty(memory: Memory, log: io.BytesIO) -> None:
    """A request whose first deployment fails and whose second has to wait for its limit."""
    writer = Writer(log, lambda n: b"")
    settings = LogSettings(form="json", requests=True)
    async with Provider() as bad, Provider() as good:
        bad.faults.append(Fault(status=500))
        inference = Inference(
            [
                Deployment(name="first", model="x", runtime="openai", base_url=bad.base_url,
                           fallback=("second",)),
                Deployment(name="second", model="y", runtime="openai", base_url=good.base_url,
                           limits=RateLimits(concurrent=1)),
            ]
        )  # fmt: skip
        await inference.start()
        tracing = Tracing(ALL, exporter=memory)
        log_of = RequestLog(writer, settings)
        async with Gateway(inference, port=0, tracing=tracing, request_log=log_of) as gateway:
            port = int(gateway.url.rsplit(":", 1)[1])
            good.faults.append(Fault(hold=True))
            blocker = asyncio.create_task(ask(port, post(chat(model="second"))))
            await good.until(lambda p: p.live == 1)
            waiting = asyncio.create_task(ask(port, post(chat(model="first"))))
            await bad.until(lambda p: len(p.seen) == 1 and p.live == 0)
            guard = inference.guard("second")
            assert guard is not None
            await until(lambda: guard.gate.waiting > 0)
            good.release()
            assert (await blocker).status == (await waiting).status == 200
        await inference.close(drain=0)
    writer.close()


def test_every_step_of_a_fallback_is_there() -> None:
    memory, log = Memory(), io.BytesIO()
    asyncio.run(faulty(memory, log))
    trace, spans = next(t for t in memory.traces if "fallbacks" in t[0].facts)
    names = [span.name for span in spans]
    assert names == [
        "POST /v1/chat/completions", "chat x", "route", "limiter.wait", "chat y",
    ]  # fmt: skip
    root = spans[0]
    assert [span.parent and span.parent.name for span in spans[1:]] == [
        root.name, root.name, "route", root.name,
    ]  # fmt: skip
    assert all(span.ended for span in spans)
    assert spans[1].error and spans[0].error is None
    assert [event.name for event in spans[2].events or ()] == ["fallback"]
    line = next(
        line for line in map(json.loads, log.getvalue().splitlines()) if "fallbacks" in line
    )
    assert line["deployment"] == "second" and line["attempts"] == 2 and line["fallbacks"] == 1
    assert line["limiter"] > 0 and line["status"] == 200
    assert line["trace_id"] == f"{trace.id:032x}"


def test_what_failed_is_exported_though_it_was_not_sampled() -> None:
    async def main() -> None:
        memory = Memory()
        tracing = Tracing(TracingSettings(ratio=0.0), exporter=memory)
        async with served(tracing=tracing) as s:
            assert (await ask(s.port, post(chat()))).status == 200
            assert (await ask(s.port, post(chat(model="unknown")))).status == 404
            assert not memory.traces
            s.provider.faults.append(Fault(status=500))
            assert (await ask(s.port, post(chat()))).status == 502
            s.provider.faults.append(Fault(cut_at=2))
            assert (await ask(s.port, post(chat(stream=True)))).status == 200
            (_, whole), (_, stream) = memory.traces
            assert whole[0].about()["http.response.status_code"] == 502
            assert stream[0].error == "StreamInterrupted"
            assert read_context(s.provider.seen[-1].headers["traceparent"]).sampled is False  # type: ignore[union-attr]

    asyncio.run(main())


def test_a_client_that_leaves_ends_its_spans() -> None:
    async def main() -> None:
        memory = Memory()
        async with served(tracing=Tracing(ALL, exporter=memory)) as s:
            s.provider.faults.append(Fault(stall_at=2))
            client = await Client.to(s.port)
            client.send(post(chat(stream=True)))
            await client.head()
            await client.chunk()
            client.leave()
            await until(lambda: bool(memory.traces))
            _, spans = memory.traces[0]
            assert [span.about().get("http.response.status_code") for span in spans] == [
                499,
                None,
            ]
            assert all(span.ended for span in spans) and spans[0].error is None

    asyncio.run(main())


def test_half_of_the_traces_at_a_ratio_of_a_half() -> None:
    tracing = Tracing(TracingSettings(ratio=0.5), exporter=Memory())
    sampled = sum(tracing.begin(None).sampled for _ in range(2000))
    assert 850 < sampled < 1150
    caller = read_context(PARENT[:-2] + "00")
    assert not any(tracing.begin(caller).sampled for _ in range(50))


@pytest.mark.parametrize("collector", ["dead", "refusing"])
def test_a_collector_that_does_not_take_spans_changes_no_answer(collector: str) -> None:
    async def main(url: str) -> None:
        settings = TracingSettings(
            exporter="otlp", endpoint=url, ratio=1.0, queue=5, interval=0.01, timeout=0.2
        )
        tracing = Tracing(settings)
        async with served(tracing=tracing) as s:
            for _ in range(30):
                assert (await ask(s.port, post(chat()))).status == 200
            tracing.close()
            exporter = tracing.exporter
            assert exporter.dropped == 60 and exporter.exported == 0  # type: ignore[union-attr]
            page = (await ask(s.port, b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")).body.decode()
            assert "actinium_spans_dropped_total 60.0" in page
            assert "actinium_traces_total 30.0" in page

    if collector == "dead":
        asyncio.run(main("http://127.0.0.1:9"))
    else:
        with receiving() as receiver:
            receiver.status = 400
            asyncio.run(main(receiver.url))


def test_nothing_is_added_to_requests_while_it_is_off() -> None:
    async def main() -> None:
        async with served() as s:
            assert (await ask(s.port, traced(chat()))).status == 200
            assert "traceparent" not in s.provider.seen[0].headers

    asyncio.run(main())


def test_content_goes_into_spans_only_when_asked_for() -> None:
    async def main() -> None:
        memory = Memory()
        settings = TracingSettings(ratio=1.0, content=True)
        async with served(tracing=Tracing(settings, exporter=memory)) as s:
            await ask(s.port, post(chat(stream=True)))
        said = memory.traces[0][1][0].about()
        assert "hello" in str(said["gen_ai.input.messages"])
        assert said["gen_ai.output.messages"] == "Hello from the test."

    asyncio.run(main())


def test_a_span_that_cannot_be_told_does_not_end_the_export() -> None:
    class Odd(Span):
        def about(self) -> dict[str, Value]:
            raise RuntimeError("nothing to say")

    with receiving() as receiver:
        settings = TracingSettings(exporter="otlp", endpoint=receiver.url, interval=0.01)
        tracing = Tracing(settings)
        try:
            for kind in (Odd, Span):
                trace = Trace()
                trace.sampled = True
                span = kind(trace, kind.__name__)
                span.end()
                tracing.end(span, failed=False)
                if kind is Odd:
                    assert tracing.exporter is not None
                    deadline = time.monotonic() + 10
                    while not tracing.exporter.dropped and time.monotonic() < deadline:  # type: ignore[attr-defined]
                        time.sleep(0.005)
        finally:
            tracing.close()
        assert [span.name for span in receiver.wait(1)] == ["Span"]
