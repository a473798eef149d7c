"""``actinium gpu compile``: a program's texts, its machine code, and what that takes."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from actinium.errors import Unavailable
from actinium.gpu.abi.geometry import Geometry
from actinium.gpu.abi.sizes import Sizes
from actinium.gpu.codegen.nvrtc import ARCHITECTURES, Cubin, cubin_of, ptx
from actinium.gpu.codegen.resident import cpu_text
from actinium.gpu.codegen.resident_cuda import Resident
from actinium.gpu.program import Program
from actinium.gpu.program import compile as compiled

from ..admin.tables import show, table
from ..failures import USAGE, CommandFailed
from ..screen import Screen
from .arguments import EMITS
from .load import programs_of

_TEXTS = {"ir": "ir", "cpp": "cpp", "cuda": "cu"}
_DISASSEMBLERS = {"nvdisasm": ("-c",), "cuobjdump": ("-sass",)}


def compile_file(
    screen: Screen,
    where: str,
    emit: str,
    arch: list[str] | None,
    out: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Compiles all that ``where`` names and shows, or writes, what was asked for."""
    kinds = [kind.strip() for kind in emit.split(",") if kind.strip()]
    for kind in kinds:
        if kind not in EMITS:
            raise CommandFailed(
                f"--emit takes {', '.join(EMITS)}, separated by commas; got {kind!r}", code=USAGE
            )
    if "cubin" in kinds and out is None:
        raise CommandFailed("a CUBIN is no text", "name a folder with --out", USAGE)
    if "sass" in kinds:
        disassembler()  # before anything is written
    programs = [compiled(what, strict=strict) for what in programs_of(where)]
    architectures = arch or list(ARCHITECTURES)
    rows: list[dict[str, Any]] = []
    for program in programs:
        for kind in kinds:
            if kind in _TEXTS:
                _give(screen, out, f"{program.name}.{_TEXTS[kind]}", text_of(program, kind))
        if kinds and not set(kinds) - set(_TEXTS):
            continue
        for architecture in architectures:
            program.check_capability(architecture)
            text = text_of(program, "cuda")
            made = cubin_of(text, architecture, program.strict, entry=entry_of(program))
            name = f"{program.name}.{architecture}"
            if "ptx" in kinds:
                _give(screen, out, f"{name}.ptx", ptx(text, architecture, program.strict))
            if "cubin" in kinds:
                assert out is not None
                _write(screen, out / f"{name}.cubin", made.data)
            if "sass" in kinds:
                _give(screen, out, f"{name}.sass", sass(made))
            used = _resources(made)
            if program.spec is not None:  # what a block is given at the launch
                used["shared"] += Resident(program, _one(program)).shared
            rows.append({"program": program.name, "level": program.level, **used})
    if rows and (out is not None or not kinds):
        shown = [[str(value) for value in row.values()] for row in rows]
        numbers = "registers spills stack shared code"
        show(screen, rows, as_json, table(list(rows[0]), shown, numbers))


def text_of(program: Program, kind: str) -> str:
    """A program's text of one kind; of an actor that of its resident kernel."""
    if kind == "ir":
        return program.ir + "\n"
    if program.spec is None:
        return program.text("cpu" if kind == "cpp" else "cuda")
    return cpu_text(program) if kind == "cpp" else Resident(program, _one(program)).text("cuda")


def entry_of(program: Program) -> str:
    """The kernel that is launched."""
    return "ac_kernel" if program.spec is None else Resident.entry


def _one(program: Program) -> Geometry:
    """A launch of one actor, with room for the longest messages."""
    assert program.spec is not None
    sizes = Sizes(program)
    return Geometry(
        program=0, blocks=1, actors=1, capacity=1024, in_bytes=sizes.in_bytes,
        out_bytes=sizes.out_bytes, state_size=program.spec.state.size, budget=program.max_steps,
    )  # fmt: skip


def _resources(made: Cubin) -> dict[str, Any]:
    return {
        "architecture": made.architecture,
        "entry": made.entry,
        "registers": made.registers,
        "spills": made.spills,
        "stack": made.stack,
        "shared": made.shared,
        "code": len(made.data),
    }


def disassembler() -> tuple[str, tuple[str, ...]]:
    """(path, arguments) of a program that shows machine code.

    Raises:
        Unavailable: there is none; the wheels of NVRTC do not hold one.
    """
    for name, arguments in _DISASSEMBLERS.items():
        path = shutil.which(name)
        if path is not None:
            return path, arguments
    raise Unavailable(
        "machine code is shown by nvdisasm or cuobjdump, and neither is on the PATH; "
        "install cuda-nvdisasm of the CUDA toolkit, or use --emit ptx"
    )


def sass(made: Cubin) -> str:
    """The machine code of a CUBIN as text."""
    path, arguments = disassembler()
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.data)
        file.flush()
        run = subprocess.run(
            [path, *arguments, file.name], capture_output=True, text=True, check=False
        )
    if run.returncode != 0:
        raise CommandFailed(f"{path} failed: {run.stderr.strip()}")
    return run.stdout


def _give(screen: Screen, out: Path | None, name: str, text: str) -> None:
    if out is not None:
        _write(screen, out / name, text.encode())
    else:
        screen.out.print(text, markup=False, end="")


def _write(screen: Screen, path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise CommandFailed(f"cannot write {path}: {error.strerror}") from error
    screen.err.print(f"written: {path} ({len(data):,} bytes)", markup=False)
