"""Who takes part: the actor core on two event loops, the floor, and the rivals found here."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys

from bench.harness import ROOT, Subject
from bench.micro.scenarios import BY_NAME
from bench.rivals.build import OUT

OURS = frozenset(BY_NAME)
ALL = OURS - {"forward"}
CLASSIC = frozenset({"tell", "fanin", "ring", "ask1", "ask1000", "timer", "spawn"})
RIVAL_PYTHON = os.environ.get("BENCH_RIVAL_PYTHON", sys.executable)
"""The interpreter that has pykka, thespian and xoscar, if not this one."""


def _module(name: str, python: str = sys.executable) -> tuple[str, ...]:
    return (python, "-m", name)


def _needs_package(package: str) -> str | None:
    found = subprocess.run(
        [RIVAL_PYTHON, "-c", f"import {package}"], capture_output=True, check=False
    )
    if found.returncode == 0:
        return None
    return f"{RIVAL_PYTHON} has no {package}; pip install it or set BENCH_RIVAL_PYTHON"


def _needs_file(name: str) -> str | None:
    if (OUT / name).exists():
        return None
    return f"{(OUT / name).relative_to(ROOT)} is not built; run python -m bench.rivals.build"


def _needs_erlang() -> str | None:
    if shutil.which("erl") is None:
        return "erl is not installed"
    return _needs_file("rival_erlang.beam")


def _slow(workloads: frozenset[str], divisor: int, **own: int) -> dict[str, int]:
    sizes = {w: max(1000, BY_NAME[w].n // divisor) for w in workloads if w != "timer"}
    return {**sizes, **own}


SUBJECTS: tuple[Subject, ...] = (
    Subject("floor", _module("bench.rivals.floor"), OURS),
    Subject("actinium", _module("bench.micro.actors"), OURS, {"BENCH_LOOP": "uvloop"}),
    Subject("actinium-asyncio", _module("bench.micro.actors"), OURS, {"BENCH_LOOP": "asyncio"}),
    Subject("naive", _module("bench.rivals.naive"),
            CLASSIC | {"tell_burst", "async"}),
    Subject("asyncio", _module("bench.rivals.asyncio_queue"), ALL,
            sizes=_slow(ALL - {"lateness", "async_yield"}, 5)),
    Subject("uvloop", _module("bench.rivals.asyncio_queue"), ALL, {"BENCH_LOOP": "uvloop"},
            sizes=_slow(ALL - {"lateness", "async_yield"}, 5)),
    Subject("pykka", _module("bench.rivals.pykka_threads", RIVAL_PYTHON), CLASSIC | {"threads"},
            sizes=_slow(CLASSIC | {"threads"}, 20, spawn=5000),
            missing=functools.partial(_needs_package, "pykka")),
    Subject("thespian", _module("bench.rivals.thespian_local", RIVAL_PYTHON),
            CLASSIC - {"timer"}, sizes=_slow(CLASSIC, 20, spawn=10_000),
            missing=functools.partial(_needs_package, "thespian")),
    Subject("xoscar", _module("bench.rivals.xoscar_local", RIVAL_PYTHON), CLASSIC,
            sizes=_slow(CLASSIC, 20, spawn=20_000),
            missing=functools.partial(_needs_package, "xoscar")),
    Subject("erlang", ("erl", "+P", "4000000", "+S", "1:1", "-noshell", "-pa", str(OUT),
                       "-run", "rival_erlang", "main"), CLASSIC, missing=_needs_erlang),
    Subject("caf", (str(OUT / "rival_caf"),), CLASSIC,
            missing=functools.partial(_needs_file, "rival_caf")),
    Subject("go", (str(OUT / "rival_go"),), CLASSIC, {"GOMAXPROCS": "1"},
            missing=functools.partial(_needs_file, "rival_go")),
)  # fmt: skip

BY_SUBJECT = {s.name: s for s in SUBJECTS}
