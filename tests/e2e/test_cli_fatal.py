"""A failure that nobody mends ends the server, with its own exit code and the causes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import environment

PROGRAM = """
import sys
from contextlib import asynccontextmanager

import actinium as ac
from actinium.cli import main
from actinium.cli.serve import life

hosting, announce = life.hosting, life.announce


class Bomb(ac.Actor):
    @ac.on
    def go(self, m: str) -> None:
        raise ZeroDivisionError("the sum of all fears")


class Keeper(ac.Actor, supervise=ac.OneForOne(decide={Exception: "escalate"})):
    def started(self) -> None:
        self.bomb = self.ctx.spawn(Bomb, name="bomb")

    @ac.on
    def go(self, m: str) -> None:
        self.bomb.tell(m)


def light(host):
    fuse = ac.OneForOne(decide={Exception: "escalate"})
    host.system.spawn(Keeper, name="keeper", supervise=fuse).tell("now")


hosts = []


@asynccontextmanager
async def watched(plan, key):
    async with hosting(plan, key) as host:
        hosts.append(host)
        if when == "early":
            light(host)
        yield host


def announced(*args):
    announce(*args)
    light(hosts[0])


when = sys.argv.pop(1)
life.hosting, life.announce = watched, announced
sys.argv[0] = "actinium"
main()
"""


@pytest.mark.parametrize("when", ["early", "late"])
def test_a_failure_that_reaches_the_root_ends_the_server_with_70(tmp_path: Path, when: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, when, "serve", "--port", "0", "--store", "memory"],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 70, ended.stderr
    assert ("ready: " in ended.stdout) == (when == "late")
    for text in (
        "error: system 'actinium' was shut down by a failure",
        "because of ChildFailed: /user/keeper/bomb failed: the sum of all fears",
        "because of ZeroDivisionError: the sum of all fears",
    ):
        assert text in ended.stderr
