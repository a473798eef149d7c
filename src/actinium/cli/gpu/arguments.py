"""The options of ``actinium gpu``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Backend(StrEnum):
    """Who runs a program."""

    auto = "auto"
    cuda = "cuda"
    cpu = "cpu"
    emulator = "emulator"
    oracle = "oracle"


EMITS = ("ir", "cpp", "cuda", "ptx", "cubin", "sass")


def _emits(incomplete: str) -> list[str]:
    done, _, last = incomplete.rpartition(",")
    return [f"{done},{e}" if done else e for e in EMITS if e.startswith(last)]


Where = Annotated[
    str, typer.Argument(metavar="FILE.py[:NAME]", help="A file with actors, kernels or stencils.")
]
One = Annotated[str, typer.Argument(metavar="FILE.py:CLASS", help="The actor to run.")]
Emit = Annotated[
    str,
    typer.Option(
        metavar="WHAT",
        help=f"What to show or write: {', '.join(EMITS)}; several with commas.",
        autocompletion=_emits,
    ),
]
Arch = Annotated[
    list[str] | None,
    typer.Option(
        "--arch",
        metavar="ARCH",
        help="For which GPUs; may be given several times. (default: sm_90a and sm_100a)",
        autocompletion=lambda: ["sm_90a", "sm_100a", "sm_120a"],
    ),
]
Out = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Write files there, not to stdout.")
]
Relaxed = Annotated[
    bool,
    typer.Option("--relaxed", metavar="", help="Let compilers join a product and a sum."),
]
On = Annotated[
    Backend, typer.Option("--backend", metavar="NAME", help="auto, cuda, cpu, emulator or oracle.")
]
Messages = Annotated[
    list[str] | None,
    typer.Option(
        "--message",
        metavar="TEXT",
        help='A message, such as "Add amount=2 who=1"; may be given several times. '
        "An array is written 1,2,3.",
    ),
]
Repeat = Annotated[
    int, typer.Option(min=1, metavar="N", help="How often the messages are sent, in order.")
]
Quick = Annotated[bool, typer.Option("--quick", metavar="", help="A tenth of the work.")]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="JSON instead of a table.")]
