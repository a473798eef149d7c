"""Keys, budgets and the admin API of a gateway with several workers: one change, one limit."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from cli_support import Server, serving

TOKEN = "token-of-the-test-1234"
WEB = "secret-of-the-declared-key"
PLAN = """
[gateway.admin]
token = "env:ADMIN_TOKEN"
[[tenant]]
name = "acme"
limits = { rpm = 1000 }
[[key]]
name = "web"
tenant = "acme"
secret = "env:WEB_KEY"
[[deployment]]
name = "m"
model = "embedded"
limits = { rpm = 10000 }
price = { input = 0.0, output = 1000.0 }
"""
CONNECTIONS = 10
"""So many that both of two workers get some: all on one of them happens once in 512 times."""


class Site:
    """A gateway with two workers."""

    def __init__(self, server: Server, admin_port: int | None = None) -> None:
        self.server = server
        self.admin_port = admin_port

    def ask(self, method: str, path: str, body: Any = None, key: str = TOKEN) -> tuple[int, Any]:
        status, raw = self.raw(method, path, body, key)
        return status, json.loads(raw) if raw else None

    def raw(
        self, method: str, path: str, body: Any, key: str, port: int | None = None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.server.port, timeout=60)
        text = json.dumps(body) if body is not None else None
        try:
            connection.request(method, path, text, {"authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def admin(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        got, raw = self.raw(method, f"/admin/v1/{path}", body, TOKEN, self.admin_port)
        assert got == status, raw
        return json.loads(raw) if raw else None

    def chat(self, key: str, model: str = "m", tokens: int = 1) -> int:
        body = {"model": model, "max_tokens": tokens, "temperature": 0,
                "messages": [{"role": "user", "content": "Hello!"}]}  # fmt: skip
        return self.ask("POST", "/v1/chat/completions", body, key)[0]

    def serving(self) -> int:
        """How many workers serve."""
        page = self.raw("GET", "/metrics", None, TOKEN)[1].decode()
        return len(re.findall(r'actinium_deployment_ready{deployment="m",worker="."} 1.0', page))

    def everywhere(self, key: str, model: str = "m") -> set[int]:
        """The statuses of requests over many connections."""
        return {self.chat(key, model) for _ in range(CONNECTIONS)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "plan.toml").write_text(PLAN)
    return home


@pytest.fixture(scope="module")
def site(home: Path) -> Iterator[Site]:
    with started(home) as server:
        yield Site(server)


def started(home: Path, workers: int = 2) -> Any:
    return serving(
        home, "plan.toml", "--workers", str(workers), "--store", str(home / "state.db"),
        ADMIN_TOKEN=TOKEN, WEB_KEY=WEB,
    )  # fmt: skip


def test_inf_GW_1_a_change_of_a_key_holds_in_every_worker_when_it_is_answered(site: Site) -> None:
    assert site.everywhere(WEB) == {200}, "declared"
    made = site.admin("POST", "keys", {"name": "new", "tenant": "acme"}, 201)
    key, id = made["key"], made["id"]
    assert site.everywhere(key) == {200}
    turned = site.admin("POST", f"keys/{id}/rotate", {"overlap": 0})
    assert site.everywhere(key) == {401} and site.everywhere(turned["key"]) == {200}
    for _ in range(4):
        site.admin("POST", f"keys/{id}/disable")
        assert site.everywhere(turned["key"]) == {401}, "revoked everywhere, at once"
        site.admin("POST", f"keys/{id}/enable")
        assert site.everywhere(turned["key"]) == {200}
    site.admin("DELETE", f"keys/{id}", status=204)
    assert site.everywhere(turned["key"]) == {401}
    assert {tuple(k["id"] for k in site.admin("GET", "keys")["keys"]) for _ in range(8)} == {
        ("web",)
    }


def test_inf_lm_2_a_keys_limits_hold_over_all_workers(site: Site) -> None:
    made = site.admin("POST", "keys", {"name": "few", "limits": {"rpm": 7}}, 201)
    got = [site.chat(made["key"]) for _ in range(20)]
    assert got == [200] * 7 + [429] * 13, "LM-2"
    scope = f"key:{made['id']}"
    (view,) = [v for v in site.admin("GET", "limits")["limits"] if v["scope"] == scope]
    assert view["used"]["rpm"] == 7 and view["limits"] == {"rpm": 7}


def test_inf_bg_1_a_keys_budget_holds_over_all_workers(site: Site) -> None:
    """Each answer costs a token of 0.001 USD."""
    spec = {"name": "poor", "budget": {"per_day": 0.006}}
    key = site.admin("POST", "keys", spec, 201)["key"]
    assert [site.chat(key) for _ in range(12)] == [200] * 6 + [402] * 6, "BG-1"


def test_usage_adds_up_over_all_workers(site: Site) -> None:
    made = site.admin("POST", "keys", {"name": "count", "tenant": "other"}, 201)
    for n in range(1, 2 * CONNECTIONS + 1):
        assert site.chat(made["key"]) == 200
        (row,) = site.admin("GET", "usage?by=tenant&tenant=other")["usage"]
        assert row["requests"] == n and row["cost_usd"] == pytest.approx(0.001 * n)


def test_deployments_change_in_all_workers_or_in_none(site: Site) -> None:
    shown = site.admin("GET", "deployments")
    described = {"name": "m", "model": "embedded", "limits": {"rpm": 10000},
                 "price": {"input": 0.0, "output": 1000.0}}  # fmt: skip
    both = [described, {**described, "name": "n"}]
    changed = site.admin(
        "PUT", "deployments", {"deployments": both, "generation": shown["generation"]}
    )
    assert changed["generation"] == shown["generation"] + 1
    assert site.everywhere(WEB, "n") == {200}
    stale = {"deployments": both, "generation": shown["generation"]}
    assert "somebody else has changed" in str(site.admin("PUT", "deployments", stale, 409))
    broken = {**described, "name": "x", "model": "onnx/none-such"}
    assert site.ask("PUT", "/admin/v1/deployments", {"deployments": [broken]})[0] in (400, 503)
    assert site.everywhere(WEB, "n") == {200}, "nothing has changed"
    drained = site.admin("POST", "deployments/n/drain", {"seconds": 5})
    assert drained == {"name": "n", "state": "closed", "cut_off": 0}
    assert site.everywhere(WEB, "n") == {503}
    states = {d["name"]: d["state"] for d in site.admin("GET", "deployments")["deployments"]}
    assert states == {"m": "ready", "n": "closed"}
    site.admin("PUT", "deployments", {"deployments": [described]})
    assert site.everywhere(WEB, "n") == {404} and site.everywhere(WEB) == {200}


def test_a_breaker_is_forced_in_all_workers(site: Site) -> None:
    assert site.admin("PUT", "breakers/m", {"state": "open", "seconds": 60})["state"] == "open"
    assert site.everywhere(WEB) == {503}
    assert [b["state"] for b in site.admin("GET", "breakers")["breakers"]] == ["open"]
    assert site.admin("PUT", "breakers/m", {"state": "closed"})["state"] == "closed"
    assert site.everywhere(WEB) == {200}
    assert site.ask("PUT", "/admin/v1/breakers/none", {"state": "open"})[0] == 404


@pytest.mark.slow
def test_a_killed_worker_comes_back_with_all_that_was_changed(tmp_path: Path) -> None:
    """Keys made and revoked, deployments applied and drained, while it was away too; and a restart
    with another number of workers forgets neither usage nor what was spent."""
    (tmp_path / "plan.toml").write_text(PLAN)
    with started(tmp_path) as server:
        site = Site(server)
        parent = psutil.Process(server.process.pid)
        off = site.admin("POST", "keys", {"name": "off"}, 201)
        made = site.admin("POST", "keys", {"name": "in", "budget": {"per_day": 0.01}}, 201)
        assert [site.chat(made["key"]) for _ in range(4)] == [200] * 4
        m = {"name": "m", "model": "embedded", "price": {"input": 0.0, "output": 1000.0}}
        site.admin("PUT", "deployments", {"deployments": [m, {**m, "name": "n"},
                                                          {**m, "name": "gone"}]})  # fmt: skip
        site.admin("POST", "deployments/gone/drain", {"seconds": 0})
        site.admin("GET", "usage")  # the first process knows all of it now,
        time.sleep(1.5)  # and the workers what each of them spent
        victim = parent.children()[0].pid
        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while True:
            try:
                if site.ask("POST", f"/admin/v1/keys/{off['id']}/disable")[0] == 200:
                    break
            except (ConnectionError, http.client.HTTPException):
                assert time.monotonic() < deadline
        while victim in [c.pid for c in parent.children()] or site.serving() < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert site.everywhere(off["key"]) == {401}
        assert site.everywhere(WEB, "n") == {200} and site.everywhere(WEB, "gone") == {503}
        assert [site.chat(made["key"]) for _ in range(3)] == [200] * 3
        server.signal(signal.SIGTERM)
        code, _, err = server.end()
        assert code == 0, err
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = PLAN.replace("[gateway.admin]", f"[gateway.admin]\nport = {port}")
    (tmp_path / "plan.toml").write_text(own)
    with started(tmp_path, 3) as server:
        site = Site(server, port)
        assert site.ask("GET", "/admin/v1/keys")[0] == 404, "it has an address of its own"
        got = [site.chat(made["key"]) for _ in range(5)]
        assert got == [200] * 3 + [402] * 2, "BG-1: 7 of 10 were spent before"
        (row,) = [r for r in site.admin("GET", "usage?by=key")["usage"] if r["key"] == made["id"]]
        assert row["requests"] == 10
        assert site.everywhere(off["key"]) == {401}
