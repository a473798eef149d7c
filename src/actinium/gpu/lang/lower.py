"""From a handler, kernel or stencil to operations, with the type of each local settled.

A local that is only ever given literals has no type at first. The function is compiled until
nothing changes: what such a local meets gives it its type, and one that meets nothing becomes
i64 or f64, Python's own meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actinium.errors import CompileError

from ..ir.nodes import Function, Root
from ..ir.promote import DEFAULTS
from ..layout.declare import record_of
from ..layout.scalar import Scalar
from .calls import declared
from .marks import ActorSpec, BufferType, GridType, Kernel
from .session import Notes, Retype, Session
from .source import Source
from .statements import Statements
from .values import Place

_ROUNDS = 64


class Lowered:
    """A function in operations, with what the oracle needs to run its source."""

    def __init__(self, function: Function, source: Source, notes: dict[Any, Notes]) -> None:
        self.function = function
        self.source = source
        self.notes = notes
        """Of the function itself and of each that was inlined."""


def _settle(
    source: Source, function: Function, bind: Callable[[Statements], Any], cls: type | None
) -> Lowered:
    session = Session(function.level)
    session.dims = function.shape
    key = source.function
    for _ in range(_ROUNDS):
        session.restart()
        session.stack = [key]
        body = Statements(source, session, key)
        body.cls = cls
        try:
            function.result = bind(body)
            body.run(function.result)
        except Retype:
            continue
        except CompileError:
            if session.final or not session.weak:
                raise
        if session.final or not session.weak:
            break
        for weak in session.weak:
            session.hints[weak] = DEFAULTS[session.notes[weak[0]].locals[weak[1]]]
        session.final = True
    function.body = session.region
    function.count = session.count
    return Lowered(function, source, session.notes)


def lower_handler(spec: ActorSpec, message: Any, method: Any) -> Lowered:
    """A handler of an actor.

    Raises:
        CompileError: it is outside the language.
    """
    source = Source(method)
    state = Root("self", "state", spec.state, writable=True)
    given = Root("m", "message", record_of(message), writable=False)
    function = Function(f"{spec.cls.__name__}_{method.__name__}", spec.level)
    function.roots = [state, given]
    first, second = (a.arg for a in source.tree.args.args)

    def bind(body: Statements) -> Any:
        body.env[first] = Place(state, (), (), spec.state)
        body.env[second] = Place(given, (), (), given.type)
        return body.declared_result()

    return _settle(source, function, bind, spec.cls)


def lower_kernel(kernel: Kernel) -> Lowered:
    """A kernel or stencil.

    Raises:
        CompileError: it is outside the language.
    """
    source = Source(kernel.function)
    function = Function(kernel.__name__, "grid")
    function.shape = kernel.dims

    function.order = [argument.arg for argument in source.tree.args.args]

    def bind(body: Statements) -> Any:
        function.roots, function.params = [], []
        for argument in source.tree.args.args:
            name = argument.arg
            type_ = declared(source, argument, name)
            wanted = GridType if kernel.dims else BufferType
            if isinstance(type_, wanted):
                root = Root(name, "buffer", type_.element, writable=not kernel.dims)
                function.roots.append(root)
                body.env[name] = Place(root, (), (), type_)
            elif isinstance(type_, Scalar):
                value = body.session.value(type_)
                function.params.append((name, value))
                body.env[name] = value
            else:
                what = "gpu.Grid[T]" if kernel.dims else "gpu.Buffer[T]"
                body.refuse(
                    argument, "kernel-parameter", f"parameter `{name}` of a kernel is {type_!r}",
                    f"a number type or `{what}`",
                )  # fmt: skip
        result = body.declared_result()
        if kernel.dims and (not isinstance(result, Scalar) or not function.roots):
            body.refuse(
                source.tree, "stencil-result", "a stencil reads a grid and returns the cell's value",
                "a parameter `g: gpu.Grid[gpu.f32]` and `-> gpu.f32`",
            )  # fmt: skip
        if not kernel.dims and result is not None:
            body.refuse(
                source.tree, "kernel-result", f"a kernel returns nothing, got {result!r}",
                "`-> None`, and the result in a gpu.Buffer",
            )  # fmt: skip
        return result

    return _settle(source, function, bind, None)
