"""``python -m bench.micro [SCENARIO ...] [--rounds N] [--rivals a,b]``: the core's figures."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import machine
from bench.harness import as_json, available, measure, pin, say
from bench.micro.scenarios import BY_NAME, SCENARIOS
from bench.micro.subjects import BY_SUBJECT
from bench.table import table

OURS = "actinium"
REFERENCE = "floor"
USUAL = ("floor", "actinium", "actinium-asyncio", "naive", "asyncio", "uvloop")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.micro", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="all when none is named")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved runs of each (5)")
    parser.add_argument(
        "--rivals", default=",".join(USUAL[2:]), help="comma-separated, or 'all' or 'none'"
    )
    parser.add_argument("--core", type=int, help="the core to run on (the last one)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies every N")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write everything here")
    parser.add_argument("--list", action="store_true", help="list scenarios and rivals, and stop")
    return parser.parse_args()


def _named(given: list[str], known: dict[str, object], what: str) -> list[str]:
    for name in given:
        if name not in known:
            raise SystemExit(f"{what} {name!r} is unknown; use one of {', '.join(known)}")
    return given


def main() -> None:
    arguments = _arguments()
    if arguments.list:
        for scenario in SCENARIOS:
            goal = f" (goal: {scenario.goal})" if scenario.goal else ""
            say(f"{scenario.name:12} {scenario.says}; N={scenario.n}{goal}")
        say("subjects: " + ", ".join(BY_SUBJECT))
        return
    names = _named(arguments.scenarios, dict(BY_NAME), "scenario") or list(BY_NAME)
    rivals = {"all": list(BY_SUBJECT), "none": []}.get(arguments.rivals)
    if rivals is None:
        rivals = _named(arguments.rivals.split(","), dict(BY_SUBJECT), "rival")
    chosen = dict.fromkeys([REFERENCE, OURS, *rivals])
    subjects = available([BY_SUBJECT[name] for name in chosen], say)
    core = pin(arguments.core)
    before = {**machine.record(), "pinned_to_core": core, "rounds": arguments.rounds}
    cells = measure([BY_NAME[n] for n in names], subjects, arguments.rounds, arguments.scale, say)
    after = machine.record()["load"]
    found = {**before, "load_at_end": after}
    if arguments.json is not None:
        arguments.json.write_text(as_json(cells, found) + "\n", encoding="utf-8")
    say("")
    say(machine.shown(found))
    say("")
    say(table(cells, REFERENCE, OURS))


if __name__ == "__main__":
    main()
