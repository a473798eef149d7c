"""Classes of the program itself: how a worker finds them, and what is said where it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CLASSES = """
import asyncio, os
from dataclasses import dataclass
import actinium as ac

class Add(ac.Message):
    n: int

@dataclass(frozen=True)
class Sum:
    total: int
    pid: int

class Wrong(Exception):
    pass

class Adder(ac.Actor):
    def __init__(self, first: Add) -> None:
        self.total = first.n

    @ac.on(raises=(Wrong,))
    def add(self, m: Add) -> Sum:
        if m.n < 0:
            raise Wrong("below zero")
        self.total += m.n
        return Sum(self.total, os.getpid())

async def main() -> None:
    async with ac.System(workers=1) as system:
        adder = system.spawn(Adder, Add(1))
        answer = await adder.ask(Add(2))
        assert isinstance(answer, Sum) and answer.pid != os.getpid()
        try:
            await adder.ask(Add(-1))
        except Wrong as error:
            print(answer.total, error)
"""
GUARDED = CLASSES + '\nif __name__ == "__main__":\n    asyncio.run(main())\n'
UNGUARDED = CLASSES + "\nasyncio.run(main())\n"


def run(*args: str, cwd: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(os.path.abspath(p) for p in sys.path if p)
    return subprocess.run(
        [sys.executable, *args],
        input=text, capture_output=True, text=True, timeout=40, check=False, cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


@pytest.mark.parametrize(
    "how",
    ["file", "module", pytest.param("package", marks=pytest.mark.slow)],
)
def test_classes_of_the_main_module_cross(how: str, tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(GUARDED)
    if how == "package":
        (tmp_path / "pack").mkdir()
        (tmp_path / "pack" / "__init__.py").write_text("")
        (tmp_path / "pack" / "__main__.py").write_text(GUARDED)
    args = {"file": ["prog.py"], "module": ["-m", "prog"], "package": ["-m", "pack"]}[how]
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "3 below zero"


def test_without_the_guard_the_error_says_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(UNGUARDED)
    done = run("prog.py", cwd=tmp_path)
    assert done.returncode != 0
    assert 'put what starts the program below `if __name__ == "__main__":`' in done.stderr


@pytest.mark.parametrize("args", [["-c", UNGUARDED], ["-"]], ids=["-c", "stdin"])
def test_a_program_that_is_no_file_is_told_to_become_one(args: list[str], tmp_path: Path) -> None:
    done = run(*args, cwd=tmp_path, text=UNGUARDED)
    assert done.returncode != 0
    assert "a program that is no file" in done.stderr
    assert "put it into a module" in done.stderr
