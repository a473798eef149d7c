"""``python -m bench.rivals.build``: compiles the rivals whose compilers are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench.harness import ROOT, say

HERE = Path(__file__).resolve().parent
OUT = ROOT / "build" / "rivals"

COMMANDS: dict[str, tuple[str, ...]] = {
    "erlang": ("erlc", "-o", str(OUT), str(HERE / "rival_erlang.erl")),
    "go": ("go", "build", "-o", str(OUT / "rival_go"), str(HERE / "rival_go.go")),
    "caf": ("g++", "-O2", "-std=c++17", str(HERE / "rival_caf.cpp"), "-o",
            str(OUT / "rival_caf"), "-lcaf_core"),
}  # fmt: skip


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for name, command in COMMANDS.items():
        if shutil.which(command[0]) is None:
            say(f"{name}: skipped, {command[0]} is not installed")
            continue
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            say(f"{name}: built")
        else:
            say(f"{name}: failed\n{done.stderr.strip()[-2000:]}")


if __name__ == "__main__":
    main()
