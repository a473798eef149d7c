"""A kernel in a process of its own, which maps the same memory (``isolation="process"``).

A crash of the kernel, or of its driver, then ends that process and not this one: the launch counts
as lost, and its actors fail with DeviceLost. The rings are the same; no message takes another way.
"""

from __future__ import annotations

import mmap
import os
import select
import subprocess
import sys

import msgspec

from actinium.errors import GpuError, NotEncodable, UsageError
from actinium.wire.mainmodule import main_module
from actinium.wire.names import name_of

from ..abi.geometry import Geometry
from ..program import Program

START_SECONDS = 60.0
"""How long a process may take to import the class, compile it and start."""


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is told, as one line of JSON on its standard input."""

    backend: str
    type: str
    main: str
    path: tuple[str, ...]
    strict: bool
    max_steps: int
    fd: int
    answer: int
    geometry: dict[str, int | bool]


class ProcessExecutor:
    """Runs another executor elsewhere. The class of the actors must be importable there."""

    def __init__(
        self, backend: str, program: Program, region: mmap.mmap, fd: int, geometry: Geometry
    ) -> None:
        self.name = backend
        spec = program.spec
        assert spec is not None
        try:
            type_ = name_of(spec.cls)
        except NotEncodable as e:
            raise UsageError(f"isolation='process': {e}") from e
        self._fd = fd
        self._orders = Orders(
            backend=backend,
            type=type_,
            main=main_module(),
            path=tuple(p for p in sys.path if p),
            strict=program.strict,
            max_steps=program.max_steps,
            fd=fd,
            answer=-1,
            geometry={name: getattr(geometry, name) for name in geometry.__dataclass_fields__},
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        read, write = os.pipe()
        try:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "actinium.gpu.runtime.worker"],
                stdin=subprocess.PIPE,
                pass_fds=(self._fd, write),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(self._orders.path)},
            )
        finally:
            os.close(write)
        assert process.stdin is not None
        orders = msgspec.structs.replace(self._orders, answer=write)
        # The pipe stays open: its end tells the process that this one is gone.
        process.stdin.write(msgspec.json.encode(orders) + b"\n")
        process.stdin.flush()
        with os.fdopen(read, "rb") as answer:
            if not select.select([answer], [], [], START_SECONDS)[0]:
                self.force()
                raise GpuError(
                    f"the process of a kernel did not start it within {START_SECONDS:g} s"
                )
            line = answer.readline().decode(errors="replace").strip()
        if line != "ok":
            self.force()
            raise GpuError(f"the process of a kernel could not start it: {line or 'it ended'}")

    def gone(self) -> str:
        """How the process ended, or nothing while it lives."""
        if self._process is None or not self.ended(0):
            return ""
        code = self._process.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        return f"the process {self.pid} of the kernel {how}"

    def ended(self, timeout: float) -> bool:
        process = self._process
        if process is None:
            return True
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        if process.stdin is not None:
            process.stdin.close()
        return True

    def force(self) -> None:
        if self._process is not None:
            self._process.kill()
            self.ended(5.0)
