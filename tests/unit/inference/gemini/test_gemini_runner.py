"""The runner against a server of Gemini's wire: doors, keys, tokens, and what breaks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actinium.errors import (
    ConfigError,
    InferenceError,
    MissingCredentials,
    ModelNotReady,
    NetworkError,
    ProtocolError,
    RateLimited,
    ServerError,
    StreamInterrupted,
    UpstreamAuth,
    UpstreamTimeout,
)
from actinium.inference import Deployment, Inference, Timeouts
from actinium.inference.chunk import Burst
from actinium.inference.replica import collected
from actinium.inference.request import EmbedRequest, Message, Request
from actinium.inference.route import make_runner
from actinium.inference.runners.gemini import GeminiRunner
from actinium.inference.runners.gemini.door import find_door
from actinium.inference.runners.gemini.options import Options
from actinium.testkit.gemini import GeminiProvider, error
from actinium.testkit.provider import Fault

CANARY = "canary-4f1d0c"
ASKED = Request(id="1", model="m", messages=(Message(role="user", content="hi there"),))
RETRY = {"@type": "RetryInfo", "retryDelay": "2.5s"}


def run(
    body: Callable[[GeminiRunner, GeminiProvider], Awaitable[None]],
    *,
    model: str = "gemini/gemini-2.5-flash",
    key: str | None = None,
    environ: dict[str, str] | None = None,
    **fields: Any,
) -> None:
    async def main() -> None:
        async with GeminiProvider(key=key) as provider:
            runner = make_runner(
                Deployment(name="d", model=model, base_url=provider.base_url, **fields),
                environ or {},
            )
            assert isinstance(runner, GeminiRunner)
            try:
                await body(runner, provider)
                await provider.until(lambda p: p.live == 0)
            finally:
                await runner.close()

    asyncio.run(main())


def text(burst: Burst) -> str:
    return "".join(chunk.text for chunk in burst)


def door(model: str, base_url: str | None = None, vertex: bool = True, **options: Any) -> Any:
    env = {"GOOGLE_CLOUD_PROJECT": "p-1"} if vertex else {}
    return find_door("d", model, base_url, Options(**options), env, vertex=vertex)


def test_doors() -> None:
    studio = door("gemini-2.5-flash", vertex=False)
    assert studio.base + studio.path("generateContent") == (
        "https://generativelanguage.googleapis.com/v1/models/gemini-2.5-flash:generateContent"
    )
    tuned = door("tunedModels/x", "https://proxy/gemini/", vertex=False, api_version="v1beta")
    assert tuned.base + tuned.path("x") == "https://proxy/gemini/v1beta/tunedModels/x:x"
    for place, host in (
        (None, "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
    ):
        found = door("gemini-2.5-flash", location=place)
        assert found.base + found.path("g") == (
            f"https://{host}/v1/projects/p-1/locations/{place or 'global'}"
            "/publishers/google/models/gemini-2.5-flash:g"
        )
    own = "projects/9/locations/us-central1/endpoints/77"
    assert door(own, location="us-central1").path("g") == f"/{own}:g"
    assert door("publishers/x/models/y").path("g").endswith("/global/publishers/x/models/y:g")


@pytest.mark.parametrize("model", ["", "a b", "../x", "x?y", "x%0d", "a//b", "x\r\n"])
def test_model_names_that_are_no_path(model: str) -> None:
    with pytest.raises(ConfigError, match="expected a name"):
        door(model)


def test_vertex_needs_a_project() -> None:
    with pytest.raises(ConfigError, match="a project"):
        find_door("d", "gemini-2.5-pro", None, Options(), {}, vertex=True)
    with pytest.raises(ConfigError, match="expected a-z"):
        door("gemini-2.5-pro", location="evil.com/")


def test_stream_whole_and_embeddings_at_both_doors() -> None:
    async def body(runner: GeminiRunner, provider: GeminiProvider) -> None:
        stream = await collected(runner.generate(ASKED))
        whole = await runner.complete(ASKED)
        assert text(stream) == text(whole) == "".join(provider.words)
        assert stream[-1].usage == whole[-1].usage
        found = await runner.embed(EmbedRequest(id="e", model="m", inputs=("ab", "c")))
        assert [v[0] for v in found.vectors] == [2.0, 1.0]
        assert (await runner.health()).ok
        assert provider.seen[0].path.endswith(":streamGenerateContent?alt=sse")
        assert len({c.path for c in provider.seen}) == 4

    run(body)
    run(body, model="vertex/gemini-2.5-flash", options={"project": "p"})
    run(body, model="vertex/text-embedding-005", options={"project": "p"})


def test_the_key_goes_into_its_header() -> None:
    async def studio(runner: GeminiRunner, provider: GeminiProvider) -> None:
        assert text(await runner.complete(ASKED))
        (seen,) = provider.seen
        assert seen.headers["x-goog-api-key"] == CANARY and CANARY not in seen.path
        assert "authorization" not in seen.headers

    async def vertex(runner: GeminiRunner, provider: GeminiProvider) -> None:
        assert text(await runner.complete(ASKED))
        (seen,) = provider.seen
        assert seen.headers["authorization"] == f"Bearer {CANARY}"
        assert "x-goog-api-key" not in seen.headers

    run(studio, key=CANARY, credentials="env:K", environ={"K": CANARY})
    run(vertex, key=CANARY, credentials="env:K", environ={"K": CANARY},
        model="vertex/gemini-2.5-pro", options={"project": "p"})  # fmt: skip


def test_inf_SC_1_keys_are_shown_to_nobody() -> None:
    async def body(runner: GeminiRunner, provider: GeminiProvider) -> None:
        with pytest.raises(UpstreamAuth) as caught:
            await runner.complete(ASKED)
        assert CANARY not in str(caught.value) and CANARY not in repr(runner)
        assert not (await runner.health()).ok
        assert CANARY not in (await runner.health()).reason

    run(body, key="another", credentials="env:K", environ={"K": CANARY})


def test_inf_SC_1_a_key_goes_only_where_it_was_meant_for() -> None:
    async def body(runner: GeminiRunner, provider: GeminiProvider) -> None:
        await runner.complete(ASKED)
        assert "x-goog-api-key" not in provider.seen[0].headers

    run(body, environ={"GEMINI_API_KEY": CANARY, "GOOGLE_API_KEY": CANARY})
    with pytest.raises(MissingCredentials, match="GEMINI_API_KEY"):
        make_runner(Deployment(name="d", model="gemini/gemini-2.5-pro"), {})
    own = make_runner(Deployment(name="d", model="gemini-2.5-pro"), {"GOOGLE_API_KEY": CANARY})
    assert isinstance(own, GeminiRunner) and own._tokens is not None


def counter(tmp_path: Path) -> tuple[str, Path]:
    """A program that prints another token at each call, and how often it was called."""
    calls = tmp_path / "calls"
    script = tmp_path / "token.py"
    script.write_text(
        "import pathlib\n"
        f"p = pathlib.Path({str(calls)!r})\n"
        "n = len(p.read_text()) if p.exists() else 0\n"
        "p.write_text('x' * (n + 1))\n"
        "print(f'token-{n + 1}')\n"
    )
    return f"command:{sys.executable} {script}", calls


VERTEX: dict[str, Any] = {"model": "vertex/gemini-2.5-flash", "options": {"project": "p"}}


def test_a_command_is_asked_once_and_again_after_a_refusal(tmp_path: Path) -> None:
    command, calls = counter(tmp_path)

    async def body(runner: GeminiRunner, provider: GeminiProvider) -> None:
        got = await asyncio.gather(*(runner.complete(ASKED) for _ in range(8)))
        assert all(map(text, got)) and calls.read_text() == "x"
        provider.key = "token-2"  # the old one is no longer taken
        got = await asyncio.gather(*(runner.complete(ASKED) for _ in range(8)))
        assert all(map(text, got)) and calls.read_text() == "xx", "one renewal for all"
        provider.key = "never"
        with pytest.raises(UpstreamAuth):
            await runner.complete(ASKED)

    run(body, key="token-1", credentials=command, **VERTEX)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("command:/nonexistent/program --key hidden", "cannot be started"),
        ("command:sh -c 'echo broken >&2; exit 3'", "ended with 3 and no token: broken"),
        ("command:true", "no token"),
        ("command:echo two words", "something else than one token"),
    ],
)
def test_commands_that_give_no_token(line: str, says: str) -> None:
    async def body(runner: GeminiRunner, provider: GeminiProvider) -> None:
        for _ in range(2):
            with pytest.raises(UpstreamAuth, match=says) as caught:
                await runner.complete(ASKED)
            assert "hidden" not in str(caught.value)
        assert not provider.seen and not (await runner.health()).ok

    run(body, credentials=line, **VERTEX)


def test_closing_ends_a_command_that_hangs() -> None:
    async def body(runner: GeminiRunner, provider: GeminiProvider) -> None:
        asked = asyncio.ensure_future(runner.complete(ASKED))
        while runner._tokens is not None and runner._tokens._task is None:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await runner.close()
        with pytest.raises(ModelNotReady, match="closed"):
            await asked

    run(body, credentials="command:sleep 1000", **VERTEX)


def test_a_token_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one\n")

    async def body(runner: GeminiRunner, provider: GeminiProvider) -> None:
        assert text(await runner.complete(ASKED))
        path.write_text("two\n")
        provider.key = "two"
        assert text(await runner.complete(ASKED))

    run(body, key="one", credentials=f"file:{path}", **VERTEX)


def test_google_s_library_is_not_needed_before_its_credentials_are() -> None:
    code = "import sys, actinium.inference.runners.gemini as g; print('google' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code]).strip() == b"False"


def test_wrong_references() -> None:
    for reference, says in (("command:", "expected a program"), ("command:'", "cannot be read"),
                            ("x", "command:PROGRAM")):  # fmt: skip
        with pytest.raises(ConfigError, match=says):
            make_runner(Deployment(name="d", credentials=reference, **VERTEX), {})


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(drop=True), NetworkError),
        (Fault(status=429, body=error(429, "slow down", RETRY)), RateLimited),
        (Fault(status=503), ServerError),
        (Fault(status=302, body=b"moved"), ProtocolError),
    ],
)
def test_faults_before_the_answer(fault: Fault, kind: type[InferenceError], stream: bool) -> None:
    async def body(runner: GeminiRunner, provider: GeminiProvider) -> None:
        provider.faults.append(fault)
        with pytest.raises(kind) as caught:
            if stream:
                await collected(runner.generate(ASKED))
            else:
                await runner.complete(ASKED)
        assert len(provider.seen) == 1, "RQ-4: nothing is sent twice"
        if kind is RateLimited:
            assert caught.value.retry_after == 2.5
        assert text(await runner.complete(ASKED)), "the next one is served"

    run(body)


@pytest.mark.parametrize("at", [0, 1, 3, 5])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("cut_at", NetworkError),
        ("reset_at", NetworkError),
        ("garbage_at", ProtocolError),
        ("error_at", ServerError),
    ],
)
def test_inf_RQ_5_faults_within_a_stream(
    kind: str, expected: type[InferenceError], at: int
) -> None:
    async def body(runner: GeminiRunner, provider: GeminiProvider) -> None:
        provider.faults.append(Fault(**{kind: at}))
        got = ""
        with pytest.raises(expected):
            async for burst in runner.generate(ASKED):
                got += text(burst)
                assert not any(chunk.finish for chunk in burst)
        assert got == "".join(provider.words[:at]) or kind == "reset_at"
        while runner.statistics()["connections"]:  # noqa: ASYNC110 - the loop reports the end
            await asyncio.sleep(0)

    run(body)


def test_inf_RQ_5_a_stream_without_its_finish_is_no_answer() -> None:
    async def body(runner: GeminiRunner, provider: GeminiProvider) -> None:
        provider.faults.append(Fault(finish=False))
        with pytest.raises(ProtocolError, match="without a finish"):
            await collected(runner.generate(ASKED))

    run(body)


def test_a_body_in_single_bytes_and_an_answer_without_usage() -> None:
    async def body(runner: GeminiRunner, provider: GeminiProvider) -> None:
        provider.faults += [Fault(split=1), Fault(split=1), Fault(usage=False)]
        assert text(await collected(runner.generate(ASKED))) == "".join(provider.words)
        assert text(await runner.complete(ASKED)) == "".join(provider.words)
        found = await collected(runner.generate(ASKED))
        assert text(found) == "".join(provider.words)
        assert found[-1].finish == "stop" and found[-1].usage is None

    run(body)


def test_inf_CX_1_who_leaves_a_stalled_answer_stops_the_server() -> None:
    async def body(runner: GeminiRunner, provider: GeminiProvider) -> None:
        provider.faults.append(Fault(stall_at=2))
        answer = runner.generate(ASKED)
        assert await anext(answer)
        await answer.aclose()
        await provider.until(lambda p: p.aborted == 1)

    run(body)


@pytest.mark.parametrize("phase", ["first_byte", "inter_chunk"])
def test_a_server_that_falls_silent_runs_into_the_time_limit(phase: str) -> None:
    async def main() -> None:
        async with GeminiProvider() as provider:
            deployment = Deployment(
                name="d",
                model="gemini/gemini-2.5-flash",
                base_url=provider.base_url,
                timeouts=Timeouts(**{phase: 0.03}),
            )
            inference = Inference([deployment])
            await inference.start()
            try:
                first = phase == "first_byte"
                provider.faults.append(Fault(hold=True) if first else Fault(stall_at=2))
                asked = msgspec.structs.replace(ASKED, model="d")
                with pytest.raises(UpstreamTimeout if first else StreamInterrupted) as caught:
                    await collected(inference.generate(asked))
                late = caught.value if first else caught.value.cause  # type: ignore[attr-defined]
                assert isinstance(late, UpstreamTimeout) and late.phase == phase
                await provider.until(lambda p: p.aborted == 1 and p.live == 0)
            finally:
                await inference.close()

    asyncio.run(main())


def test_embeddings_that_are_not() -> None:
    async def body(runner: GeminiRunner, provider: GeminiProvider) -> None:
        wish = EmbedRequest(id="e", model="m", inputs=("a", "b"), dimensions=3)
        for raw in (b"{}", b'{"embeddings":[{"values":[1.0]}]}', b"x"):
            provider.faults.append(Fault(body=raw))
            with pytest.raises(ProtocolError):
                await runner.embed(wish)
        first = provider.seen[0].body["requests"][0]
        assert first["outputDimensionality"] == 3 and first["model"] == "models/gemini-2.5-flash"

    run(body)
