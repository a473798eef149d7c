"""The document at /openapi.json is what the gateway serves, and the gateway is what it says.

Schemathesis makes requests of the document, right ones and wrong ones, and checks each answer
against it: no 5xx, no status, content type or body that the document does not have, no wrong
request that is taken for a right one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from actinium.base.secret import Secret
from actinium.inference import Deployment, Inference
from actinium.inference.limits import Accounts
from actinium.inference.tenants import Keyring, KeySpec
from actinium.serve import Admin, Gateway
from actinium.serve.admin.api import AdminApi
from actinium.serve.admin.routes import admin_routes
from actinium.serve.routes import PUBLIC
from actinium.store import MemoryStore
from actinium.testkit.provider import Provider

TOKEN = "the-token-of-the-admin"


@contextmanager
def running() -> Iterator[str]:
    """A gateway with everything on, in a thread of its own; its URL."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    told: dict[str, Any] = {}

    async def serve() -> None:
        async with Provider() as upstream:

            def one(name: str) -> Deployment:
                return Deployment(
                    name=name, model="x", runtime="openai", base_url=upstream.base_url, price="free"
                )

            inference = Inference([one("m")], accounts=Accounts())
            real = inference._factory
            # Deployments that are made up here are served by the same provider.
            inference._factory = lambda d: real(one(d.name))
            await inference.start()
            keys = Keyring(inference, store=MemoryStore())
            admin = Admin(token=Secret(TOKEN))
            async with Gateway(inference, port=0, keys=keys, admin=admin) as gateway:
                await keys.create(KeySpec(name="web"))
                told.update(url=gateway.url, stop=asyncio.Event())
                ready.set()
                await told["stop"].wait()
            await inference.close(drain=0)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    try:
        yield told["url"]
    finally:
        loop.call_soon_threadsafe(told["stop"].set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running() as found:
        yield found


def test_the_document_is_public_and_has_every_route(url: str) -> None:
    got = httpx.get(f"{url}/openapi.json")
    assert got.status_code == 200 and got.json()["openapi"] == "3.1.0"
    routes = {**PUBLIC, **admin_routes(AdminApi(Inference([]), None))}
    served = {
        (method.decode().lower(), path.decode())
        for path, route in routes.items()
        for method in route.all_methods
    }
    paths = got.json()["paths"]
    told = {(method, path) for path, item in paths.items() for method in item}
    assert told - {("get", "/openapi.json"), ("head", "/openapi.json")} == served
    ids = [operation["operationId"] for item in paths.values() for operation in item.values()]
    assert len(ids) == len(set(ids))
    assert all(operation["summary"] for item in paths.values() for operation in item.values())


def test_without_an_admin_api_none_is_told_of() -> None:
    async def main() -> None:
        async with Gateway(Inference([]), port=0) as gateway, httpx.AsyncClient() as http:
            paths = (await http.get(f"{gateway.url}/openapi.json")).json()["paths"]
            assert "/v1/models" in paths and not any("admin" in path for path in paths)

    asyncio.run(main())


def test_the_bodies_are_those_the_decoders_read() -> None:
    """What a route says it reads is the very type that its reader decodes."""
    from actinium.serve.anthropic import read as anthropic
    from actinium.serve.openai import read as openai

    for path, kind in (
        (b"/v1/chat/completions", openai._chat.__self__.type),  # type: ignore[attr-defined]
        (b"/v1/completions", openai._completion.__self__.type),  # type: ignore[attr-defined]
        (b"/v1/embeddings", openai._embedding.__self__.type),  # type: ignore[attr-defined]
        (b"/v1/messages", anthropic.Body),
        (b"/v1/messages/count_tokens", anthropic.CountBody),
    ):
        assert kind is PUBLIC[path].body, path


CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]
LAST = ("/admin/v1/deployments/{name}/drain", "/admin/v1/deployments")


def operations(url: str, paths: tuple[str, ...]) -> list[Any]:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    found = [result.ok() for result in schema.get_all_operations()]
    return sorted(
        (o for o in found if o.method != "head" and (not paths or o.path in paths)),
        key=lambda operation: operation.path in LAST,
    )


def aim(case: Any) -> None:
    """Requests are for what is there where they name anything: else a 404 is all one sees."""
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = "m"


def conforms(url: str, mode: GenerationMode, examples: int, *paths: str) -> dict[int, int]:
    """Asks every operation so often; how often each status came."""
    seen: dict[int, int] = {}
    for operation in operations(url, paths):

        @seed(1)
        @settings(
            max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def run(case: Any) -> None:
            aim(case)
            response = case.call(headers={"Authorization": f"Bearer {TOKEN}"})
            seen[response.status_code] = seen.get(response.status_code, 0) + 1
            case.validate_response(response, checks=CHECKS)

        with suppress(Unsatisfiable):  # nothing can be wrong with what takes nothing
            run()
    return seen


MODES = pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)


@MODES
def test_inf_GW_2_every_answer_is_as_the_document_says(url: str, mode: GenerationMode) -> None:
    seen = conforms(url, mode, 3, "/v1/embeddings", "/admin/v1/keys")
    assert seen.get(400 if mode is GenerationMode.NEGATIVE else 200, 0) > 1, seen


@pytest.mark.slow
@pytest.mark.timeout(900)
@MODES
def test_inf_GW_2_every_answer_is_as_the_document_says_at_length(
    url: str, mode: GenerationMode
) -> None:
    seen = conforms(url, mode, 12)
    assert seen.get(400 if mode is GenerationMode.NEGATIVE else 200, 0) > 30, seen
