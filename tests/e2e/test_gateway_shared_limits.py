"""``actinium serve --workers``: limits and budgets that all workers have together."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from cli_support import Server, serving

PLAN = """
[system]
store = "none"
[[deployment]]
name = "m"
model = "embedded"
limits = { rpm = %d, max_wait = 0.0 }
"""
BODY = json.dumps({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]})


def ask(server: Server, times: int = 1) -> list[int]:
    """The statuses of requests over one new connection, which one worker has."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    statuses = []
    try:
        for _ in range(times):
            connection.request("POST", "/v1/chat/completions", BODY)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
    finally:
        connection.close()
    return statuses


def started(tmp_path: Path, rpm: int) -> list[str]:
    (tmp_path / "plan.toml").write_text(PLAN % rpm)
    return ["plan.toml", "--workers", "2"]


def test_inf_lm_2_one_connection_may_use_the_whole_limit_and_all_no_more(tmp_path: Path) -> None:
    """Load that is as uneven as can be: one worker gets all of it, and nothing is wasted."""
    with serving(tmp_path, *started(tmp_path, 40)) as server:
        assert ask(server, 41) == [200] * 40 + [429]
        assert [ask(server) for _ in range(12)] == [[429]] * 12, "LM-2"
        page = server.text("/metrics")
        for worker in "12":
            line = f'actinium_limiter_used_ratio{{deployment="m",limit="rpm",worker="{worker}"}} '
            assert line in page
        server.signal(signal.SIGTERM)
        code, out, err = server.end()
    assert code == 0 and "40 requests served" in out and "dead letter" not in err, err


@pytest.mark.slow
def test_inf_lm_2_a_killed_worker_has_used_what_it_used(tmp_path: Path) -> None:
    """It comes back, and what it let through before still counts (but for its last second)."""
    with serving(tmp_path, *started(tmp_path, 60)) as server:
        parent = psutil.Process(server.process.pid)
        got = sum(ask(server) == [200] for _ in range(50))
        assert got == 50
        time.sleep(1.5)  # the workers have told each other
        victim = parent.children()[0].pid
        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + 60
        refused = 0
        while time.monotonic() < deadline and refused < 20:
            try:
                (status,) = ask(server)
            except (ConnectionError, http.client.HTTPException):
                continue
            got += status == 200
            pids = [child.pid for child in parent.children()]
            refused += status == 429 and victim not in pids and len(pids) == 2
        assert refused == 20 and got <= 60, "LM-2"
