"""deploy/: every query names a measure there is, and a real Prometheus takes the rules."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from actinium.inference import BreakerPolicy
from actinium.testkit.gateway import served
from actinium.testkit.provider import Fault
from actinium.testkit.rawhttp import ask, chat, get, post

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/actinium.rules.yml"
DASHBOARD = json.loads((ROOT / "deploy/grafana/actinium.json").read_text())
NAME = re.compile(r"\b(?:actinium|process)_\w+")

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="prometheus is not installed; on Debian: apt-get install prometheus",
)


def exposed() -> tuple[set[str], set[str]]:
    """All names that samples can have, and all labels, of everything there is to measure."""
    from actinium.ops import render
    from tools import metrics_reference

    async def page() -> tuple[str, set[str]]:
        async with metrics_reference.everything() as registry:
            labels = {label for measure in registry for label in measure.label_names}
            return render(registry)[0].decode(), labels

    text, labels = asyncio.run(page())
    names: set[str] = set()
    for family in parse(text):
        if family.type == "histogram":
            names |= {family.name + end for end in ("_bucket", "_sum", "_count")}
        else:
            names.add(family.name + ("_total" if family.type == "counter" else ""))
    return names, labels


def queries() -> Iterator[tuple[str, str]]:
    """Where each query stands, and its text."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if isinstance(variable["query"], dict):
            yield variable["name"], variable["query"]["query"]
    for expr in re.findall(
        r"expr: (?:\|\n)?(.*?)\n        (?:for|labels)", RULES.read_text(), re.S
    ):
        yield "rule", expr


def test_each_query_names_measures_and_labels_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    names, labels = exposed()
    labels |= {"le", "instance", "job"}
    found = list(queries())
    assert len(found) > 50
    for place, query in found:
        used = NAME.findall(query)
        assert set(used) <= names, f"{place}: {query}"
        assert used or "up{" in query, f"{place}: {query}"
        by = {
            name.strip()
            for group in re.findall(r"by \(([^)]*)\)", query)
            for name in group.split(",")
        }
        chosen = set(re.findall(r"[{,]\s*(\w+)\s*[=!]~?", query))
        assert by | chosen <= labels, f"{place}: {query}"


def test_the_dashboard_is_whole() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    corners = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in DASHBOARD["panels"]]
    assert len(corners) == len(set(corners)), "two panels lie on each other"
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD["panels"])))
    assert used <= variables | {"__rate_interval"}


@pytest.mark.slow
@needs_prometheus
def test_the_rules_do_what_they_say() -> None:
    folder = RULES.parent
    for arguments in (["check", "rules", RULES.name], ["check", "config", "prometheus.yml"],
                      ["test", "rules", "actinium.test.yml"]):  # fmt: skip
        done = subprocess.run(
            ["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Prometheus:
    """A real one on loopback, that scrapes a gateway five times a second."""

    def __init__(self, folder: Path, target: int) -> None:
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}\n"
            f"rule_files: [{RULES}]\n"
            "scrape_configs:\n"
            "  - job_name: actinium\n"
            f"    static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
        )
        self.url = f"http://127.0.0.1:{free_port()}"
        self._process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml",
             f"--storage.tsdb.path={folder}/data", "--log.level=error",
             f"--web.listen-address={self.url.removeprefix('http://')}"],
        )  # fmt: skip

    def get(self, path: str, **query: str) -> Any:
        """The ``data`` of an answer of its API; None while it starts."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    async def until(self, path: str, condition: Any, **query: str) -> Any:
        """Asks again until a condition over the answer holds."""
        loop = asyncio.get_running_loop()
        last = None
        end = time.monotonic() + 40
        while time.monotonic() < end:
            last = await loop.run_in_executor(None, lambda: self.get(path, **query))
            if last is not None and condition(last):
                return last
            await asyncio.sleep(0.1)
        raise AssertionError(f"{path} {query}: {last}")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)


def healthy(data: Any) -> bool:
    """Whether there are rules, and all were evaluated."""
    rules = [rule for group in data["groups"] for rule in group["rules"]]
    return bool(rules) and all(rule["health"] == "ok" for rule in rules)


@pytest.mark.slow
@needs_prometheus
def test_a_real_prometheus_scrapes_a_gateway_and_evaluates_the_rules(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(breaker=BreakerPolicy(failures=3), price="free") as s:
            assert (await ask(s.port, post(chat(stream=True)))).status == 200
            s.provider.faults.extend(Fault(status=500) for _ in range(3))
            for _ in range(3):
                assert (await ask(s.port, post(chat()))).status == 502
            assert (await ask(s.port, get("/metrics"))).status == 200
            prometheus = Prometheus(tmp_path, s.port)
            try:
                groups = await prometheus.until("rules", healthy)
                rules = {rule["name"]: rule for g in groups["groups"] for rule in g["rules"]}
                assert len(rules) == RULES.read_text().count("- alert:")
                assert not any(rule.get("lastError") for rule in rules.values())
                alerts = await prometheus.until("alerts", lambda d: d["alerts"])
                (alert,) = alerts["alerts"]
                assert alert["labels"]["alertname"] == "ActiniumBreakerOpen"
                assert alert["labels"]["deployment"] == "m" and alert["state"] == "pending"
                status = 'sum by (status) (actinium_http_answers_total{deployment="m"})'
                data = await prometheus.until("query", lambda d: d["result"], query=status)
                counts = {r["metric"]["status"]: r["value"][1] for r in data["result"]}
                assert counts == {"200": "1", "502": "3"}
                quantile = "histogram_quantile(0.95, actinium_http_ttft_seconds_bucket)"
                data = await prometheus.until("query", lambda d: d["result"], query=quantile)
                assert 0 < float(data["result"][0]["value"][1]) < 60
                for place, query in queries():  # it understands all of them
                    for name in ("$deployment", "$__rate_interval"):
                        query = query.replace(name, ".*" if name == "$deployment" else "1m")
                    if not query.startswith("label_values"):
                        answer = await prometheus.until("query", lambda d: True, query=query)
                        assert answer["resultType"] == "vector", place
            finally:
                prometheus.stop()

    asyncio.run(main())
