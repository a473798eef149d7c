"""The endpoints as a client sees them, over real sockets."""

from __future__ import annotations

import asyncio
import base64
import json
from array import array
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from actinium.errors import ConfigError, Unavailable
from actinium.inference import Inference
from actinium.serve import Gateway, Limits
from actinium.testkit.gateway import Served, served
from actinium.testkit.provider import Fault, Provider
from actinium.testkit.rawhttp import Client, ask, chat, get, post

TEXT = "Hello from the test."


def run(body: Callable[[Served], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with served(**options) as s:
            await body(s)

    asyncio.run(main())


def test_chat_whole() -> None:
    async def body(s: Served) -> None:
        got = await ask(s.port, post(chat(temperature=0.5, max_tokens=9, stop="x", seed=3)))
        assert got.status == 200
        answer = got.json
        assert answer["id"] == got.headers["x-request-id"]
        assert answer["id"].startswith("chatcmpl-")
        assert answer["object"] == "chat.completion"
        assert answer["model"] == "m"
        assert answer["system_fingerprint"].startswith("fp_")
        (choice,) = answer["choices"]
        assert choice["message"] == {"role": "assistant", "content": TEXT, "refusal": None}
        assert choice["finish_reason"] == "stop"
        assert answer["usage"]["prompt_tokens"] == 1
        assert answer["usage"]["completion_tokens"] == 5
        sent = s.provider.seen[0].body
        assert sent == {
            "model": "upstream-model",
            "messages": [{"role": "user", "content": "hello"}],
            "temperature": 0.5,
            "max_tokens": 9,
            "stop": ["x"],
            "seed": 3,
        }

    run(body)


def test_chat_stream() -> None:
    async def body(s: Served) -> None:
        got = await ask(s.port, post(chat(stream=True, stream_options={"include_usage": True})))
        assert got.status == 200
        assert got.headers["content-type"].startswith("text/event-stream")
        assert got.headers["x-request-id"].startswith("chatcmpl-")
        first, *events, usage, done = got.events
        assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert got.text == TEXT
        assert [e["choices"][0]["finish_reason"] for e in events] == [None] * 5 + ["stop"]
        assert all(e["usage"] is None for e in events)
        assert usage["choices"] == [] and usage["usage"]["completion_tokens"] == 5
        assert done == "[DONE]"
        assert s.provider.seen[0].body["stream_options"] == {"include_usage": True}

    run(body)


def test_usage_event_comes_only_if_asked() -> None:
    async def body(s: Served) -> None:
        got = await ask(s.port, post(chat(stream=True)))
        assert all("usage" not in e for e in got.events[:-1])
        assert s.provider.seen[0].body["stream_options"] == {"include_usage": True}

    run(body)


def test_n_choices_tools_and_logprobs() -> None:
    async def body(s: Served) -> None:
        tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
        got = (await ask(s.port, post(chat(tools=tools)))).json["choices"][0]
        assert got["finish_reason"] == "tool_calls"
        assert got["message"]["content"] is None
        call = got["message"]["tool_calls"][0]
        assert call == {
            "id": "call_1",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
        }
        streamed = (await ask(s.port, post(chat(tools=tools, stream=True)))).events[:-1]
        pieces = [
            t for e in streamed for c in e["choices"] for t in c["delta"].get("tool_calls", [])
        ]
        assert pieces[0]["id"] == "call_1" and pieces[0]["function"]["name"] == "weather"
        assert "".join(p["function"]["arguments"] for p in pieces) == '{"city":"Paris"}'
        two = (await ask(s.port, post(chat(n=2, logprobs=True, top_logprobs=1)))).json
        assert [c["index"] for c in two["choices"]] == [0, 1]
        token = two["choices"][1]["logprobs"]["content"][0]
        assert token["token"] == "Hello" and token["top_logprobs"][0]["token"] == "Hello0"
        two = (await ask(s.port, post(chat(n=2, stream=True)))).events[:-1]
        finished = [c["index"] for e in two for c in e["choices"] if c["finish_reason"]]
        assert sorted(finished) == [0, 1]

    run(body)


def test_completions_of_several_prompts() -> None:
    async def body(s: Served) -> None:
        ask_for = {"model": "m", "prompt": ["a", "b c"], "n": 2}
        got = (await ask(s.port, post(ask_for, "/v1/completions"))).json
        assert got["object"] == "text_completion"
        assert [c["index"] for c in got["choices"]] == [0, 1, 2, 3]
        assert {c["text"] for c in got["choices"]} == {TEXT}
        assert got["usage"]["prompt_tokens"] == 3
        wish = {**ask_for, "stream": True, "stream_options": {"include_usage": True}}
        events = (await ask(s.port, post(wish, "/v1/completions"))).events
        texts = dict.fromkeys(range(4), "")
        for event in events[:-1]:
            for choice in event["choices"]:
                texts[choice["index"]] += choice["text"]
        assert set(texts.values()) == {TEXT}
        assert events[-2]["usage"]["prompt_tokens"] == 3
        assert events[-1] == "[DONE]"

    run(body)


def test_embeddings_as_floats_and_base64() -> None:
    async def body(s: Served) -> None:
        wish: dict[str, Any] = {"model": "m", "input": ["ab", "c"]}
        got = (await ask(s.port, post(wish, "/v1/embeddings"))).json
        assert [d["embedding"] for d in got["data"]] == [[2.0, 0.0, 0.5], [1.0, 1.0, 0.5]]
        assert got["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
        wish["encoding_format"] = "base64"
        got = (await ask(s.port, post(wish, "/v1/embeddings"))).json
        raw = base64.b64decode(got["data"][0]["embedding"])
        assert list(array("f", raw)) == [2.0, 0.0, 0.5]

    run(body)


def test_models_health_and_metrics() -> None:
    async def body(s: Served) -> None:
        models = (await ask(s.port, get("/v1/models"))).json
        assert [m["id"] for m in models["data"]] == ["m", "alias"]
        assert (await ask(s.port, get("/v1/models/alias"))).json["id"] == "alias"
        assert (await ask(s.port, get("/v1/models/none"))).error["code"] == "model_not_found"
        assert (await ask(s.port, get("/healthz"))).status == 200
        assert (await ask(s.port, get("/readyz"))).json["status"] == "ready"
        head = await ask(s.port, get("/v1/models", "HEAD"), head_only=True)
        assert head.status == 200 and int(head.headers["content-length"]) > 0
        options = await ask(s.port, get("/v1/models", "OPTIONS"))
        assert options.status == 204 and options.headers["allow"] == "GET, HEAD, OPTIONS"
        await ask(s.port, post(chat()))
        page = (await ask(s.port, get("/metrics"))).body.decode()
        assert 'actinium_requests_total{deployment="m",outcome="ok"} 1.0' in page
        open_metrics = await ask(
            s.port, get("/metrics", headers="Accept: application/openmetrics-text\r\n")
        )
        assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
        assert open_metrics.body.endswith(b"# EOF\n")

    run(body)


@pytest.mark.parametrize(
    ("fields", "param", "code", "says"),
    [
        ({"messages": 3}, "messages", "invalid_type", "expected `array`, got `int`"),
        ({"messages": []}, "messages", "invalid_type", "length >= 1"),
        (
            {"messages": [{"role": "user", "content": 3}]},
            "messages[0].content",
            "invalid_type",
            "expected `str | array | null`, got `int` - at `$.messages[0].content`",
        ),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter", ""),
        ({"messages": [{"role": "boss"}]}, "messages[0].role", "invalid_type", "boss"),
        ({"temperature": 3}, "temperature", "invalid_type", "<= 2"),
        ({"n": 0}, "n", "invalid_type", ">= 1"),
        ({"max_tokens": -1}, "max_tokens", "invalid_type", ">= 1"),
        ({"top_logprobs": 2}, "top_logprobs", "invalid_value", "logprobs: true"),
        ({"stream_options": {}}, "stream_options", "invalid_value", "stream: true"),
        ({"stop": ["a"] * 17}, "stop", "invalid_type", "16"),
        ({"model": "nope"}, "model", "model_not_found", "there are: 'm', 'alias'"),
        ({"model": 1}, "model", "invalid_type", "expected `str`, got `int`"),
        ({"metadata": {"session_id": "s1"}}, "session", "unsupported_parameter", "no sessions"),
        ({"user": "session:s1"}, "session", "unsupported_parameter", "no sessions"),
        ({"user": "session:" + "x" * 129}, "user", "invalid_value", "128"),
    ],
)
def test_inf_GW_2_bad_fields_get_an_exact_error(
    fields: dict[str, Any], param: str, code: str, says: str
) -> None:
    async def body(s: Served) -> None:
        got = await ask(s.port, post(chat(**fields)))
        assert got.status == (404 if code == "model_not_found" else 400)
        error = got.error
        assert (error["param"], error["code"]) == (param, code), error
        assert error["type"] == "invalid_request_error"
        assert says in error["message"], error
        assert s.provider.seen == []

    run(body)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "expected `object`, got `array`"),
        (b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', "UTF-8"),
        (b'{"a":' * 4000, "unknown"),
        (b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}', "JSON"),
    ],
)
def test_inf_GW_2_bad_json(raw: bytes, says: str) -> None:
    async def body(s: Served) -> None:
        got = await ask(s.port, post(raw))
        assert got.status == 400, got.body
        assert says in got.error["message"] or got.error["code"] == "invalid_json"

    run(body)


def test_deep_json_is_refused() -> None:
    async def body(s: Served) -> None:
        deep: Any = 1
        for _ in range(80):
            deep = [deep]
        for fields in ({"tools": [{"x": deep}]}, {"other": deep}, {"response_format": {"a": deep}}):
            got = await ask(s.port, post(chat(**fields)))
            assert got.status == 400 and "deeper than 64" in got.error["message"]

    run(body)


def test_inf_RQ_7_unknown_fields_pass_to_the_same_wire_or_are_declared() -> None:
    async def body(s: Served) -> None:
        message = {"role": "user", "content": "x", "refusal": None, "weight": 1}
        wish = {"model": "m", "messages": [message], "min_p": 0.1, "metadata": {"a": "b"}}
        got = await ask(s.port, post(wish))
        assert got.status == 200
        assert got.headers["x-actinium-ignored"] == "messages[].weight"
        sent = s.provider.seen[0].body
        assert sent["min_p"] == 0.1 and sent["metadata"] == {"a": "b"}

    run(body)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": "x", "echo": True}, "echo"),
        ({"prompt": "x", "suffix": "y"}, "suffix"),
        ({"prompt": "x", "best_of": 3}, "best_of"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": []}, "prompt"),
    ],
)
def test_completions_refuse_what_they_lack(body: dict[str, Any], param: str) -> None:
    async def main(s: Served) -> None:
        got = await ask(s.port, post({"model": "m", **body}, "/v1/completions"))
        assert got.status == 400 and got.error["param"] == param

    run(main)


def test_api_key() -> None:
    async def body(s: Served) -> None:
        for headers in ("", "Authorization: Bearer wrong\r\n", "Authorization: Basic a2V5\r\n"):
            got = await ask(s.port, post(chat(), headers=headers))
            assert got.status == 401 and got.error["code"] == "invalid_api_key"
            assert got.headers["www-authenticate"] == "Bearer"
        good = await ask(s.port, post(chat(), headers="Authorization: Bearer key-1\r\n"))
        assert good.status == 200
        assert (await ask(s.port, get("/healthz"))).status == 200
        assert (await ask(s.port, get("/metrics"))).status == 401

    run(body, api_key="key-1")


def test_unknown_path_and_method() -> None:
    async def body(s: Served) -> None:
        got = await ask(s.port, get("/v2/x"))
        assert got.status == 404 and "/v1/chat/completions" in got.error["message"]
        got = await ask(s.port, get("/v1/chat/completions"))
        assert got.status == 405 and got.headers["allow"] == "POST, OPTIONS"

    run(body)


def test_inf_SC_1_the_clients_key_does_not_go_upstream() -> None:
    async def body(s: Served) -> None:
        await ask(s.port, post(chat(), headers="Authorization: Bearer key-1\r\n"))
        assert "authorization" not in s.provider.seen[0].headers

    run(body, api_key="key-1")


def test_pipelined_requests_are_answered_in_order() -> None:
    async def body(s: Served) -> None:
        async with await Client.to(s.port) as client:
            client.send(post(chat()) + get("/healthz") + get("/nope") + post(b"{") + post(chat()))
            got = [await client.answer() for _ in range(5)]
            assert [a.status for a in got] == [200, 200, 404, 400, 200]
            assert got[0].json["choices"] and got[4].json["choices"]

    run(body)


def test_a_long_pipeline_waits_in_the_socket() -> None:
    async def body(s: Served) -> None:
        async with await Client.to(s.port) as client:
            client.send(post(chat()) * 40)
            for _ in range(40):
                assert (await client.answer()).status == 200
        assert len(s.provider.seen) == 40

    run(body, limits=Limits(pipeline=2))


def test_http_1_0_gets_a_stream_that_ends_with_the_connection() -> None:
    async def body(s: Served) -> None:
        async with await Client.to(s.port) as client:
            client.send(post(chat(stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0"))
            status, headers = await client.head()
            rest = await client.closed()
            assert status == 200 and "transfer-encoding" not in headers
            assert rest.endswith(b"data: [DONE]\n\n")

    run(body)


def test_connection_close_is_obeyed() -> None:
    async def body(s: Served) -> None:
        async with await Client.to(s.port) as client:
            client.send(post(chat(), headers="Connection: close\r\n"))
            assert (await client.answer()).headers["connection"] == "close"
            assert await client.closed() == b""

    run(body)


def test_expect_100_continue() -> None:
    async def body(s: Served) -> None:
        raw = json.dumps(chat()).encode()
        head = post(raw, headers="Expect: 100-continue\r\n")[: -len(raw)]
        async with await Client.to(s.port) as client:
            client.send(head)
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(raw)
            assert (await client.answer()).status == 200
            client.send(head.replace(b"100-continue", b"magic"))
            assert (await client.answer()).status == 417

    run(body)


def test_request_timeout_header() -> None:
    async def body(s: Served) -> None:
        s.provider.faults.append(Fault(hold=True))
        got = await ask(s.port, post(chat(), headers="x-request-timeout-ms: 30\r\n"))
        assert got.status == 504 and got.error["code"] == "deadline_exceeded"
        got = await ask(s.port, post(chat(), headers="x-request-timeout-ms: soon\r\n"))
        assert got.status == 400 and got.error["param"] == "x-request-timeout-ms"

    run(body)


def test_drain_lets_answers_end_and_takes_no_more() -> None:
    async def body(s: Served) -> None:
        s.provider.faults.append(Fault(hold=True))
        async with await Client.to(s.port) as busy, await Client.to(s.port) as idle:
            busy.send(post(chat()))
            await s.provider.until(lambda p: p.live == 1)
            draining = asyncio.create_task(s.gateway.drain(5))
            assert await idle.closed() == b""
            s.provider.release()
            answer = await busy.answer()
            assert answer.status == 200 and answer.headers["connection"] == "close"
            assert await draining

    run(body)


def test_settings_that_cannot_be_meant() -> None:
    inference = Inference([])
    with pytest.raises(ConfigError, match="api_key"):
        Gateway(inference, "0.0.0.0")
    with pytest.raises(ConfigError, match="empty"):
        Gateway(inference, api_key="")
    with pytest.raises(ConfigError, match="port"):
        Gateway(inference, port=70000)
    with pytest.raises(ConfigError, match=r"limits\.body_bytes"):
        Limits(body_bytes=0)


def test_a_taken_port_is_unavailable() -> None:
    async def body(s: Served) -> None:
        with pytest.raises(Unavailable, match=str(s.port)):
            async with Gateway(Inference([]), port=s.port):
                pass

    run(body)


def test_not_ready_before_start() -> None:
    async def main() -> None:
        async with Gateway(Inference([]), port=0) as gateway:
            port = int(gateway.url.rsplit(":", 1)[1])
            got = await ask(port, get("/readyz"))
            assert got.status == 503 and "no deployments" in got.json["reason"]

    asyncio.run(main())


def test_provider_refuses_the_key() -> None:
    async def body(s: Served) -> None:
        got = await ask(s.port, post(chat()))
        assert got.status == 502 and got.error["code"] == "upstream_authentication"

    run(body, provider=Provider(key="sk-right"))
