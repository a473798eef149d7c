"""A program on this machine's processor: its C++ text, compiled and called."""

from __future__ import annotations

import ctypes
import struct
import tempfile
from collections.abc import Mapping
from typing import Any

from actinium.errors import DeviceFault, LayoutMismatch, Unhandled, UsageError

from ..codegen.cache import Cache
from ..codegen.host import library
from ..ir.budget import checked
from ..ir.nodes import Function
from ..lang.marks import initial_state
from ..layout.record import ArrayType, Record
from ..layout.scalar import Scalar
from ..program import UNKNOWN, Program


class Context(ctypes.Structure):
    """``ac_ctx`` of the prelude."""

    _fields_ = (
        ("fault", ctypes.c_uint32),
        ("told", ctypes.c_uint32),
        ("budget", ctypes.c_uint64),
        ("now", ctypes.c_uint64),
        ("me", ctypes.c_uint64),
        ("sender", ctypes.c_uint64),
        ("outbox", ctypes.c_void_p),
        ("room", ctypes.c_uint32),
        ("spare", ctypes.c_uint32),
        ("scratch", ctypes.c_uint64 * 32),
    )


def load(
    program: Program,
    cache: Cache | None = None,
    text: str | None = None,
    flags: tuple[str, ...] = (),
) -> ctypes.CDLL:
    """The shared library of a program, with its layouts compared.

    Raises:
        Unavailable: there is no C++ compiler.
        LayoutMismatch: it was compiled from other layouts.
    """
    code = loaded(library(text or program.text("cpu"), program.strict, cache or Cache(), flags))
    code.ac_layout.restype = ctypes.c_uint64
    for i, record in enumerate(program.records):
        got = code.ac_layout(i)
        if got != record.hash:
            raise LayoutMismatch(record.name, "hash", record.hash, got)
    return code


def loaded(data: bytes) -> ctypes.CDLL:
    """A shared library out of its bytes."""
    with tempfile.NamedTemporaryFile(prefix="actinium-", suffix=".so") as file:
        file.write(data)
        file.flush()
        return ctypes.CDLL(file.name)


OUTBOX = 4096
_ENTRY = struct.Struct("<QII")
"""``ac_told``: to whom, kind, size."""


def stop(program: Program, fault: int) -> None:
    """Raises what a fault number stands for; 0 for none."""
    if fault:
        raise DeviceFault(*program.sites[fault - 1])


class NativeActor:
    """One actor of a program, with its state in this process's memory.

    ``max_steps`` is the budget of a handler (None: the program's), ``outbox`` how many bytes the
    messages that it tells may take, 16 more than its own for each.
    """

    me = 0
    """What ``gpu.me()`` is."""
    now_us = 0
    """What ``gpu.now_us()`` is."""

    def __init__(
        self,
        program: Program,
        cache: Cache | None = None,
        *,
        max_steps: int | None = None,
        outbox: int = OUTBOX,
    ) -> None:
        if program.spec is None:
            raise UsageError(f"{program.name} is a kernel; call gpu.NativeKernel(program)")
        self.program = program
        self._library = load(program, cache)
        self._kinds = dict(zip(program.messages, program.functions, strict=True))
        self._context = Context()
        self._context.budget = program.max_steps if max_steps is None else checked(max_steps)
        self._outbox = (ctypes.c_uint64 * (outbox // 8 + 1))()
        self._context.outbox = ctypes.addressof(self._outbox)
        self._context.room = outbox
        self.reset()

    def reset(self) -> None:
        """The state of a fresh actor."""
        spec = self.program.spec
        assert spec is not None
        data = initial_state(spec)
        self._state = ctypes.create_string_buffer(data, len(data))

    @property
    def state(self) -> Any:
        """A copy of the state, field by field."""
        spec = self.program.spec
        assert spec is not None
        return spec.state.unpack(self._state.raw)

    @state.setter
    def state(self, values: Any) -> None:
        spec = self.program.spec
        assert spec is not None
        self._state = ctypes.create_string_buffer(spec.state.pack(values), spec.state.size)

    @property
    def told(self) -> list[tuple[int, Any]]:
        """What the last handler told: (gpu.Ref, message), in order."""
        classes = {message.__gpu_kind__: message for message in self.program.told}
        data, at = bytes(self._outbox), 0
        found = []
        while at < self._context.told:
            to, kind, size = _ENTRY.unpack_from(data, at)
            at += _ENTRY.size
            found.append((to, classes[kind].__gpu_record__.unpack(data[at : at + size])))
            at += size + -size % 8
        return found

    def handle(self, message: Any, *, sender: int = 0) -> Any:
        """Runs the handler of one message and gives its reply; ``sender`` is its ``gpu.sender()``.

        Raises:
            Unhandled: no handler takes this message type.
            DeviceFault: the handler stopped.
        """
        function: Function | None = self._kinds.get(type(message))
        if function is None:
            raise Unhandled(f"{self.program.name} has no handler for {type(message).__name__}")
        data = type(message).__gpu_record__.pack(message)
        reply, record = reply_room(function)
        context = self._context
        context.fault = context.told = 0
        context.now, context.me, context.sender = self.now_us, self.me, sender
        answer = self._library.ac_dispatch(
            ctypes.byref(self._context), self._state, type(message).__gpu_kind__, data, reply
        )
        assert answer != UNKNOWN
        stop(self.program, self._context.fault)
        return reply_value(function, reply, record)


def reply_room(function: Function) -> tuple[Any, Record | None]:
    """Where a reply is written, and its layout."""
    if function.result is None:
        return None, None
    record = function.result
    if isinstance(record, Scalar):
        record = Record("reply", {"value": record})
    return ctypes.create_string_buffer(record.size), record


def reply_value(function: Function, reply: Any, record: Record | None) -> Any:
    """The reply that was written."""
    if record is None:
        return None
    value = record.unpack(reply.raw)
    return value["value"] if isinstance(function.result, Scalar) else value


class NativeKernel:
    """A kernel or stencil of a program, called with buffers of this process's memory."""

    def __init__(self, program: Program, cache: Cache | None = None) -> None:
        if program.kernel is None:
            raise UsageError(f"{program.name} is an actor; call gpu.NativeActor(program)")
        self.program = program
        self._library = load(program, cache)

    def __call__(self, *arguments: Any, shape: tuple[int, ...] = (), out: Any = None) -> None:
        """Runs it over writable buffers (``bytearray``, ``array``, NumPy) and numbers, in order.

        For a stencil ``shape`` is the grid's, and ``out`` the buffer of the new values.

        Raises:
            UsageError: the arguments are not those of the kernel.
            DeviceFault: it stopped.
        """
        function = self.program.functions[0]
        given = by_name(function, arguments)
        values: dict[str, Any] = {}
        for root in function.roots:
            values[f"p_{root.name}"], values[f"n_{root.name}"] = _buffer(root.type, given[root.name], root.name)  # fmt: skip
        for name, _ in function.params:
            values[f"a_{name}"] = given[name]
        if function.shape:
            cells = check_shape(function, shape)
            values["p_out"], length = _buffer(function.result, out, "out")
            for root in function.roots:
                if values[f"n_{root.name}"] != cells or length != cells:
                    raise UsageError(f"shape {shape} has {cells} cells, got buffers of {values[f'n_{root.name}']} and {length}")  # fmt: skip
                if values[f"p_{root.name}"] == values["p_out"]:
                    raise UsageError("out must be another buffer than the grids that are read")
            values |= {f"n{axis}": n for axis, n in zip("zyx"[3 - function.shape :], shape, strict=True)}  # fmt: skip
        record = self.program.arguments
        assert record is not None
        fault = ctypes.c_uint32(0)
        self._library.ac_kernel(record.pack(values | {"none": 0}), ctypes.byref(fault))
        stop(self.program, fault.value)


def check_shape(function: Function, shape: tuple[int, ...]) -> int:
    """The cells of a grid of this shape."""
    if len(shape) != function.shape or any(n < 1 for n in shape):
        raise UsageError(f"shape must be {function.shape} numbers above 0, got {shape!r}")
    cells = 1
    for n in shape:
        cells *= n
    return cells


def by_name(function: Function, arguments: tuple[Any, ...]) -> Mapping[str, Any]:
    """A kernel's arguments by parameter, in the order of its definition."""
    order = function.order
    if len(order) != len(arguments):
        raise UsageError(
            f"{function.name} takes ({', '.join(order)}), got {len(arguments)} arguments"
        )
    return dict(zip(order, arguments, strict=True))


def _buffer(type_: Any, buffer: Any, name: str) -> tuple[int, int]:
    """(address, elements) of a writable buffer of such elements."""
    try:
        view = memoryview(buffer).cast("B")
    except (TypeError, ValueError) as e:
        raise UsageError(f"{name} must be a contiguous buffer of {type_!r}, got {buffer!r}") from e
    size = type_.element.size if isinstance(type_, ArrayType) else type_.size
    if len(view) % size or view.readonly:
        raise UsageError(
            f"{name} must be a writable buffer of {type_!r} ({size} bytes each), got {len(view)} bytes"
        )
    if not len(view):
        return 0, 0
    return ctypes.addressof((ctypes.c_char * len(view)).from_buffer(view)), len(view) // size
