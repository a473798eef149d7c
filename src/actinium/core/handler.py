"""``@ac.on``: which method takes which message, read from annotations once per class."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any, TypeVar, overload

from actinium import _native
from actinium.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

PLAIN, COROUTINE, GENERATOR = range(3)


class Spec:
    """What ``@ac.on`` was told about a method."""

    __slots__ = ("batch", "cancellable", "concurrent", "idempotent", "raises", "states", "thread")

    def __init__(
        self,
        raises: tuple[type[BaseException], ...],
        cancellable: bool,
        batch: int,
        concurrent: int,
        idempotent: bool,
        states: tuple[str, ...],
        thread: bool,
    ) -> None:
        self.raises = raises
        self.cancellable = cancellable
        self.batch = batch
        self.concurrent = concurrent
        self.idempotent = idempotent
        self.states = states
        self.thread = thread


@overload
def on(fn: F, /) -> F: ...
@overload
def on(
    *,
    state: str | Iterable[str] = (),
    raises: tuple[type[BaseException], ...] = (),
    cancellable: bool = False,
    batch: int = 0,
    concurrent: int | None = None,
    idempotent: bool = False,
    thread: bool = False,
) -> Callable[[F], F]: ...
def on(
    fn: F | None = None,
    /,
    *,
    state: str | Iterable[str] = (),
    raises: tuple[type[BaseException], ...] = (),
    cancellable: bool = False,
    batch: int = 0,
    concurrent: int | None = None,
    idempotent: bool = False,
    thread: bool = False,
) -> F | Callable[[F], F]:
    """Makes a method a handler for the type its message parameter is annotated with.

    The method may be ``def``, ``async def`` or an async generator (a stream). Exceptions named
    in ``raises`` are answers to an ask and no failure of the actor. A ``cancellable`` handler
    is cancelled when its asker gives up or runs out of time. While a handler with
    ``concurrent=N`` waits, up to N handlers may be under way; one without it waits as its class
    says, alone unless that has ``concurrent=``. An ``idempotent`` one may be asked again by
    ``ac.Retry`` after a failure that leaves open whether it ran. With ``state=`` (one name or
    several) it takes messages only while the actor is in such a state; see ``ctx.become``.

    A ``def`` handler with ``thread=True`` runs in the loop's pool of threads (at most 32) and may
    block there. It is alone all the same, so its class takes no ``concurrent=``. In it ``tell``,
    ``ac.blocking``, ``ctx.sender``, ``ctx.remaining`` and ``ctx.check()`` may be used; the rest of
    ``ctx`` belongs to the loop's thread.

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
    if concurrent is not None and not 1 <= concurrent <= 65535:
        raise UsageError(f"concurrent must be 1..65535, got {concurrent!r}")
    states = (state,) if isinstance(state, str) else tuple(state)
    for name in states:
        if not isinstance(name, str) or not name:
            raise UsageError(f"a state is named by a text that is not empty, got {name!r}")
    if thread and (concurrent or 1) > 1:
        raise UsageError(f"thread=True is for one at a time; leave concurrent={concurrent} out")
    spec = Spec(tuple(raises), cancellable, batch, concurrent or 0, idempotent, states, thread)

    def mark(method: F) -> F:
        if not inspect.isfunction(method):
            raise UsageError(f"@ac.on belongs on a method, got {method!r}")
        if thread and kind_of(method) != PLAIN:
            raise UsageError(
                f"{where(method)} with thread=True must be a `def` method: "
                "what awaits needs the event loop"
            )
        scope = sys._getframe(1).f_locals
        before = scope.get(method.__name__) if "__qualname__" in scope else None
        if before is not None and hasattr(before, "__actinium_on__"):
            raise UsageError(
                f"{where(method)} would replace {where(before)}, a handler of the same "
                "name in the same class; give each its own name"
            )
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


def own_handlers(cls: type) -> dict[str | None, dict[type, Callable[..., Any]]]:
    """The handlers a class body defines itself, by state; two for one type are refused."""
    tables: dict[str | None, dict[type, Callable[..., Any]]] = {}
    for attribute in vars(cls).values():
        spec: Spec | None = getattr(attribute, "__actinium_on__", None)
        if spec is None:
            continue
        for state, message_type in product(spec.states or (None,), types_of(attribute)):
            table = tables.setdefault(state, {})
            other = table.get(message_type)
            if other is not None:
                when = f" in the state {state!r}" if state is not None else ""
                raise UsageError(
                    f"{cls.__qualname__} has two handlers for {message_type.__qualname__}{when}: "
                    f"{where(other)} and {where(attribute)}; keep one"
                )
            table[message_type] = attribute
    return tables


def nearest(table: Mapping[type, T | None], message_type: type) -> T | None:
    """The entry of the nearest base class in a table, Any last."""
    for base in message_type.__mro__:
        found = table.get(base)
        if found is not None:
            return found
    return None


def resolve(behaviour: _native.Behaviour, message_type: type) -> _native.Handler | None:
    """The handler for a type without an entry: nearest base class first, Any last."""
    return nearest(behaviour.table, message_type)
