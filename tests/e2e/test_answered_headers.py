"""``x-actinium-deployment`` and ``x-actinium-attempts`` on every door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actinium.inference import Deployment, Inference, RetryPolicy
from actinium.inference.limits import Accounts
from actinium.inference.tenants import Keyring, KeySpec
from actinium.serve import Gateway
from actinium.store import MemoryStore
from actinium.testkit.provider import Fault, Provider
from actinium.testkit.rawhttp import Answer, ask, post

USER = [{"role": "user", "content": "hi"}]
DOORS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": USER},
    "/v1/completions": {"prompt": "hi"},
    "/v1/responses": {"input": "hi"},
    "/v1/messages": {"messages": USER, "max_tokens": 9},
    "/v1/embeddings": {"input": "hi"},
}
Ask = Callable[..., Awaitable[Answer]]


@asynccontextmanager
async def both(keys: bool = False, **fields: Any) -> AsyncIterator[tuple[Ask, Provider, Any]]:
    """Deployments ``m`` and, unless told otherwise, its fallback ``spare``."""
    async with Provider() as first, Provider() as second:
        made = {"runtime": "openai", "model": "x"}
        m = Deployment(name="m", base_url=first.base_url, aliases=("alias",), **made, **fields)  # type: ignore[arg-type]
        spare = Deployment(name="spare", base_url=second.base_url, **made)  # type: ignore[arg-type]
        inference = Inference([m, spare], accounts=Accounts() if keys else None)
        await inference.start()
        ring = Keyring(inference, store=MemoryStore()) if keys else None
        async with Gateway(inference, port=0, keys=ring) as gateway:
            port = int(gateway.url.rpartition(":")[2])

            async def send(path: str, key: str = "", **more: Any) -> Answer:
                body = {"model": "m", **DOORS[path], **more}
                headers = f"Authorization: Bearer {key}\r\n" if key else ""
                return await ask(port, post(body, path, headers=headers))

            yield send, first, ring
        await inference.close(drain=0)


def told(answer: Answer) -> tuple[str | None, str | None]:
    headers = answer.headers
    return headers.get("x-actinium-deployment"), headers.get("x-actinium-attempts")


@pytest.mark.parametrize(
    ("path", "stream"),
    [
        (path, stream)
        for path in DOORS
        for stream in (False, True)
        if not stream or path != "/v1/embeddings"
    ],
)
def test_every_door_says_who_answered(path: str, stream: bool) -> None:
    more = {"stream": True} if stream else {}

    async def main() -> None:
        async with both() as (send, _, _):  # a replica alone
            assert told(await send(path, **more)) == ("m", "1")
            assert told(await send(path, model="alias", **more)) == ("m", "1")
        async with both(fallback=("spare",)) as (send, first, _):
            assert told(await send(path, **more)) == ("m", "1")
            first.faults.append(Fault(status=500))
            assert told(await send(path, **more)) == ("spare", "2")

    asyncio.run(main())


def test_retries_count_and_errors_name_nobody() -> None:
    async def main() -> None:
        path = "/v1/chat/completions"
        retry = RetryPolicy(attempts=3, base=0.001, max=0.002)
        async with both(retry=retry) as (send, first, _):
            first.faults += [Fault(status=500), Fault(status=503)]
            assert told(await send(path)) == ("m", "3")
            first.faults += [Fault(status=500)] * 3
            failed = await send(path)
            assert failed.status >= 500 and told(failed) == (None, "3")
            wrong = await send(path, messages=[])
            assert wrong.status == 400 and told(wrong) == (None, None)

    asyncio.run(main())


def test_inf_GW_1_a_key_is_not_told_of_deployments_that_do_not_exist_for_it() -> None:
    async def main() -> None:
        async with both(keys=True, fallback=("spare",)) as (send, first, ring):
            path = "/v1/chat/completions"
            secrets = [
                (await ring.create(KeySpec(name=n, tenant="t", models=m))).secret.reveal()
                for n, m in (("a", ("m",)), ("b", ("*",)), ("c", ("alias",)))
            ]
            first.faults += [Fault(status=500)] * 2
            assert told(await send(path, secrets[0])) == (None, "2")
            assert told(await send(path, secrets[1])) == ("spare", "2")
            assert told(await send(path, secrets[0])) == ("m", "1")
            assert told(await send(path, secrets[2], model="alias")) == (None, "1")

    asyncio.run(main())
