"""Secrets are planted everywhere, and then looked for in everything that comes out.

SC-1: no credential in any log, trace, metric, error, repr or header to clients; no prompt and no
answer in any log, trace or metric.
"""

from __future__ import annotations

import asyncio
import base64
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from otlp_receiver import Receiver, receiving

from actinium.base.secret import Secret
from actinium.errors import ConfigError
from actinium.inference import Inference
from actinium.ops import RequestLog, Tracing, TracingSettings, set_up_logs
from actinium.serve import Gateway
from actinium.testkit.provider import Fault, Provider
from actinium.testkit.rawhttp import ask, chat, get, post
from actinium.topology import Plan, parse_plan

UPSTREAM = "canary-upstream-7Yq2-from-env"
FILED = "canary-filed-9Kx1-from-file"
GATEWAY = "canary-gateway-3Zw8-api-key"
COLLECTOR = "canary-collector-5Vb4-header"
GUESSED = "canary-guessed-6Tn0-wrong-key"
COOKIE = "canary-cookie-2Hm5-browser"
PROMPT = "canary-prompt-4Jd6 my own question"
ANSWER = "canary-answer-8Rf3"
ECHOED = "canary-echoed-1Lp7-organisation"
REDIS = "canary-redis-0Sg9-password"
SECRETS = (UPSTREAM, FILED, GATEWAY, COLLECTOR, GUESSED, COOKIE, REDIS)
CONTENT = (PROMPT, ANSWER)


def config(provider: str, collector: str, key_file: Path) -> str:
    return f"""
[gateway]
api_key = "env:CANARY_GATEWAY"

[tracing]
exporter = "otlp"
endpoint = "{collector}"
ratio = 1.0
interval = 0.05
headers = {{ authorization = "Bearer env:CANARY_COLLECTOR" }}

[log]
form = "json"
requests = true

[[deployment]]
name = "first"
model = "gpt-4o"
runtime = "openai"
base_url = "{provider}"
credentials = "env:CANARY_UPSTREAM"
fallback = ["second"]
breaker = {{ failures = 50 }}

[[deployment]]
name = "second"
model = "gpt-4o-mini"
runtime = "openai"
base_url = "{provider}"
credentials = "file:{key_file}"
limits = {{ rpm = 1000, strict = "redis", store = "env:CANARY_REDIS" }}
"""


@pytest.fixture
def plan_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    key_file = tmp_path / "key"
    key_file.write_text(FILED + "\n")
    environ = {
        "CANARY_UPSTREAM": UPSTREAM,
        "CANARY_GATEWAY": GATEWAY,
        "CANARY_COLLECTOR": COLLECTOR,
        "CANARY_REDIS": f"redis://:{REDIS}@127.0.0.1:9/0",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return lambda provider, collector: parse_plan(
        config(provider, collector, key_file), "actinium.toml", environ
    )


@pytest.fixture
def quiet_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def keyed(body: Any, key: str = GATEWAY, path: str = "/v1/chat/completions") -> bytes:
    headers = f"Authorization: Bearer {key}\r\nCookie: session={COOKIE}\r\n"
    return post(body, path, headers=headers)


def leaking(key: str) -> Fault:
    """An upstream that says the key it was called with, in every form."""
    coded = base64.b64encode(key.encode()).decode()
    text = f"Incorrect API key {key} ({coded}) of {ECHOED}; Authorization: Bearer {key}"
    body = f'{{"error": {{"message": "{text}", "type": "x", "code": "{key}"}}}}'
    return Fault(status=401, body=body.encode(), headers={"x-echo": key})


async def drive(plan: Plan, provider: Provider, out: dict[str, Any]) -> None:
    """Good and bad requests of all kinds; what comes out is collected in ``out``."""
    inference = Inference(plan.deployments, runner_factory=plan.runner)
    await inference.start()
    sink = io.BytesIO()
    writer = set_up_logs(plan.log, logging.DEBUG, sink=sink)
    tracing = Tracing(plan.tracing)
    key = Secret(GATEWAY)
    gateway = Gateway(
        inference, port=0, api_key=key, tracing=tracing, request_log=RequestLog(writer, plan.log)
    )
    async with gateway:
        port = int(gateway.url.rsplit(":", 1)[1])
        answers = []
        for body in (chat(PROMPT, model="first"), chat(PROMPT, model="first", stream=True)):
            answers.append(await ask(port, keyed(body)))
            provider.faults.extend([Fault(status=500), leaking(FILED)])
            answers.append(await ask(port, keyed(body)))
            provider.faults.extend([leaking(UPSTREAM), leaking(FILED)])
            answers.append(await ask(port, keyed(body)))
            inference.guard("first").rest(0)  # type: ignore[union-attr]
            inference.guard("second").rest(0)  # type: ignore[union-attr]
        provider.faults.append(Fault(garbage_at=1))
        answers.append(await ask(port, keyed(chat(PROMPT, model="first", stream=True))))
        provider.faults.append(Fault(error_at=1))
        answers.append(await ask(port, keyed(chat(PROMPT, model="first", stream=True))))
        answers.append(await ask(port, keyed(chat(PROMPT, model="first"), GUESSED)))
        answers.append(await ask(port, keyed(chat(PROMPT, model="nobody"))))
        answers.append(await ask(port, keyed({"model": "first", "messages": PROMPT})))
        log = logging.getLogger("some.library")
        log.warning("sending %s", {"Authorization": f"Bearer {UPSTREAM}", "x-api-key": FILED})
        try:
            raise RuntimeError(f"refused {UPSTREAM} and {COLLECTOR}")
        except RuntimeError:
            log.exception("went wrong with %s", GATEWAY, extra={"cookie": COOKIE})
        page = await ask(port, get("/metrics", headers=f"Authorization: Bearer {GATEWAY}\r\n"))
        assert page.status == 200
        out["metrics"] = page.body
        out["statuses"] = {answer.status for answer in answers}
        out["clients"] = b"".join(repr(answer.headers).encode() + answer.body for answer in answers)
        parts = [gateway, inference, tracing, tracing.exporter, plan, key, plan.tracing, writer]
        parts += [inference.statistics(), inference.models()]
        for name in ("first", "second"):
            runner = inference.replica(name).runner
            parts += [runner, runner.capabilities(), inference.guard(name)]
        out["reprs"] = repr(parts).encode()
    await inference.close(drain=0)
    tracing.close()
    writer.close()
    out["log"] = sink.getvalue()


def test_inf_SC_1_no_canary_comes_out(plan_of: Any, quiet_root: None) -> None:
    out: dict[str, Any] = {}

    async def main(receiver: Receiver) -> None:
        async with Provider(words=(ANSWER, " done")) as provider:
            await drive(plan_of(provider.base_url, receiver.url), provider, out)
            assert {seen.headers["authorization"] for seen in provider.seen} == {
                f"Bearer {UPSTREAM}", f"Bearer {FILED}",
            }  # fmt: skip

    with receiving() as receiver:
        asyncio.run(main(receiver))
        assert receiver.wait(10)
        assert receiver.heads[0]["authorization"] == f"Bearer {COLLECTOR}", "it is really sent"
        out["traces"] = receiver.raw
    assert {200, 400, 401, 404} <= out["statuses"]
    assert b"went wrong" in out["log"] and b"actinium.request" in out["log"]
    for name in ("log", "traces", "metrics", "reprs", "clients"):
        for canary in SECRETS:
            assert canary.encode() not in out[name], f"SC-1: {canary} is in the {name}"
        if name != "clients":
            for canary in (*CONTENT, ECHOED):
                assert canary.encode() not in out[name], f"{canary} is in the {name}"
    assert ANSWER.encode() in out["clients"]


def test_a_secret_does_not_stand_in_the_settings() -> None:
    with pytest.raises(ConfigError, match="holds a secret") as caught:
        TracingSettings(headers={"X-Api-Key": "hush-hush"})
    assert "hush" not in str(caught.value)
    assert TracingSettings(headers={"x-scope": "team-a"}).headers == {"x-scope": "team-a"}
