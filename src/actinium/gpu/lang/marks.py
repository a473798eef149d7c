"""The decorators and words of the language that are no numbers and no intrinsics."""

from __future__ import annotations

import builtins
import inspect
import sys
from collections.abc import Callable
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, overload

from actinium.errors import LayoutError, UsageError

from ..layout.declare import fields_of, record_of
from ..layout.record import Record
from ..layout.scalar import Scalar

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)

LEVELS = ("thread", "warp", "block")
BOUNDARIES = ("clamp", "zero", "periodic")


def _scope(function: Any, depth: int) -> None:
    """Keeps the local names around a definition, which annotations as text may mean."""
    names: dict[str, Any] = {}
    frame = sys._getframe(depth + 1)
    while frame is not None and frame.f_code.co_name != "<module>":
        for key, value in frame.f_locals.items():
            names.setdefault(key, value)
        frame = frame.f_back  # type: ignore[assignment]
    function.__gpu_scope__ = names


class Helper(Generic[P, R]):
    """What ``@gpu.function`` makes: called from a handler it is compiled into it."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", "?")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<gpu.function {self.__name__}>"


def function(fn: Callable[P, R]) -> Helper[P, R]:
    """Makes a function one that handlers and kernels may call; it is inlined.

    Its parameters and its result are annotated with types of the language. Called from plain
    Python it is the plain function.
    """
    if not inspect.isfunction(fn):
        raise UsageError(f"@gpu.function belongs on a function, got {fn!r}")
    _scope(fn, 1)
    return Helper(fn)


class ActorSpec:
    """What ``@gpu.actor`` read from a class."""

    def __init__(self, cls: type, level: str, state: Record, handlers: dict[type, Any]) -> None:
        self.cls = cls
        self.level = level
        self.state = state
        self.handlers = handlers
        """Message class -> method."""


def actor(*, level: str = "thread") -> Callable[[C], C]:
    """Makes a class an actor that can be compiled: annotated fields are its state.

    ``level`` says who runs a handler: one ``"thread"``, a ``"warp"`` of 32, or a whole
    ``"block"``. Handlers are methods with ``@ac.on``; each takes one ``@gpu.message`` and
    returns None, a number or a record.

    Raises:
        LayoutError: a field has no fixed layout, or its default does not fit.
        UsageError: an unknown level, no handler, or a handler without a message.
    """
    if level not in LEVELS:
        raise UsageError(f"level must be one of {', '.join(LEVELS)}, got {level!r}")

    def make(cls: C) -> C:
        fields = fields_of(cls, depth=2)
        record = Record(cls.__name__, fields)
        handlers: dict[type, Any] = {}
        kinds: dict[int, str] = {}
        for name, method in vars(cls).items():
            if not hasattr(method, "__actinium_on__"):
                continue
            _scope(method, 1)
            message = _message_of(cls, name, method)
            kind = message.__gpu_kind__
            if kind in kinds:
                raise UsageError(
                    f"{cls.__name__}.{name} and {cls.__name__}.{kinds[kind]} both take messages "
                    f"of kind {kind:#06x}; give each message type a kind of its own"
                )
            kinds[kind] = name
            handlers[message] = method
        if not handlers:
            raise UsageError(
                f"{cls.__name__} has no handler; write `@ac.on` above a method that takes a message"
            )
        spec = ActorSpec(cls, level, record, handlers)
        cls.__gpu_record__ = record  # type: ignore[attr-defined]
        cls.__gpu_actor__ = spec  # type: ignore[attr-defined]
        initial_state(spec)
        return cls

    return make


def _message_of(cls: type, name: str, method: Any) -> Any:
    from .source import MISSING, Source

    names = list(inspect.signature(method).parameters)
    where = f"{cls.__name__}.{name}"
    if len(names) != 2:
        raise UsageError(f"{where} must take self and one message, got ({', '.join(names)})")
    message = Source(method).annotation(names[1])
    if message is MISSING or not hasattr(message, "__gpu_kind__"):
        shown = "nothing" if message is MISSING else repr(message)
        raise UsageError(
            f"{where}: {names[1]} must be annotated with one @gpu.message class, got {shown}"
        )
    return message


def initial_state(spec: ActorSpec) -> bytes:
    """The bytes of a fresh actor: the defaults of the class body, zero where there is none."""
    zero = spec.state.zero
    for name in spec.state.types:
        if name in vars(spec.cls):
            zero[name] = vars(spec.cls)[name]
    return spec.state.pack(zero)


class BufferType:
    """``Buffer[T]``: numbers or records in memory that a kernel reads and writes."""

    def __init__(self, element: Any) -> None:
        self.element = element

    def __repr__(self) -> str:
        return f"Buffer[{self.element!r}]"


class GridType:
    """``Grid[T]``: the cells a stencil reads around its own."""

    def __init__(self, element: Scalar) -> None:
        self.element = element

    def __repr__(self) -> str:
        return f"Grid[{self.element!r}]"


class Buffer:
    """The type of a kernel's parameter that is an array of a length known at the call."""

    def __class_getitem__(cls, element: Any) -> BufferType:
        return BufferType(element if isinstance(element, Scalar) else record_of(element))


class Grid:
    """The type of a stencil's parameter that is a grid: ``g[0, -1]`` is the cell to the left."""

    def __class_getitem__(cls, element: Any) -> GridType:
        if not isinstance(element, Scalar) or element.kind in "br":
            raise LayoutError(f"Grid takes a number type such as gpu.f32, got {element!r}")
        return GridType(element)


class Kernel:
    """What ``@gpu.kernel`` and ``@gpu.stencil`` make: a function for a whole grid of threads."""

    def __init__(self, fn: Any, dims: int = 0, boundary: str = "") -> None:
        self.function = fn
        self.dims = dims
        """2 or 3 for a stencil, else 0."""
        self.boundary = boundary
        self.__name__ = fn.__name__
        self.__doc__ = fn.__doc__

    def __repr__(self) -> str:
        return f"<gpu kernel {self.__name__}>"


def kernel(fn: Callable[..., None]) -> Kernel:
    """Makes a function a kernel: ``gpu.prange`` shares its iterations among all threads of a grid.

    Parameters are numbers and ``gpu.Buffer[T]``; it returns nothing.
    """
    if not inspect.isfunction(fn):
        raise UsageError(f"@gpu.kernel belongs on a function, got {fn!r}")
    _scope(fn, 1)
    return Kernel(fn)


def stencil(*, dims: int, boundary: str = "clamp") -> Callable[[Callable[..., Any]], Kernel]:
    """Makes a function of a cell's neighbourhood a kernel over a whole grid.

    Parameters are ``gpu.Grid[T]`` (all of one shape) and numbers; what it returns is the cell's
    new value. Beyond the edge, ``"clamp"`` repeats the edge, ``"zero"`` reads 0, ``"periodic"``
    goes round.
    """
    if dims not in (2, 3):
        raise UsageError(f"dims must be 2 or 3, got {dims!r}")
    if boundary not in BOUNDARIES:
        raise UsageError(f"boundary must be one of {', '.join(BOUNDARIES)}, got {boundary!r}")

    def make(fn: Callable[..., Any]) -> Kernel:
        if not inspect.isfunction(fn):
            raise UsageError(f"@gpu.stencil belongs on a function, got {fn!r}")
        _scope(fn, 1)
        return Kernel(fn, dims, boundary)

    return make


@overload
def prange(stop: int, /) -> builtins.range: ...
@overload
def prange(start: int, stop: int, step: int = 1, /) -> builtins.range: ...
def prange(*bounds: int) -> builtins.range:
    """As ``range``, with the iterations shared out among the threads that run the handler."""
    return builtins.range(*bounds)


def _in_a_handler(name: str) -> NoReturn:
    raise UsageError(f"gpu.{name} belongs in a handler of a @gpu.actor class")


def me() -> int:
    """In a handler: the ``gpu.Ref`` of the actor itself."""
    _in_a_handler("me()")


def sender() -> int:
    """In a handler: the ``gpu.Ref`` of who told or asked, 0 where that is nobody."""
    _in_a_handler("sender()")


def now_us() -> int:
    """In a handler: microseconds since 1970 (u64) when it was called, by the executor's clock."""
    _in_a_handler("now_us()")


def scan_add(array: Any, count: int = -1, /) -> None:
    """In a handler: puts into each element the sum of all up to and with it, in place.

    ``array`` is a gpu.Array of the state, of 32- or 64-bit numbers, ``count`` how many of its
    elements (all, if it is not given). All threads of the level work on it together. A sum of
    floats is joined in a fixed order for a given number of threads.
    """
    _in_a_handler("scan_add(...)")


def scan_min(array: Any, count: int = -1, /) -> None:
    """As :func:`scan_add`, with the smallest so far."""
    _in_a_handler("scan_min(...)")


def scan_max(array: Any, count: int = -1, /) -> None:
    """As :func:`scan_add`, with the largest so far."""
    _in_a_handler("scan_max(...)")


def tell(to: int, message: Any) -> None:
    """In a handler: sends a message to a ``gpu.Ref``, after those that it has sent before.

    All threads of the level come here together and it is sent once, so it stands outside
    ``gpu.prange``. One that does not fit the outbox any more is the fault ``outbox``.
    """
    _in_a_handler("tell(...)")


@overload
def unroll(stop: int, /) -> builtins.range: ...
@overload
def unroll(start: int, stop: int, step: int = 1, /) -> builtins.range: ...
def unroll(*bounds: int) -> builtins.range:
    """As ``range`` of constants, with the body written out once for each."""
    return builtins.range(*bounds)
