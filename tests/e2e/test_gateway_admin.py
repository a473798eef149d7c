"""The admin API: one test per endpoint, its own token and port, its log, its exact errors."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actinium.base.secret import Secret
from actinium.inference import BreakerPolicy, Budget, Deployment, Inference, RateLimits
from actinium.inference.limits import Accounts
from actinium.inference.tenants import KeyLimits, Keyring, Tenant
from actinium.serve import Admin, Gateway
from actinium.store import MemoryStore
from actinium.testkit.gateway import until
from actinium.testkit.provider import Fault, Provider
from actinium.testkit.rawhttp import Answer, ask, chat, get, post

TOKEN = "the-token-of-the-admin"


class Site:
    def __init__(self, gateway: Gateway, inference: Inference, provider: Provider) -> None:
        self.gateway = gateway
        self.inference = inference
        self.provider = provider
        self.port = int(gateway.url.rpartition(":")[2])
        self.admin_port = int((gateway.admin_url or gateway.url).rpartition(":")[2])

    async def ask(
        self, method: str, path: str, body: Any = None, token: str | None = TOKEN
    ) -> Answer:
        headers = f"Authorization: Bearer {token}\r\n" if token else ""
        if body is None:
            raw = get(f"/admin/v1/{path}", method, headers)
        else:
            raw = post(body, f"/admin/v1/{path}", headers).replace(b"POST", method.encode(), 1)
        return await ask(self.admin_port, raw)

    async def chat(self, key: str, model: str = "m", **fields: Any) -> Answer:
        headers = f"Authorization: Bearer {key}\r\n"
        return await ask(self.port, post({**chat(), "model": model, **fields}, headers=headers))

    def described(self, name: str = "m", **fields: Any) -> dict[str, Any]:
        return {"name": name, "model": "x", "runtime": "openai", "price": "free",
                "base_url": self.provider.base_url, **fields}  # fmt: skip


def run(
    body: Callable[[Site], Awaitable[None]], port: int | None = None, keyed: bool = True,
    store: MemoryStore | None = None, **deployment: Any,
) -> None:  # fmt: skip
    @asynccontextmanager
    async def site() -> AsyncIterator[Site]:
        async with Provider() as upstream:
            m = Deployment(
                name="m", model="x", runtime="openai", base_url=upstream.base_url,
                price="free" if keyed else None, **deployment,
            )  # fmt: skip
            inference = Inference([m], accounts=Accounts() if keyed else None)
            await inference.start()
            tenants = [Tenant(name="acme", limits=KeyLimits(rpm=100))]
            keys = (
                Keyring(inference, tenants=tenants, store=store or MemoryStore()) if keyed else None
            )
            admin = Admin(token=Secret(TOKEN), port=port)
            try:
                async with Gateway(inference, port=0, keys=keys, admin=admin) as gateway:
                    yield Site(gateway, inference, upstream)
            finally:
                await inference.close(drain=0)

    async def main() -> None:
        async with site() as s:
            await body(s)

    asyncio.run(main())


def test_keys_from_their_creation_to_their_end() -> None:
    async def check(s: Site) -> None:
        spec = {"name": "web", "tenant": "acme", "models": ["m"], "limits": {"rpm": 9},
                "budget": {"per_day": 1.5}, "priority": "low",
                "expires": "2099-01-01T00:00:00Z"}  # fmt: skip
        made = await s.ask("POST", "keys", spec)
        assert made.status == 201 and made.headers["cache-control"] == "no-store"
        key, id = made.json["key"], made.json["id"]
        assert made.json["expires"] == spec["expires"]
        for name in ("name", "tenant", "models", "priority"):
            assert made.json[name] == spec[name]
        assert (await s.chat(key)).status == 200
        listed = await s.ask("GET", "keys")
        shown = {name: value for name, value in made.json.items() if name != "key"}
        assert listed.json == {"keys": [shown]}
        assert (await s.ask("GET", f"keys/{id}")).json == shown
        turned = await s.ask("POST", f"keys/{id}/rotate", {"overlap": 0})
        assert turned.status == 200 and (await s.chat(key)).status == 401
        key = turned.json["key"]
        assert (await s.chat(key)).status == 200
        assert (await s.ask("POST", f"keys/{id}/disable")).json["disabled"] is True
        assert (await s.chat(key)).status == 401
        assert (await s.ask("POST", f"keys/{id}/enable")).json["disabled"] is False
        assert (await s.chat(key)).status == 200
        gone = await s.ask("DELETE", f"keys/{id}")
        assert gone.status == 204 and gone.body == b""
        assert (await s.chat(key)).status == 401
        for method, path in (("GET", id), ("DELETE", id), ("POST", f"{id}/rotate")):
            got = await s.ask(method, f"keys/{path}", {} if method == "POST" else None)
            assert got.status == 404 and got.error["code"] == "key_not_found"

    run(check)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("POST", "keys", {}, 400, "name"),
        ("POST", "keys", {"name": "A b"}, 400, "name"),
        ("POST", "keys", {"name": "a", "colour": 1}, 400, None),
        ("POST", "keys", {"name": "a", "limits": {"rpm": 0}}, 400, "limits.rpm"),
        ("POST", "keys", {"name": "a", "budget": {}}, 400, "budget"),
        ("POST", "keys", {"name": "a", "priority": "urgent"}, 400, "priority"),
        ("POST", "keys", {"name": "a", "expires": "2099-01-01"}, 400, "expires"),
        ("POST", "keys", b"{", 400, None),
        ("POST", "keys", b"[]", 400, None),
        ("PUT", "deployments", {"deployments": []}, 400, "deployments"),
        ("PUT", "deployments", {"deployments": [{"name": "A B"}]}, 400, "deployments[0]"),
        ("PUT", "deployments", {"deployments": [{"name": "a", "modle": "x"}]}, 400,
         "deployments[0]"),
        ("POST", "deployments/none/drain", {}, 404, "model"),
        ("PUT", "breakers/none", {"state": "open"}, 404, "model"),
        ("PUT", "breakers/m", {"state": "ajar"}, 400, "state"),
        ("PUT", "breakers/m", {"state": "open", "seconds": 0}, 400, "seconds"),
        ("GET", "usage?by=colour", None, 400, "by"),
        ("GET", "usage?by=day,day", None, 400, "by"),
        ("GET", "usage?since=yesterday", None, 400, "since"),
        ("GET", "usage?until=2027-01-31&until=2027-01-31", None, 400, "until"),
        ("GET", "usage?colour=1", None, 400, None),
        ("GET", "nowhere", None, 404, None),
        ("PATCH", "keys", {}, 405, None),
    ],
)  # fmt: skip
def test_inf_GW_2_what_is_wrong_is_told(
    method: str, path: str, body: Any, status: int, param: str | None
) -> None:
    async def check(s: Site) -> None:
        got = await s.ask(method, path, body)
        assert got.status == status, got.body
        assert got.error["param"] == param

    run(check)


def test_only_its_token_opens_it() -> None:
    async def check(s: Site) -> None:
        made = await s.ask("POST", "keys", {"name": "web"})
        for token, status in ((None, 401), ("x", 401), (made.json["key"], 403)):
            for method, path in (("GET", "keys"), ("POST", "keys"), ("GET", "usage")):
                body = {"name": "y"} if method == "POST" else None
                assert (await s.ask(method, path, body, token)).status == status
        assert (await s.chat(TOKEN)).status == 200, "it opens everything else as well"
        assert (await ask(s.port, get("/metrics", headers=f"x-api-key: {TOKEN}\r\n"))).status == 200

    run(check)


def test_a_port_of_its_own() -> None:
    async def check(s: Site) -> None:
        assert s.gateway.admin_url is not None and s.admin_port != s.port
        assert (await s.ask("GET", "keys")).status == 200
        headers = f"Authorization: Bearer {TOKEN}\r\n"
        got = await ask(s.port, get("/admin/v1/keys", headers=headers))
        assert got.status == 404 and "/admin" not in got.error["message"].partition("there are")[2]
        assert (await ask(s.admin_port, post(chat(), headers=headers))).status == 404
        assert (await ask(s.admin_port, get("/metrics", headers=headers))).status == 200
        assert (await ask(s.admin_port, get("/healthz"))).status == 200

    run(check, port=0)


def test_without_a_token_there_is_no_admin_api() -> None:
    async def main() -> None:
        async with Gateway(Inference([]), port=0) as gateway:
            port = int(gateway.url.rpartition(":")[2])
            assert (await ask(port, get("/admin/v1/keys"))).status == 404

    asyncio.run(main())


def test_inf_GW_3_deployments_are_changed_without_losing_a_request() -> None:
    """Complaint 28, no way to reload without a restart: what is new serves before what was there
    stops (inf_HS-1), answers under way end, and who is late is told."""

    async def check(s: Site) -> None:
        key = (await s.ask("POST", "keys", {"name": "web"})).json["key"]
        before = (await s.ask("GET", "deployments")).json
        assert before["generation"] == 1
        assert [(d["name"], d["state"]) for d in before["deployments"]] == [("m", "ready")]
        s.provider.faults.append(Fault(hold=True))
        held = asyncio.create_task(s.chat(key))
        await s.provider.until(lambda p: p.live == 1)
        wanted = [s.described("m", aliases=["b"], fallback=["n"]), s.described("n")]
        got = await s.ask("PUT", "deployments", {"deployments": wanted, "generation": 1})
        assert got.status == 200 and got.json["generation"] == 2
        assert [d["name"] for d in got.json["deployments"]] == ["m", "n"]
        for model in ("m", "b", "n"):
            assert (await s.chat(key, model)).status == 200
        s.provider.release()
        assert (await held).status == 200
        stale = await s.ask("PUT", "deployments", {"deployments": wanted, "generation": 1})
        assert stale.status == 409 and "generation 2" in stale.error["message"]
        kept = s.inference.guard("n")
        await s.ask("PUT", "deployments", {"deployments": wanted[1:]})
        assert s.inference.guard("n") is kept, "what stays keeps its limits and its breaker"
        assert (await s.chat(key, "m")).status == 404

    run(check)


def test_a_change_that_cannot_be_changes_nothing() -> None:
    async def check(s: Site) -> None:
        key = (await s.ask("POST", "keys", {"name": "web"})).json["key"]
        for wanted, text in (
            ([s.described("m"), s.described("m")], "belongs to deployment"),
            ([s.described("m", fallback=["x"])], "is no other deployment"),
            ([s.described("m", credentials="env:NO_SUCH_VARIABLE")], "NO_SUCH_VARIABLE"),
            ([s.described("m", base_url="nonsense")], "base_url"),
        ):
            got = await s.ask("PUT", "deployments", {"deployments": wanted})
            assert got.status == 400 and text in got.error["message"], got.body
            assert (await s.ask("GET", "deployments")).json["generation"] == 1
            assert (await s.chat(key)).status == 200

    run(check)


def test_a_budget_survives_a_change_of_its_deployment() -> None:
    async def check(s: Site) -> None:
        key = (await s.ask("POST", "keys", {"name": "web"})).json["key"]
        price = {"input": 1000, "output": 1000}
        wanted = s.described("m", price=price, budget={"per_day": 0.02})
        await s.ask("PUT", "deployments", {"deployments": [wanted]})
        assert (await s.chat(key, max_tokens=5)).status == 200
        await s.ask("PUT", "deployments", {"deployments": [{**wanted, "max_concurrent": 7}]})
        statuses = [(await s.chat(key, max_tokens=5)).status for _ in range(2)]
        assert statuses == [200, 402]

    run(check)


def test_what_a_change_finds_reserved_is_given_back_at_its_end() -> None:
    """Else each change would cost the budget the difference, until its period is over."""

    async def check(s: Site) -> None:
        key = (await s.ask("POST", "keys", {"name": "web"})).json["key"]
        price = {"input": 1000, "output": 1000}
        wanted = s.described("m", price=price, budget={"per_day": 0.02})
        await s.ask("PUT", "deployments", {"deployments": [wanted]})
        s.provider.faults.append(Fault(hold=True))
        held = asyncio.create_task(s.chat(key, max_tokens=12))
        await s.provider.until(lambda p: p.live == 1)
        await s.ask("PUT", "deployments", {"deployments": [{**wanted, "max_concurrent": 7}]})
        assert (await s.chat(key, max_tokens=5)).status == 402
        s.provider.release()
        assert (await held).status == 200
        assert (await s.chat(key, max_tokens=5)).status == 200

    run(check)


def test_a_drained_deployment_refuses_and_comes_back() -> None:
    async def check(s: Site) -> None:
        key = (await s.ask("POST", "keys", {"name": "web"})).json["key"]
        wanted = {"deployments": [s.described("m", fallback=["n"]), s.described("n")]}
        await s.ask("PUT", "deployments", wanted)
        s.provider.faults.append(Fault(hold=True))
        held = asyncio.create_task(s.chat(key, stream=True))
        await s.provider.until(lambda p: p.live == 1)
        got = await s.ask("POST", "deployments/m/drain", {"seconds": 0})
        assert got.json == {"name": "m", "state": "closed", "cut_off": 1}
        await held
        assert (await s.chat(key)).status == 200, "the fallback takes what comes"
        await s.ask("POST", "deployments/n/drain", {})
        gone = await s.chat(key)
        assert gone.status == 503 and gone.error["code"] == "model_not_ready"
        back = await s.ask("PUT", "deployments", wanted)
        assert [d["state"] for d in back.json["deployments"]] == ["ready", "ready"]
        assert (await s.chat(key)).status == 200

    run(check)


def test_complaint_16_breakers_are_shown_and_forced() -> None:
    async def check(s: Site) -> None:
        key = (await s.ask("POST", "keys", {"name": "web"})).json["key"]
        s.provider.faults.extend([Fault(status=500)] * 2)
        assert [(await s.chat(key)).status for _ in range(3)] == [502, 502, 503]
        (shown,) = (await s.ask("GET", "breakers")).json["breakers"]
        assert shown["deployment"] == "m" and shown["state"] == "open"
        assert 0 < shown["retry_after"] <= 33
        closed = await s.ask("PUT", "breakers/m", {"state": "closed"})
        assert closed.json["state"] == "closed"
        assert (await s.chat(key)).status == 200
        opened = await s.ask("PUT", "breakers/m", {"state": "open", "seconds": 600})
        assert opened.json["state"] == "open" and opened.json["retry_after"] > 590
        assert (await s.chat(key)).status == 503

    run(check, breaker=BreakerPolicy(failures=2))


def test_limits_are_shown() -> None:
    async def check(s: Site) -> None:
        spec = {"name": "web", "tenant": "acme", "limits": {"rpm": 5, "concurrent": 2}}
        made = (await s.ask("POST", "keys", spec)).json
        assert (await s.chat(made["key"])).status == 200
        shown = {one["scope"]: one for one in (await s.ask("GET", "limits")).json["limits"]}
        assert set(shown) == {"deployment:m", "tenant:acme", f"key:{made['id']}"}
        assert shown["deployment:m"]["limits"] == {"rpm": 10}
        assert shown["deployment:m"]["used"] == {"rpm": 1, "concurrent": 0}
        assert shown["deployment:m"]["budget_used"] == 0
        key = shown[f"key:{made['id']}"]
        assert key["limits"] == {"rpm": 5, "concurrent": 2}
        assert key["used"] == {"rpm": 1, "concurrent": 0}
        assert shown["tenant:acme"]["used"]["rpm"] == 1

    run(check, limits=RateLimits(rpm=10), budget=Budget(per_day=1))


def test_usage_is_summed_as_asked_for() -> None:
    async def check(s: Site) -> None:
        made = [
            (await s.ask("POST", "keys", {"name": n, "tenant": t})).json
            for n, t in (("a", "acme"), ("b", "acme"), ("c", "other"))
        ]
        for one, times in zip(made, (1, 2, 3), strict=True):
            for _ in range(times):
                assert (await s.chat(one["key"])).status == 200
        usage = (await s.ask("GET", "usage")).json["usage"]
        assert {row["key"]: row["requests"] for row in usage} == {
            one["id"]: times for one, times in zip(made, (1, 2, 3), strict=True)
        }
        by = (await s.ask("GET", "usage?by=tenant")).json["usage"]
        assert [(row["tenant"], row["requests"], row["output"]) for row in by] == [
            ("acme", 3, 15), ("other", 3, 15),
        ]  # fmt: skip
        assert "key" not in by[0] and by[0]["cost_usd"] == 0
        (day,) = (await s.ask("GET", "usage?by=day,deployment&tenant=acme")).json["usage"]
        assert day["deployment"] == "m" and day["requests"] == 3
        today = day["day"]
        assert (await s.ask("GET", f"usage?since={today}&until={today}")).json["usage"] == usage
        assert (await s.ask("GET", "usage?until=2001-01-01")).json["usage"] == []

    run(check)


def test_each_change_is_in_the_log_and_no_secret_is(caplog: pytest.LogCaptureFixture) -> None:
    """inf_OP-2: what was done to what, under which request; no key and no token."""

    async def check(s: Site) -> None:
        with caplog.at_level(logging.INFO, "actinium.audit"):
            made = (await s.ask("POST", "keys", {"name": "web"})).json
            await s.ask("POST", f"keys/{made['id']}/rotate", {})
            await s.ask("POST", "keys", {"name": "web", "limits": {"rpm": 0}})
            await s.ask("DELETE", "keys/no%0Abody")
            await s.ask("PUT", "breakers/m", {"state": "open"})
            await s.ask("GET", "keys")
        lines = [
            record.getMessage() for record in caplog.records if record.name == "actinium.audit"
        ]
        starts = [line.partition(", request req-")[0] for line in lines]
        assert starts == [
            f"keys.create {made['id']} done", f"keys.rotate {made['id']} done",
            "keys.create refused", "keys.delete no?body refused", "breakers.force m done",
        ]  # fmt: skip
        assert TOKEN not in caplog.text and made["key"] not in caplog.text
        assert made["key"].rpartition("_")[2] not in caplog.text

    run(check)


def test_without_keys_it_says_so() -> None:
    async def check(s: Site) -> None:
        got = await s.ask("GET", "keys")
        assert got.status == 409 and "gateway.keys = true" in got.error["message"]
        assert (await s.ask("GET", "usage")).json == {"usage": []}
        assert (await s.ask("GET", "breakers")).json == {"breakers": []}
        got = await s.ask("PUT", "breakers/m", {"state": "open"})
        assert got.status == 409
        assert json.dumps((await s.ask("GET", "limits")).json) == '{"limits": []}'

    run(check, keyed=False)


def test_a_slow_load_delays_nobody() -> None:
    """Requests go on while a change loads, and a second change waits for the first."""

    async def check(s: Site) -> None:
        key = (await s.ask("POST", "keys", {"name": "web"})).json["key"]
        gate, loads = asyncio.Event(), 0
        factory = s.inference._factory

        def slow(deployment: Deployment) -> Any:
            runner: Any = factory(deployment)
            load = runner.load

            async def later(progress: Any) -> None:
                nonlocal loads
                loads += 1
                await gate.wait()
                await load(progress)

            runner.load = later
            return runner

        s.inference._factory = slow
        tasks = [
            asyncio.create_task(s.ask("PUT", "deployments", {"deployments": [s.described(name)]}))
            for name in ("n", "o")
        ]
        await until(lambda: loads == 1)
        assert (await s.chat(key)).status == 200
        gate.set()
        assert [got.status for got in await asyncio.gather(*tasks)] == [200, 200]
        assert loads == 2 and s.inference.generation == 3

    run(check)


def test_inf_GW_3_who_waits_for_a_limit_is_served_by_what_it_came_to() -> None:
    async def check(s: Site) -> None:
        key = (await s.ask("POST", "keys", {"name": "web"})).json["key"]
        s.provider.faults.append(Fault(hold=True))
        held = asyncio.create_task(s.chat(key))
        await s.provider.until(lambda p: p.live == 1)
        guard = s.inference.guard("m")
        assert guard is not None
        waits = asyncio.create_task(s.chat(key))
        await until(lambda: guard.gate.waiting == 1)
        wanted = [s.described("m", aliases=["b"], max_concurrent=1)]
        assert (await s.ask("PUT", "deployments", {"deployments": wanted})).status == 200
        s.provider.release()
        assert [(await one).status for one in (held, waits)] == [200, 200]
        await until(lambda: guard.pool.first.state == "closed")

    run(check, max_concurrent=1)


def test_a_service_that_ends_does_not_wait_for_those_of_a_change() -> None:
    async def check(s: Site) -> None:
        key = (await s.ask("POST", "keys", {"name": "web"})).json["key"]
        assert (await s.chat(key)).status == 200
        waits = asyncio.create_task(s.chat(key))
        guard = s.inference.guard("m")
        assert guard is not None
        await until(lambda: guard.gate.waiting == 1)
        wanted = [s.described("m", aliases=["b"])]
        assert (await s.ask("PUT", "deployments", {"deployments": wanted})).status == 200
        async with asyncio.timeout(5):
            await s.inference.close(drain=0)
        waits.cancel()
        await asyncio.wait([waits])

    run(check, limits=RateLimits(rpm=1, max_wait=600.0), queue_timeout=600.0)


@pytest.mark.parametrize("amount", [1e308, 1e-12])
def test_a_budget_that_cannot_be_counted_is_refused(amount: float) -> None:
    """Neither may be stored: one could not be read again, the other has no used part."""

    async def check(s: Site) -> None:
        got = await s.ask("POST", "keys", {"name": "web", "budget": {"per_day": amount}})
        assert got.status == 400 and "budget.per_day" in got.error["message"]
        assert (await s.ask("GET", "keys")).json["keys"] == []
        assert (await s.ask("GET", "limits")).status == 200

    run(check)


def test_a_key_that_is_deleted_twice_at_once_is_gone() -> None:
    async def check(s: Site) -> None:
        id = (await s.ask("POST", "keys", {"name": "web"})).json["id"]
        ends = await asyncio.gather(*(s.ask("DELETE", f"keys/{id}") for _ in range(2)))
        assert sorted(got.status for got in ends) == [204, 404]

    class Slow(MemoryStore):
        async def delete(self, key: str) -> None:
            await super().delete(key)
            await asyncio.sleep(0.02)

    run(check, store=Slow())


def test_a_deployment_may_go_while_it_drains() -> None:
    async def check(s: Site) -> None:
        key = (await s.ask("POST", "keys", {"name": "web"})).json["key"]
        s.provider.faults.append(Fault(hold=True))
        held = asyncio.create_task(s.chat(key))
        await s.provider.until(lambda p: p.live == 1)
        drain = asyncio.create_task(s.ask("POST", "deployments/m/drain", {"seconds": 30}))
        await until(lambda: s.inference.statistics()["m"]["state"] == "draining")
        wanted = [s.described("n")]
        assert (await s.ask("PUT", "deployments", {"deployments": wanted})).status == 200
        s.provider.release()
        assert (await held).status == 200
        got = await drain
        assert got.status == 200 and got.json == {"name": "m", "state": "closed", "cut_off": 0}

    run(check)


def test_a_key_that_is_deleted_does_not_come_back_by_a_change_under_way() -> None:
    async def check(s: Site) -> None:
        id = (await s.ask("POST", "keys", {"name": "web"})).json["id"]
        asked = [s.ask("DELETE", f"keys/{id}"), s.ask("POST", f"keys/{id}/disable")]
        gone, disabled = await asyncio.gather(*asked)
        assert gone.status == 204 and disabled.status in (404, 409)
        assert (await s.ask("GET", "keys")).json["keys"] == []

    class Slow(MemoryStore):
        async def delete(self, key: str) -> None:
            await super().delete(key)
            await asyncio.sleep(0.02)

    run(check, store=Slow())
