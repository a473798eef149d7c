"""Virtual keys through the gateway: who gets in, what they may use, and how much."""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anthropic
import openai
import pytest

from actinium.errors import AuthenticationFailed, ConfigError, Conflict, KeyNotFound, StoreCorrupt
from actinium.inference import Budget, Deployment, Inference, Price
from actinium.inference.limits import Accounts
from actinium.inference.tenants import DeclaredKey, KeyLimits, Keyring, KeySpec, Tenant
from actinium.serve import Gateway
from actinium.store import MemoryStore, Store
from actinium.testkit.gateway import until
from actinium.testkit.provider import Fault, Provider
from actinium.testkit.rawhttp import Answer, Client, ask, chat, get, post

START = 1_800_000_000.0
PRICE = Price(input=1000, output=1000)  # 0.001 USD a token


class Ring:
    """A gateway with a keyring, a provider behind ``m`` and ``secret``, and a clock to set."""

    def __init__(
        self, keys: Keyring, gateway: Gateway, provider: Provider, inference: Inference
    ) -> None:
        self.keys = keys
        self.gateway = gateway
        self.provider = provider
        self.inference = inference
        self.port = int(gateway.url.rpartition(":")[2])

    async def make(self, name: str = "web", **spec: Any) -> str:
        return (await self.keys.create(KeySpec(name=name, **spec))).secret.reveal()

    async def chat(self, key: str, model: str = "m", **fields: Any) -> Answer:
        headers = f"Authorization: Bearer {key}\r\n"
        return await ask(self.port, post({**chat(), "model": model, **fields}, headers=headers))


class Clock:
    now = START

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def ring(
    clock: Clock | None = None, store: Store | None = None, api_key: str | None = None,
    price: Price | None = PRICE, **keyring: Any,
) -> AsyncIterator[Ring]:  # fmt: skip
    clock = clock or Clock()
    async with Provider() as upstream:
        deployments = [
            Deployment(
                name=name, model="none-such", runtime="openai", base_url=upstream.base_url,
                price=price, aliases=(f"{name}-alias",),
            )
            for name in ("m", "secret")
        ]  # fmt: skip
        inference = Inference(deployments, accounts=Accounts(clock=clock))
        await inference.start()
        try:
            keys = Keyring(inference, store=store or MemoryStore(), clock=clock, **keyring)
            async with Gateway(inference, port=0, keys=keys, api_key=api_key) as gateway:
                yield Ring(keys, gateway, upstream, inference)
        finally:
            await inference.close(drain=0)


def run(body: Callable[[Ring], Awaitable[None]], **made: Any) -> None:
    async def main() -> None:
        async with ring(**made) as r:
            await body(r)

    asyncio.run(main())


DOORS = [
    ("POST", "/v1/chat/completions", chat()),
    ("POST", "/v1/completions", {"model": "m", "prompt": "x"}),
    ("POST", "/v1/embeddings", {"model": "m", "input": "x"}),
    ("POST", "/v1/messages",
     {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}),
    ("POST", "/v1/messages/count_tokens",
     {"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
    ("GET", "/v1/models", None),
    ("GET", "/v1/models/m", None),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), DOORS, ids=[d[1] for d in DOORS])
def test_inf_GW_1_every_door_asks_for_the_key(method: str, path: str, body: Any) -> None:
    """Neither a missing nor a wrong, a disabled or an expired key passes any door; a right one
    passes all of them, in both headers."""

    async def check(r: Ring) -> None:
        def raw(headers: str) -> bytes:
            return post(body, path, headers) if body is not None else get(path, headers=headers)

        good, off = await r.make("good"), await r.make("off")
        past = await r.make("past", expires=datetime.fromtimestamp(START - 1, UTC))
        await r.keys.disable(off.split("_")[1])
        wrong = [
            "", "Authorization: Bearer\r\n", "Authorization: Bearer ac_x\r\n", "x-api-key: \r\n",
            f"Authorization: Basic {good}\r\n", f"Authorization: {good}\r\n",
            f"x-api-key: Bearer {good}\r\n", f"Authorization: Bearer {good}x\r\n",
            f"Authorization: Bearer {good[:-1]}\r\n", f"Authorization: Bearer {off}\r\n",
            f"x-api-key: {past}\r\n", f"Authorization: Bearer {good.upper()}\r\n",
        ]  # fmt: skip
        for headers in wrong:
            got = await ask(r.port, raw(headers))
            assert got.status == 401, headers
            assert got.headers["www-authenticate"] == "Bearer"
            if path.startswith("/v1/messages"):
                assert got.json["type"] == "error"
                assert got.json["error"]["type"] == "authentication_error"
            else:
                assert got.error["code"] == "invalid_api_key"
            for key in (good, off, past):
                assert key not in got.body.decode()
        for headers in (f"Authorization: Bearer {good}\r\n", f"x-api-key: {good}\r\n",
                        f"authorization: bearer  {good} \r\n"):  # fmt: skip
            for _ in range(2):  # looked up, then remembered
                got = await ask(r.port, raw(headers))
                assert got.status not in (401, 403), got.body

    run(check)


def test_what_is_the_operators_is_not_for_tenants() -> None:
    async def check(r: Ring) -> None:
        key = await r.make()
        for given, metrics, ready in ((key, 403, False), ("operator-key", 200, True)):
            headers = f"Authorization: Bearer {given}\r\n"
            got = await ask(r.port, get("/metrics", headers=headers))
            assert got.status == metrics
            if metrics == 403:
                assert got.error["code"] == "permission_denied"
            answer = (await ask(r.port, get("/readyz", headers=headers))).json
            assert answer["status"] == "ready" and ("deployments" in answer) == ready
        assert "deployments" not in (await ask(r.port, get("/readyz"))).json
        assert (await r.chat("operator-key", "secret")).status == 200

    run(check, api_key="operator-key")


def test_inf_GW_1_other_models_do_not_exist_for_a_key() -> None:
    async def check(r: Ring) -> None:
        key = await r.make(models=("m", "m-*"))
        assert (await r.chat(key)).status == 200
        assert (await r.chat(key, "m-alias")).status == 200
        hidden, none = await r.chat(key, "secret"), await r.chat(key, "no-such")
        for got, name in ((hidden, "secret"), (none, "no-such")):
            assert got.status == 404 and got.error["code"] == "model_not_found"
            assert got.error["message"].replace(name, "?") == (
                "the model '?' does not exist for this key; there are: 'm', 'm-alias'"
            ), "one that others use is as unknown as one that is not"
        headers = f"x-api-key: {key}\r\n"
        listed = await ask(r.port, get("/v1/models", headers=headers))
        assert [model["id"] for model in listed.json["data"]] == ["m", "m-alias"]
        assert (await ask(r.port, get("/v1/models/secret", headers=headers))).status == 404
        body = {"model": "secret", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
        got = await ask(r.port, post(body, "/v1/messages", headers))
        assert got.status == 404 and got.json["error"]["type"] == "not_found_error"
        embed = await ask(
            r.port, post({"model": "secret", "input": "x"}, "/v1/embeddings", headers)
        )
        assert embed.status == 404
        assert len(r.provider.seen) == 2

    run(check)


def test_a_tenants_models_hold_for_its_keys() -> None:
    async def check(r: Ring) -> None:
        key = await r.make(tenant="acme", models=("*",))
        assert (await r.chat(key)).status == 200
        assert (await r.chat(key, "secret")).status == 404

    run(check, tenants=[Tenant(name="acme", models=("m",))])


def test_requests_over_a_limit_get_429_and_when_to_come_again() -> None:
    async def check(r: Ring) -> None:
        key = await r.make(limits=KeyLimits(rpm=3))
        lefts = []
        for _ in range(3):
            got = await r.chat(key)
            assert got.status == 200
            lefts.append(int(got.headers["x-ratelimit-remaining-requests"]))
        assert lefts == [2, 1, 0] and got.headers["x-ratelimit-limit-requests"] == "3"
        over = await r.chat(key)
        assert over.status == 429 and over.error["type"] == "rate_limit_error"
        assert 1 <= int(over.headers["retry-after"]) <= 61
        assert over.headers["x-ratelimit-remaining-requests"] == "0"
        assert len(r.provider.seen) == 3
        streamed = await r.chat(key, stream=True)
        assert streamed.status == 429, "before the status of a stream is out"
        assert (await r.chat(await r.make("other"))).status == 200, "it is that key's limit"

    run(check)


def test_complaint_9_requests_side_by_side_use_no_more_than_the_limit() -> None:
    """LiteLLM#18730: requests side by side use no more than the limit together."""

    async def check(r: Ring) -> None:
        key = await r.make(limits=KeyLimits(tpm=100))
        held = [Fault(hold=True)] * 4
        r.provider.faults.extend(held)
        tasks = [asyncio.create_task(r.chat(key, max_tokens=30)) for _ in range(4)]
        await until(lambda: sum(t.done() for t in tasks) == 2)
        refused = [t.result() for t in tasks if t.done()]
        assert [got.status for got in refused] == [429, 429]
        r.provider.faults.clear()
        r.provider.release()
        done = await asyncio.gather(*tasks)
        assert sorted(got.status for got in done) == [200, 200, 429, 429]
        got = await r.chat(key, max_tokens=30)
        assert got.status == 200, "what was not used is given back"
        assert int(got.headers["x-ratelimit-remaining-tokens"]) > 0

    run(check)


@pytest.mark.parametrize("stream", [False, True])
def test_requests_at_once_are_bounded_and_given_back(stream: bool) -> None:
    async def check(r: Ring) -> None:
        key = await r.make(limits=KeyLimits(concurrent=1))
        r.provider.faults.append(Fault(hold=True))
        first = asyncio.create_task(r.chat(key, stream=stream))
        await r.provider.until(lambda p: p.live == 1)
        over = await r.chat(key)
        assert over.status == 429 and over.headers["retry-after"] == "1"
        r.provider.release()
        assert (await first).status == 200
        r.provider.faults.append(Fault(status=500))
        assert (await r.chat(key, stream=stream)).status == 502
        assert (await r.chat(key, stream=stream)).status == 200, "a failure gives its place back"
        assert all(gauge.running == 0 for gauge in r.keys.gauges())

    run(check)


def test_a_client_that_leaves_gives_its_place_back() -> None:
    async def check(r: Ring) -> None:
        key = await r.make(limits=KeyLimits(concurrent=1, tpm=1000))
        r.provider.faults.append(Fault(stall_at=2))
        headers = f"Authorization: Bearer {key}\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", r.port)
        writer.write(post({**chat(), "stream": True}, headers=headers))
        await r.provider.until(lambda p: p.live == 1)
        writer.transport.abort()
        await r.provider.until(lambda p: p.aborted == 1)
        await until(lambda: all(gauge.running == 0 for gauge in r.keys.gauges()))

    run(check)


def test_keys_of_a_tenant_share_its_limits() -> None:
    async def check(r: Ring) -> None:
        one, two = await r.make("one", tenant="acme"), await r.make("two", tenant="acme")
        assert [(await r.chat(key)).status for key in (one, two, one)] == [200, 200, 429]

    run(check, tenants=[Tenant(name="acme", limits=KeyLimits(rpm=2))])


def test_an_empty_purse_is_402_whosever_it_is() -> None:
    async def check(r: Ring) -> None:
        # An answer of the provider costs 0.006 USD; max_tokens=5 reserves 0.011.
        key = await r.make("poor", budget=Budget(per_day=0.03))
        rich = await r.make("rich")
        assert (await r.chat(key, max_tokens=5)).status == 200
        over = await r.chat(key, max_tokens=50)
        assert over.status == 402 and over.error["code"] == "budget_exceeded"
        assert "key:" in over.error["message"] and int(over.headers["retry-after"]) > 0
        assert (await r.chat(rich, max_tokens=50)).status == 200
        tenant = await r.make("t", tenant="acme")
        got = await r.chat(tenant, max_tokens=50)
        assert got.status == 402 and "tenant:acme" in got.error["message"]
        assert all(purse.reserved == 0 for purse in r.inference.accounts.purses.values())  # type: ignore[union-attr]

    run(check, tenants=[Tenant(name="acme", budget=Budget(per_month=0.01))])


def test_a_budget_wants_prices() -> None:
    async def check(r: Ring) -> None:
        with pytest.raises(ConfigError, match="the price of the deployment 'm' is not known"):
            await r.make(budget=Budget(per_day=1))
        assert (await r.chat(await r.make())).status == 200

    run(check, price=None)


def test_a_rotated_key_works_on_for_a_while() -> None:
    clock = Clock()

    async def check(r: Ring) -> None:
        old = await r.make(limits=KeyLimits(rpm=3))
        id = old.split("_")[1]
        assert (await r.chat(old)).status == 200
        new = (await r.keys.rotate(id, 60)).secret.reveal()
        assert [(await r.chat(key)).status for key in (old, new)] == [200, 200]
        assert (await r.chat(new)).status == 429, "it is the same key with the same limits"
        clock.now += 60
        got = await r.chat(old)
        assert got.status == 401 and "replaced" in got.error["message"]
        assert (await r.chat(new)).status == 429
        newer = (await r.keys.rotate(id, 0)).secret.reveal()
        assert (await r.chat(new)).status == 401
        assert (await r.chat(newer)).status == 429

    run(check, clock=clock)


def test_a_change_holds_for_the_next_request_of_an_open_connection() -> None:
    clock = Clock()

    async def check(r: Ring) -> None:

        key = await r.make(expires=datetime.fromtimestamp(START + 60, UTC))
        id = key.split("_")[1]
        raw = get("/v1/models", headers=f"Authorization: Bearer {key}\r\n")
        async with await Client.to(r.port) as client:

            async def status() -> int:
                client.send(raw)
                return (await client.answer()).status

            assert await status() == 200
            await r.keys.disable(id)
            assert await status() == 401
            await r.keys.disable(id, False)
            assert await status() == 200
            clock.now += 60
            assert await status() == 401, "it has expired"
            clock.now -= 60
            assert await status() == 200
            await r.keys.delete(id)
            assert await status() == 401
            with pytest.raises(KeyNotFound):
                await r.keys.rotate(id)

    run(check, clock=clock)


def test_keys_and_accounts_survive_a_restart() -> None:
    store, clock = MemoryStore(), Clock()

    async def main() -> None:
        async with ring(clock, store) as r:
            key = await r.make(budget=Budget(per_day=0.02), tenant="acme")
            off = await r.make("off")
            await r.keys.disable(off.split("_")[1])
            assert (await r.chat(key, max_tokens=5)).status == 200
            before = list(r.keys.accounts.usage())
            assert len(before) == 1 and before[0][0].tenant == "acme"
            assert before[0][1].requests == 1 and before[0][1].cost == 6_000_000
        async with ring(clock, store) as r:
            assert (await r.chat(off)).status == 401
            assert list(r.keys.accounts.usage()) == before
            assert (await r.chat(key, max_tokens=5)).status == 200
            assert (await r.chat(key, max_tokens=5)).status == 402, (
                "what was spent is not forgotten"
            )
            ((line, totals),) = r.keys.accounts.usage()
            assert (line.key, line.deployment, totals.requests) == (key.split("_")[1], "m", 2)
            clock.now += 86400
            assert (await r.chat(key, max_tokens=5)).status == 200, "a new day"
        async with ring(clock, store) as r:
            assert [totals.requests for _, totals in r.keys.accounts.usage()] == [2, 1]

    asyncio.run(main())


def test_only_hashes_are_stored() -> None:
    store = MemoryStore()

    async def check(r: Ring) -> None:
        created = await r.keys.create(KeySpec(name="web"))
        key = created.secret.reveal()
        assert key.startswith(f"ac_{created.record.id}_") and len(key) == 60
        kept = [await store.load(place) for place in await store.keys()]
        whole = b"".join(record.value for record in kept if record is not None)
        assert key.split("_")[2].encode() not in whole
        assert hashlib.sha256(key.encode()).hexdigest().encode() in whole
        assert key not in repr(created) + repr(r.keys) + repr(r.keys.records())

    run(check, store=store)


def test_declared_keys_are_the_configurations_to_change() -> None:
    plain = "the-key-of-acme-1234"
    declared = [
        DeclaredKey(name="by-env", tenant="acme", secret="env:ACME"),
        DeclaredKey(name="by-hash", sha256=hashlib.sha256(b"another-key").hexdigest()),
        DeclaredKey(name="off", sha256=hashlib.sha256(b"third").hexdigest(), disabled=True),
    ]

    async def check(r: Ring) -> None:
        assert [(await r.chat(k)).status for k in (plain, "another-key", "third")] == [
            200,
            200,
            401,
        ]
        for change in (r.keys.rotate("by-env"), r.keys.disable("by-env"), r.keys.delete("by-env")):
            with pytest.raises(Conflict, match="declared in the configuration"):
                await change

    run(check, keys=declared, environ={"ACME": plain})


def test_declarations_that_cannot_be_meant() -> None:
    hashed = hashlib.sha256(b"k").hexdigest()
    for fields, text in (
        ({}, "give either secret"), ({"secret": "env:A", "sha256": hashed}, "give either secret"),
        ({"secret": "sk-plain"}, "expected a reference"), ({"sha256": "AB"}, "64 hexadecimal"),
        ({"sha256": hashed, "expires": datetime(2027, 1, 1)}, "time zone"),
        ({"sha256": hashed, "tenant": "A b"}, "tenant name"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=text) as caught:
            DeclaredKey(name="k", **fields)  # type: ignore[arg-type]
        assert "sk-plain" not in str(caught.value)
    inference = Inference([Deployment(name="m")], accounts=Accounts())
    by_env = DeclaredKey(name="k", secret="env:A")
    for keys, environ, text in (
        ([by_env], {}, "key 'k': the environment variable A is not set"),
        ([by_env], {"A": "short"}, "could be guessed"),
        ([by_env, by_env], {"A": "x" * 20}, "declared twice"),
        ([by_env, DeclaredKey(name="l", secret="env:A")], {"A": "x" * 20}, "the same secret"),
    ):
        with pytest.raises(ConfigError, match=text):
            Keyring(inference, keys=keys, environ=environ)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"accounts=Accounts\(\)"):
        Keyring(Inference([Deployment(name="m")]))


def test_without_a_store_there_are_declared_keys_only() -> None:
    async def main() -> None:
        keys = Keyring(Inference([Deployment(name="m")], accounts=Accounts()))
        await keys.open()
        with pytest.raises(Conflict, match="no store"):
            await keys.create(KeySpec(name="k"))
        await keys.close()

    asyncio.run(main())


@pytest.mark.parametrize("place", ["gateway/key/broken", "gateway/usage/20833", "gateway/purses"])
def test_a_store_that_is_not_what_was_written_is_told(place: str) -> None:
    store = MemoryStore()

    async def main() -> None:
        await store.save(place, b"{", 0)
        with pytest.raises(StoreCorrupt, match=place):
            async with ring(store=store):
                pass

    asyncio.run(main())


def test_another_process_changed_the_key() -> None:
    store = MemoryStore()

    async def main() -> None:
        async with ring(store=store) as r:
            id = (await r.make()).split("_")[1]
            async with ring(store=store) as other:
                await other.keys.disable(id)
            with pytest.raises(Conflict, match="another process"):
                await r.keys.rotate(id)

    asyncio.run(main())


def test_the_official_clients() -> None:
    async def check(r: Ring) -> None:
        key = await r.make(limits=KeyLimits(rpm=2))
        messages: Any = [{"role": "user", "content": "hi"}]
        url = r.gateway.url
        async with (
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as one,
            anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as two,
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-x", max_retries=0) as wrong,
            anthropic.AsyncAnthropic(base_url=url, api_key="sk-x", max_retries=0) as wrong_too,
        ):
            await one.chat.completions.create(model="m", messages=messages)
            await two.messages.create(model="m", messages=messages, max_tokens=9)
            with pytest.raises(openai.RateLimitError):
                await one.chat.completions.create(model="m", messages=messages)
            with pytest.raises(anthropic.RateLimitError):
                await two.messages.create(model="m", messages=messages, max_tokens=9)
            with pytest.raises(openai.AuthenticationError):
                await wrong.chat.completions.create(model="m", messages=messages)
            with pytest.raises(anthropic.AuthenticationError):
                await wrong_too.messages.create(model="m", messages=messages, max_tokens=9)
            with pytest.raises(openai.NotFoundError):
                await one.chat.completions.create(model="other", messages=messages)

    run(check)


def test_requests_carry_tenant_key_and_priority() -> None:
    """Fair queues and accounts go by the key, never by what a client says of itself."""

    async def check(r: Ring) -> None:
        key = await r.make(tenant="acme", priority="high")
        seen: list[Any] = []
        real = r.inference.complete

        def spy(request: Any) -> Any:
            seen.append(request)
            return real(request)

        r.inference.complete = spy  # type: ignore[method-assign]
        assert (await r.chat(key, user="tenant:other")).status == 200
        (request,) = seen
        assert (request.tenant, request.key, request.priority) == (
            "acme", key.split("_")[1], "high",
        )  # fmt: skip
        guard = r.inference.guard("m")
        assert guard is not None and guard.gate._weights["acme"] == 3.0

    run(check, tenants=[Tenant(name="acme", weight=3.0)])


def test_no_key_is_ever_shown() -> None:
    """A canary: the keys occur in no log, error, measure or repr (fidelity of secrets)."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    root = logging.getLogger()
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.DEBUG)
    shown: list[str] = []
    try:

        async def check(r: Ring) -> None:
            keys = [await r.make("a"), "operator-key-canary", "ac_unknown_canary"]
            r.provider.faults.append(Fault(status=500, body=b"boom"))
            for key in keys:
                for raw in (
                    post(chat(), headers=f"Authorization: Bearer {key}\r\n"),
                    post(b"{", headers=f"x-api-key: {key}\r\n"),
                    get("/metrics", headers=f"x-api-key: {key}\r\n"),
                    get("/nowhere", headers=f"x-api-key: {key}\r\n"),
                    post(chat(), "/v1/messages", f"x-api-key: {key}\r\n"),
                ):
                    got = await ask(r.port, raw)
                    shown.append(f"{got.headers} {got.body!r}")
            things = (r.gateway, r.keys, r.keys.records(), r.gateway._context)
            shown.extend(repr(thing) + str(thing) for thing in things)
            with pytest.raises(AuthenticationFailed) as caught:
                r.keys.find(b"ac_unknown_canary")
            shown.append(repr(caught.value) + repr(caught.value.fields()))
            await r.keys.rotate(keys[0].split("_")[1])
            shown.append(log.getvalue())
            for key in keys:
                assert [text for text in shown if key.rpartition("_")[2] in text] == []

        run(check, api_key="operator-key-canary")
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def test_sessions_are_the_tenants() -> None:
    """One tenant's ``anna`` is not another's."""

    async def check(r: Ring) -> None:
        names: list[str | None] = []
        real = r.inference.generate

        def spy(request: Any) -> Any:
            names.append(request.session)
            return real(request)

        r.inference.generate = spy  # type: ignore[method-assign]
        r.inference._sessions = None
        for tenant in ("acme", "other"):
            key = await r.make(tenant=tenant)
            headers = f"Authorization: Bearer {key}\r\nx-session-id: anna\r\n"
            await ask(r.port, post({**chat(), "stream": True}, headers=headers))
        assert names == ["acme:anna", "other:anna"]

    run(check)


def test_expiry_and_rotation_are_told_apart() -> None:
    clock = Clock()

    async def check(r: Ring) -> None:
        key = await r.make(expires=datetime.fromtimestamp(START, UTC) + timedelta(seconds=5))
        clock.now += 5
        got = await r.chat(key)
        assert got.status == 401 and "has expired" in got.error["message"]

    run(check, clock=clock)


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_before_the_first_word_has_used_its_input(stream: bool) -> None:
    """Else a tenant could send prompts without end and hang up on each."""

    async def check(r: Ring) -> None:
        key = await r.make(limits=KeyLimits(tpm=1000))
        r.provider.faults.append(Fault(hold=True))
        headers = f"Authorization: Bearer {key}\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", r.port)
        writer.write(post({**chat("x" * 2400), "stream": stream}, headers=headers))
        await r.provider.until(lambda p: p.live == 1)
        writer.transport.abort()
        await until(lambda: all(gauge.running == 0 for gauge in r.keys.gauges()))
        got = await r.chat(key, max_tokens=1)
        assert 300 < int(got.headers["x-ratelimit-remaining-tokens"]) < 500
        r.provider.faults.append(Fault(status=500))
        before = await r.chat(key, messages=[{"role": "user", "content": "x" * 800}], max_tokens=1)
        after = await r.chat(key, max_tokens=1)
        assert before.status == 502 and after.status == 200, "what failed costs nothing"
        assert int(after.headers["x-ratelimit-remaining-tokens"]) > 300

    run(check)


def test_embeddings_that_nobody_waits_for_are_counted() -> None:
    async def check(r: Ring) -> None:
        key = await r.make(limits=KeyLimits(tpm=1000))
        r.provider.faults.append(Fault(hold=True))
        headers = f"Authorization: Bearer {key}\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", r.port)
        asked = {"model": "m", "input": "x" * 2400}
        writer.write(post(asked, "/v1/embeddings", headers))
        await r.provider.until(lambda p: p.live == 1)
        writer.transport.abort()
        await until(lambda: all(gauge.running == 0 for gauge in r.keys.gauges()))
        got = await r.chat(key, max_tokens=1)
        assert 300 < int(got.headers["x-ratelimit-remaining-tokens"]) < 500

    run(check)


def test_a_key_for_a_model_needs_none_for_its_fallbacks() -> None:
    """A fallback answers for the model that was asked for, whatever the key may ask for itself."""
    upstream = {"model": "x", "base_url": "http://127.0.0.1:9", "credentials": "env:KEY"}
    deployments = [
        Deployment(name="m", runtime="anthropic", fallback=("n",), price="free", **upstream),  # type: ignore[arg-type]
        Deployment(name="n", runtime="anthropic", price="free", **upstream),  # type: ignore[arg-type]
    ]
    key = "a-key-of-enough-characters"
    declared = DeclaredKey(
        name="web", models=("m",), sha256=hashlib.sha256(key.encode()).hexdigest()
    )
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}

    async def main() -> None:
        inference = Inference(deployments, accounts=Accounts())
        keys = Keyring(inference, keys=[declared])
        async with Gateway(inference, port=0, keys=keys) as gateway:
            port = int(gateway.url.rpartition(":")[2])
            for model, status in (("m", 503), ("n", 404)):  # the models were not started
                asked = post({**body, "model": model}, "/v1/messages", f"x-api-key: {key}\r\n")
                assert (await ask(port, asked)).status == status
        await inference.close(drain=0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEY", "of-the-provider")
        asyncio.run(main())


class SlowStore(MemoryStore):
    """Stores at once, and takes its time to say so."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def save(self, key: str, value: bytes, expect: int) -> int:
        revision = await super().save(key, value, expect)
        self.begun.set()
        await self.go_on.wait()
        return revision


def test_a_change_is_made_whole_where_who_asked_leaves() -> None:
    """Else the store has a key disabled, and the gateway lets it in."""

    async def main() -> None:
        store = SlowStore()
        async with ring(store=store) as r:
            key = await r.make()
            id = key.split("_")[1]
            store.begun.clear()
            store.go_on.clear()
            change = asyncio.create_task(r.keys.disable(id))
            await store.begun.wait()
            change.cancel()
            await asyncio.wait([change])
            assert change.cancelled()
            store.go_on.set()
            await until(lambda: r.keys.key(id).disabled)
            assert (await r.chat(key)).status == 401
            await r.keys.rotate(id)  # no Conflict: both know the same

    asyncio.run(main())


def test_the_last_save_waits_for_the_one_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the book thinks that another process writes it."""
    monkeypatch.setattr("actinium.inference.tenants.book.SAVE_SECONDS", 0.0)

    async def main() -> None:
        store = SlowStore()
        async with ring(store=store) as r:
            key = await r.make()
            await until(store.begun.is_set)
            store.begun.clear()
            store.go_on.clear()
            assert (await r.chat(key)).status == 200
            await store.begun.wait()
            asyncio.get_running_loop().call_later(0.05, store.go_on.set)
        assert await store.keys("gateway/usage/")

    asyncio.run(main())


def test_a_key_is_not_remembered_in_every_way_it_can_be_written() -> None:
    async def check(r: Ring) -> None:
        key = await r.make()
        for blanks in (1, 2, 5000):
            headers = f"Authorization: Bearer{' ' * blanks}{key}\r\n"
            got = await ask(r.port, get("/v1/models", headers=headers))
            assert got.status == 200
        access = r.gateway._server._connections.app.access  # type: ignore[attr-defined]
        assert sorted(map(len, access._bearers)) == [len(key) + 7, len(key) + 8]

    run(check)
