"""A message costs no more instructions than it did: the core against its recorded baseline.

Counts repeat to a fraction of a percent on any machine, so this asserts no time. After a change
that is worth its price, or that made things cheaper, record anew:

    python -m bench.micro.instructions --record
"""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GROWTH = 1.10


def _limits(workload: str) -> dict[str, float]:
    """What this interpreter is held to: all of a message, or only the core's part of it."""
    from bench.micro import instructions

    known = instructions.baseline()
    here = instructions.where()
    if workload in known.get(here, {}):
        return dict(known[here][workload])
    # The core's own part hardly depends on how the interpreter was built.
    python = f"CPython {sys.version_info.major}.{sys.version_info.minor}."
    for there, counts in known.items():
        if there.startswith(python) and there.endswith(platform.machine()) and workload in counts:
            return {"own": counts[workload]["own"]}
    pytest.skip(f"no baseline for {here}; record one: python -m bench.micro.instructions --record")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    shutil.which("callgrind_annotate") is None,
    reason="valgrind is not installed; on Debian: apt-get install valgrind",
)
@pytest.mark.parametrize("workload", ["tell", "tell_burst", "ask1", "async", "spawn"])
def test_a_message_costs_no_more_than_its_baseline(
    workload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from bench.micro import instructions

    limits = _limits(workload)
    found = instructions.per_message(instructions.SUBJECTS["actinium"], workload, tmp_path)
    for kind, limit in limits.items():
        assert found[kind] <= limit * GROWTH, (
            f"{workload}: {found[kind]:.0f} instructions a message ({kind}), the baseline is "
            f"{limit:.0f}; where they go: python -m bench.micro.instructions {workload} --top 20"
        )
