"""A key that changes while a server runs: no restart, and no request lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actinium.errors import UpstreamAuth
from actinium.inference import Deployment
from actinium.inference.request import Message, Request
from actinium.inference.route import make_runner
from actinium.testkit.provider import Provider

ASKED = Request(id="r", model="m", messages=(Message(role="user", content="hi"),))


@pytest.mark.parametrize("source", ["file", "command"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_refused_key_is_asked_for_again_once_for_all(
    source: str, stream: bool, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_text("sk-one")
    reference = f"file:{path}" if source == "file" else f"command:cat {path}"

    async def ask(runner: Any) -> str:
        if not stream:
            return "".join(chunk.text for chunk in await runner.complete(ASKED))
        return "".join([c.text async for burst in runner.generate(ASKED) for c in burst])

    async def main() -> None:
        async with Provider(key="sk-one") as provider:
            runner = make_runner(
                Deployment(name="d", model="m", base_url=provider.base_url, credentials=reference),
                {},
            )
            await runner.load()
            assert await ask(runner) == "Hello from the test."
            provider.key = "sk-two"
            path.write_text("sk-two")
            got = await asyncio.gather(*(ask(runner) for _ in range(20)))
            assert got == ["Hello from the test."] * 20, "no request is lost"
            provider.key = "sk-three"
            with pytest.raises(UpstreamAuth) as caught:
                await ask(runner)
            assert "sk-two" not in str(caught.value), "SC-1"
            if source == "file":
                path.unlink()
                with pytest.raises(UpstreamAuth, match="cannot be read"):
                    await ask(runner)
            await runner.close()

    asyncio.run(main())
