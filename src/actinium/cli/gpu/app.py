"""The commands for GPUs. What they do is imported when they are called."""

from __future__ import annotations

import typer

from ..arguments import Debug
from ..failures import failures
from ..screen import Screen
from . import arguments as a

gpu = typer.Typer(
    name="gpu",
    help="Actors compiled for GPUs: this machine, what a program compiles to, a first run.",
    epilog="Start here:  actinium gpu info   |   actinium gpu compile counter.py",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_COMPILE = """Examples:
  actinium gpu compile counter.py   (registers, spills, shared memory and stack of each kernel)
  actinium gpu compile counter.py:Counter --emit ir,cpp
  actinium gpu compile counter.py --emit cubin,ptx --arch sm_90a --out build/"""

_RUN = """Examples:
  actinium gpu run counter.py:Counter --message "Add amount=2" --message "Add amount=40"
  actinium gpu run counter.py:Counter --backend oracle --message "Add amount=2" --json"""


@gpu.command()
def info(as_json: a.AsJson = False, debug: Debug = False) -> None:
    """Show the driver, the compilers, the GPU and what can run here, with reasons.

    Exit code 1 if the rings failed their test.
    """
    screen = Screen()
    with failures(screen, debug):
        from .info import info as run

        if not run(screen, as_json):
            raise typer.Exit(1)


@gpu.command("compile", epilog=_COMPILE)
def compile_(
    where: a.Where,
    emit: a.Emit = "",
    arch: a.Arch = None,
    out: a.Out = None,
    relaxed: a.Relaxed = False,
    as_json: a.AsJson = False,
    debug: Debug = False,
) -> None:
    """Compile a program, without a GPU, and show what its kernels take."""
    screen = Screen()
    with failures(screen, debug):
        from .compile import compile_file

        compile_file(screen, where, emit, arch, out, not relaxed, as_json)


@gpu.command("run", epilog=_RUN)
def run_(
    where: a.One,
    message: a.Messages = None,
    backend: a.On = a.Backend.auto,
    repeat: a.Repeat = 1,
    as_json: a.AsJson = False,
    debug: Debug = False,
) -> None:
    """Start one actor, ask it the messages in order, and show its replies."""
    screen = Screen()
    with failures(screen, debug):
        from .run import run_file

        run_file(screen, where, message or [], backend.value, repeat, as_json)


@gpu.command()
def bench(quick: a.Quick = False, as_json: a.AsJson = False, debug: Debug = False) -> None:
    """Run the benchmarks of a source tree; the package does not hold them."""
    screen = Screen()
    with failures(screen, debug):
        from .bench import bench as run

        run(screen, quick, as_json)


def add_to(app: typer.Typer) -> None:
    """Puts the commands into the application."""
    app.add_typer(gpu)
