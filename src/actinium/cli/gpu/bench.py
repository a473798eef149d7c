"""``actinium gpu bench``: runs the benchmarks of a source tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import typer

from ..failures import CommandFailed
from ..screen import Screen


def bench(screen: Screen, quick: bool, as_json: bool) -> None:
    """Runs ``python -m bench.gpu`` in a source tree that is, or is above, this folder."""
    here = Path.cwd()
    root = next((p for p in (here, *here.parents) if (p / "bench/gpu/__main__.py").is_file()), None)
    if root is None:
        raise CommandFailed(
            "the benchmarks are in the source tree, below bench/gpu, and not in the package",
            "call this in a source tree, or on a machine with a GPU its bench/gpu/run_h200.sh",
        )
    words = [sys.executable, "-m", "bench.gpu"]
    words += ["--quick"] if quick else []
    words += ["--json", "-"] if as_json else []
    screen.err.print(f"running {' '.join(words[1:])} in {root}", markup=False)
    code = subprocess.run(words, cwd=root, check=False).returncode
    if code:
        raise typer.Exit(code)
