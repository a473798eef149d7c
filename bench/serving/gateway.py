"""The gateway on one core: requests and stream events per second, against rivals.

    python -m bench.serving.gateway [--model PATH --load PATH] [--rounds 5]
        [--rival NAME=COMMAND ... [--rival-load NAME=FLAGS ...]] [--json FILE]

``--model`` and ``--load`` are a model server and a load generator: programs with the command
lines of ``plain_model`` and ``plain_load``, which are used where none are given, and then are
the bottleneck themselves: their figures say little. A rival's COMMAND holds {port} and
{upstream}; FLAGS are what the load generator needs to speak to it (another path, headers). Two
subjects are ours: ``actinium``, and ``actinium-all`` with all that guards it (gateway_subject).
Each round runs all subjects one after another in fresh processes; model and load
are pinned to one core, the gateway to another. Shown are the median, least and greatest, and
the CPU time of the gateway for each unit, which a busy machine falsifies less. Any answer that
is not 200, or a stream that is not whole, voids the run.

Scenarios: ``max32`` whole answers over 32 connections, ``stmax`` streams of 500 tokens over 64
connections, sent by the model server as fast as they are taken; and two that want the compiled
model and load: ``lat100`` 100 whole answers a second of a model that takes 10 ms, ``tok6400`` 64
streams of a token each 10 ms. There ``direct`` (the load at the model itself) is the floor.

``--realtime`` runs all of it under SCHED_FIFO, so that other work on the machine does not
count; it needs the right to do so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil

from bench import machine
from bench.harness import ROOT, say
from bench.serving.gateway_subject import KEY


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """Flags of the load and the model; ``events`` are counted, or answers."""

    load: str
    model: str = ""
    events: bool = False
    floor: bool = False


SCENARIOS = {
    "max32": Scenario(load="-c 32"),
    "stmax": Scenario(load="-c 64 -s", events=True),
    "lat100": Scenario(load="-c 32 -r 100", model="-d 10000", floor=True),
    "tok6400": Scenario(load="-c 64 -s", model="-d 10000 -i 10000", events=True, floor=True),
}
USUAL = ("max32", "stmax")
OURS = f"{sys.executable} -m bench.serving.gateway_subject {{port}} {{upstream}}"
SUBJECTS = {"actinium": OURS, "actinium-all": OURS + " --all"}
PYTHON = f"{sys.executable} -m bench.serving."


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def process(command: str, core: int, port: int, *, realtime: bool) -> Iterator[psutil.Process]:
    """A program on its core, up once its port answers; stopped in the end."""
    started = subprocess.Popen(
        _scheduled(command, core, realtime),
        env={**os.environ, "PYTHONPATH": _path()},
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if started.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"did not start: {command}") from None
                time.sleep(0.1)
        yield psutil.Process(started.pid)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(started.pid).children(recursive=True):
                child.terminate()
        started.terminate()
        try:
            started.wait(5)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _path() -> str:
    return os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH", "")) if p)


def _scheduled(command: str, core: int, realtime: bool) -> list[str]:
    before = ["chrt", "-f", "10"] if realtime else []
    return [*before, "taskset", "-c", str(core), *shlex.split(command)]


def cpu_seconds(gateway: psutil.Process) -> float:
    """CPU time of a process and its children so far."""
    total = 0.0
    for p in (gateway, *gateway.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = p.cpu_times()
            total += times.user + times.system
    return total


def run(
    command: str,
    flags: str,
    options: argparse.Namespace,
    scenario: str,
    cores: tuple[int, int],
) -> dict[str, Any]:
    """One subject in one scenario, in fresh processes; without a command the model alone."""
    what = SCENARIOS[scenario]
    upstream = options.upstream or free_port()
    port = free_port() if command else upstream
    model = f"{options.model or PYTHON + 'plain_model'} -p {upstream} -n 500 {what.model}"
    realtime: bool = options.realtime
    load = f"{options.load or PYTHON + 'plain_load'} -p {port} -m m0 {what.load} {flags}".format(
        upstream=upstream
    )
    with contextlib.ExitStack() as stack:
        server = process(model, cores[0], upstream, realtime=realtime)
        gateway = stack.enter_context(server)
        if command:
            filled = command.format(port=port, upstream=upstream)
            gateway = stack.enter_context(process(filled, cores[1], port, realtime=realtime))
        _load(f"{load} -d 1 -w 0", cores[0], realtime)
        before = cpu_seconds(gateway)
        said = _load(f"{load} -d {options.seconds} -w 0", cores[0], realtime)
        used = cpu_seconds(gateway) - before
        resident = sum(p.memory_info().rss for p in (gateway, *gateway.children(recursive=True)))
    units = said["events"] if what.events else said["done"]
    if said["non2xx"] or said["err"] or said.get("evbad") or not units:
        return {"failed": f"bad answers: {json.dumps(said)[:300]}"}
    kind = "tok" if what.events and what.floor else "p"
    names = ("tok_p50_us", "tok_p99_us") if kind == "tok" else ("p50_us", "p99_us")
    return {
        "rate": said["events_s"] if what.events else said["rps"],
        "cpu_us": used / units * 1e6,
        "p50_us": said[names[0]],
        "p99_us": said[names[1]],
        "mib": resident / 2**20,
    }


def _load(command: str, core: int, realtime: bool) -> dict[str, Any]:
    done = subprocess.run(
        _scheduled(command, core, realtime), capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": _path()}, cwd=ROOT,
    )  # fmt: skip
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def table(results: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """Markdown: one row per subject and scenario, with ours as the reference of ratios."""
    lines = [
        "| scenario | subject | per second, median | min - max | CPU us each | p50 us | p99 us "
        "| MiB | actinium / it |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for scenario, subjects in results.items():
        ours = [r.get("rate", 0.0) for r in subjects["actinium"]]
        for name, runs in subjects.items():
            good = [r for r in runs if "failed" not in r]
            if not good:
                lines.append(f"| {scenario} | {name} | {runs[0]['failed']} | | | | | | |")
                continue
            rates = [r["rate"] for r in good]
            pairs = [a / r["rate"] for a, r in zip(ours, runs, strict=True) if "rate" in r and a]
            middle = {k: statistics.median(r[k] for r in good) for k in good[0]}
            lines.append(
                f"| {scenario} | {name} | {middle['rate']:,.0f} | {min(rates):,.0f} - "
                f"{max(rates):,.0f} | {middle['cpu_us']:.3g} | {middle['p50_us']:,.0f} | "
                f"{middle['p99_us']:,.0f} | {middle['mib']:.0f} | {statistics.median(pairs):.3g} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", help="a model server")
    parser.add_argument("--load", help="a load generator")
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--rival-load", action="append", default=[], metavar="NAME=FLAGS")
    parser.add_argument("--upstream", type=int, help="port of the model, for rivals that fix it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--scenario", choices=SCENARIOS, action="append")
    parser.add_argument("--realtime", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise SystemExit("two cores are needed: one for the gateway, one for model and load")
    subjects = {**SUBJECTS, **dict(rival.split("=", 1) for rival in options.rival)}
    flags = {"actinium-all": f"-a {KEY}"} | dict(one.split("=", 1) for one in options.rival_load)
    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for number in range(1, options.rounds + 1):
        for scenario in options.scenario or USUAL:
            floor = {"direct": ""} if SCENARIOS[scenario].floor else {}
            shown_here = results.setdefault(scenario, {})
            for name, command in {**subjects, **floor}.items():
                cores = (allowed[0], allowed[1])
                got = run(command, flags.get(name, ""), options, scenario, cores)
                shown_here.setdefault(name, []).append(got)
                shown = got.get("failed") or (
                    f"{got['rate']:,.0f}/s, {got['cpu_us']:.3g} us CPU, p99 {got['p99_us']:,.0f} us"
                )
                say(f"round {number}/{options.rounds}  {scenario:6} {name:12} {shown}")
    record = machine.record()
    say(json.dumps(record))
    say(table(results))
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": record, "results": results}, indent=1))


if __name__ == "__main__":
    main()
