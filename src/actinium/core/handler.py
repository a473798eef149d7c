"""``@ac.on``: which method takes which message, read from annotations once per class."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar, overload

from actinium import _native
from actinium.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

PLAIN, COROUTINE, GENERATOR = range(3)


class Spec:
    """What ``@ac.on`` was told about a method."""

    __slots__ = ("batch", "cancellable", "raises")

    def __init__(
        self, raises: tuple[type[BaseException], ...], cancellable: bool, batch: int
    ) -> None:
        self.raises = raises
        self.cancellable = cancellable
        self.batch = batch


@overload
def on(fn: F, /) -> F: ...
@overload
def on(
    *, raises: tuple[type[BaseException], ...] = (), cancellable: bool = False, batch: int = 0
) -> Callable[[F], F]: ...
def on(
    fn: F | None = None,
    /,
    *,
    raises: tuple[type[BaseException], ...] = (),
    cancellable: bool = False,
    batch: int = 0,
) -> F | Callable[[F], F]:
    """Makes a method a handler for the type its message parameter is annotated with.

    The method may be ``def``, ``async def`` or an async generator (a stream). Exceptions named
    in ``raises`` are answers to an ask and no failure of the actor. A ``cancellable`` handler
    is cancelled when its asker gives up or runs out of time.

    With ``batch`` the handler takes up to so many waiting messages in one call, as a list:
    several times the rate for work that is small or gains from company. What it removes from
    the list counts as handled, should it fail; the rest become dead letters. An ask, and a
    message with a deadline, comes in a list of its own.

    >>> class Counter(Actor):
    ...     @on
    ...     def add(self, m: Add) -> int: ...
    ...     @on(batch=64)
    ...     def seen(self, events: list[Seen]) -> None: ...
    """
    if not 0 <= batch <= 65535:
        raise UsageError(f"batch must be 1..65535 messages, or 0 for none, got {batch!r}")
    spec = Spec(tuple(raises), cancellable, batch)

    def mark(method: F) -> F:
        if not inspect.isfunction(method):
            raise UsageError(f"@ac.on belongs on a method, got {method!r}")
        method.__actinium_on__ = spec  # type: ignore[attr-defined]
        return method

    return mark if fn is None else mark(fn)


def where(fn: Callable[..., Any]) -> str:
    """The place of a function, for error texts."""
    code = fn.__code__
    return f"{fn.__qualname__} ({code.co_filename}:{code.co_firstlineno})"


def kind_of(fn: Callable[..., Any]) -> int:
    """Whether a handler is plain, a coroutine or a stream."""
    if inspect.isasyncgenfunction(fn):
        return GENERATOR
    if inspect.iscoroutinefunction(fn):
        return COROUTINE
    if inspect.isgeneratorfunction(fn):
        raise UsageError(f"{where(fn)} is a plain generator; write `async def` to make it a stream")
    return PLAIN


def _annotation(fn: Callable[..., Any]) -> tuple[str, Any]:
    names = list(inspect.signature(fn).parameters)
    if len(names) != 2:
        raise UsageError(
            f"handler {where(fn)} must take self and one message, got ({', '.join(names)})"
        )
    name = names[1]
    if name not in fn.__annotations__:
        raise UsageError(
            f"handler {where(fn)} does not say which message it takes; "
            f"write `def {fn.__name__}(self, {name}: MessageType)`"
        )
    value = fn.__annotations__[name]
    if not isinstance(value, str):
        return name, value
    scope: dict[str, Any] = {}
    frame = sys._getframe(1)
    while frame is not None:  # names local to the function that defines the class
        for key, local in frame.f_locals.items():
            scope.setdefault(key, local)
        frame = frame.f_back  # type: ignore[assignment]
    try:
        return name, eval(value, fn.__globals__, scope)
    except NameError as e:
        raise UsageError(
            f"handler {where(fn)}: the annotation {value!r} cannot be resolved ({e}); "
            "define the message class before the actor class"
        ) from e


def _element(fn: Callable[..., Any], name: str, annotation: Any) -> Any:
    """The type of the messages of a batch handler."""
    if kind_of(fn) == GENERATOR:
        raise UsageError(f"handler {where(fn)} is a stream, which has no batches; leave batch= out")
    of = typing.get_args(annotation)
    if typing.get_origin(annotation) is not list or len(of) != 1:
        raise UsageError(
            f"handler {where(fn)} takes batches, so {name} must be a list of messages; "
            f"write `{name}: list[MessageType]`, got {annotation!r}"
        )
    return of[0]


def types_of(fn: Callable[..., Any]) -> tuple[type, ...]:
    """The message types a handler takes; ``object`` stands for Any."""
    name, annotation = _annotation(fn)
    if fn.__actinium_on__.batch:  # type: ignore[attr-defined]
        annotation = _element(fn, name, annotation)
    origin = typing.get_origin(annotation)
    parts = (
        typing.get_args(annotation) if origin in (typing.Union, types.UnionType) else (annotation,)
    )
    found: list[type] = []
    for part in parts:
        part_type = typing.get_origin(part) or part
        if part_type is Any:
            part_type = object
        elif part_type is None:
            part_type = types.NoneType
        if not isinstance(part_type, type):
            raise UsageError(
                f"handler {where(fn)}: {name} is annotated with {part!r}, which is no class; "
                "use a class, a union of classes, or typing.Any"
            )
        found.append(part_type)
    return tuple(found)


def own_handlers(cls: type) -> dict[type, Callable[..., Any]]:
    """The handlers a class body defines itself; two for one type are refused."""
    table: dict[type, Callable[..., Any]] = {}
    for attribute in vars(cls).values():
        if getattr(attribute, "__actinium_on__", None) is None:
            continue
        for message_type in types_of(attribute):
            other = table.get(message_type)
            if other is not None:
                raise UsageError(
                    f"{cls.__qualname__} has two handlers for {message_type.__qualname__}: "
                    f"{where(other)} and {where(attribute)}; keep one"
                )
            table[message_type] = attribute
    return table


def resolve(behaviour: _native.Behaviour, message_type: type) -> _native.Handler | None:
    """The handler for a type without an entry: nearest base class first, Any last."""
    table = behaviour.table
    for base in message_type.__mro__:
        handler = table.get(base)
        if handler is not None:
            return handler
    return None
