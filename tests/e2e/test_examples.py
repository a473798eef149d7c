"""Each file of ``examples/`` runs as it stands and prints what it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import environment

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

PRINTS = {
    "counter.py": ["total: 5050"],
    "supervision.py": [
        "anna: 100 // 5 = 20 (job 1 of this instance)",
        "bob: 100 // 4 = 25 (job 1 of this instance)",
        "anna failed: integer division or modulo by zero",
        "anna: 100 // 2 = 50 (job 1 of this instance)",
        "bob: 100 // 10 = 10 (job 2 of this instance)",
    ],
    "supervision_tree.py": [
        "clock: started",
        "database: connected",
        "cache: empty",
        "failed: the server has gone away",
        "answer: TWO",
    ],
    "router_pool.py": ["workers: 4", "sum of squares: 328350", "pool: stopped"],
    "state_machine.py": [
        "    open --> given_up : after 0.05 s",
        "100 cents are missing",
        "order: paid",
        "on its way",
        "too late",
    ],
    "every_core.py": ["primes: 1229", "processes: 2", "lost: 0"],
    "durable.py": ["hello anna, this is visit 1"],
    "session.py": ["you:   Hello! My name is Anna.", "stored messages: 4"],
    "gateway.py": [],
    "gpu/counter.py": ["total: 5050"],
    "gpu/streaming.py": ["1000 values, mean 0.5041, deviation 0.1491", "from 0.000 to 0.919"],
    "gpu/heat.py": ["heat before 6400, after 6400; the middle is at 12.0"],
    "gpu/sampler.py": ["the same again: True", "tokens chosen by the actor: True"],
}


def run(home: Path, *words: str, **env: str) -> list[str]:
    result = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment(home, **env),
        cwd=home,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.mark.parametrize("name", PRINTS)
def test_an_example_prints_what_it_should(tmp_path: Path, name: str) -> None:
    lines = run(tmp_path, str(EXAMPLES / name))
    assert "".join(lines)
    assert [line for line in PRINTS[name] if line not in lines] == []


def test_every_example_is_run() -> None:
    assert {str(p.relative_to(EXAMPLES)) for p in EXAMPLES.rglob("*.py")} == set(PRINTS)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("durable.py", "hello anna, this is visit 1", "hello anna, this is visit 2"),
        ("session.py", "stored messages: 4", "stored messages: 8"),
    ],
)
def test_what_is_stored_is_there_the_next_time(
    tmp_path: Path, name: str, first: str, second: str
) -> None:
    words = (str(EXAMPLES / name), str(tmp_path / "state.db"))
    assert run(tmp_path, *words)[-1] == first
    assert run(tmp_path, *words)[-1] == second


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.toml")))
def test_an_example_configuration_is_a_plan(tmp_path: Path, name: str) -> None:
    words = ("-m", "actinium", "check", str(EXAMPLES / name))
    lines = run(tmp_path, *words, ACTINIUM_ADMIN_TOKEN="a-token-of-the-test")
    assert lines[0].endswith(f"{name}: a valid plan")
