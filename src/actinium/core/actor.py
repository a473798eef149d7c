"""The base class of actors."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from actinium import _native
from actinium.errors import UsageError

from .handler import GENERATOR, kind_of, own_handlers, resolve, where
from .mailbox import Mailbox
from .supervision import OneForOne

if TYPE_CHECKING:
    from .context import Context

_DEFAULT_MAILBOX = Mailbox()


class Actor(_native.ActorBase):
    """A plain class whose ``@ac.on`` methods take messages, one at a time.

    Class keywords: ``mailbox`` (its bound and policy), ``concurrent`` (how many ``async``
    handlers may be under way at once; 1), ``supervise`` (what it does about failures of its
    children), ``passivate`` (seconds of idleness after which an entity leaves memory).

    >>> class Counter(Actor, mailbox=Mailbox(capacity=10_000)):
    ...     def __init__(self) -> None:
    ...         self.n = 0
    ...     @on
    ...     def add(self, m: Add) -> int:
    ...         self.n += m.n
    ...         return self.n
    """

    __slots__ = ()

    __actinium_guardian__: ClassVar[bool] = False

    _behaviour: ClassVar[_native.Behaviour]
    _mailbox: ClassVar[Mailbox] = _DEFAULT_MAILBOX
    _supervise: ClassVar[OneForOne | None] = None
    _concurrent: ClassVar[int] = 1
    _passivate: ClassVar[float | None] = None
    _needs_store: ClassVar[bool] = False
    _handlers: ClassVar[dict[type, Callable[..., Any]]] = {}

    if TYPE_CHECKING:

        @property
        def ctx(self) -> Context:
            """What this actor can do within the system."""

    def __init_subclass__(
        cls,
        *,
        mailbox: Mailbox | None = None,
        supervise: OneForOne | None = None,
        concurrent: int | None = None,
        passivate: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if mailbox is not None:
            cls._mailbox = mailbox
        if supervise is not None:
            cls._supervise = supervise
        if concurrent is not None:
            if not 1 <= concurrent <= 65535:
                raise UsageError(f"concurrent must be 1..65535, got {concurrent!r}")
            cls._concurrent = concurrent
        if passivate is not None:
            if passivate <= 0:
                raise UsageError(f"passivate must be above 0 seconds, got {passivate!r}")
            cls._passivate = passivate
        if cls._passivate is not None and inspect.iscoroutinefunction(cls.stopping):
            raise UsageError(
                f"{where(cls.stopping)}: an actor with passivate= leaves memory in one step; "
                "write `def stopping`, and store state in the handlers"
            )
        cls._handlers = _merge(cls)
        cls._behaviour = make_behaviour(cls)

    def started(self) -> Any:
        """Runs before the first message, and again after each restart; may be ``async``."""

    def stopping(self, reason: str) -> Any:
        """Runs once the last message has been handled; may be ``async``."""

    def restarting(self, failure: BaseException) -> Any:
        """Runs in the failed instance before a new one takes its place; may be ``async``."""

    @classmethod
    def _wrap(cls, fn: Callable[..., Any]) -> Callable[..., Any]:
        """What the runtime calls for a handler; a place for subclasses of the library."""
        return fn


def _merge(cls: type[Actor]) -> dict[type, Callable[..., Any]]:
    """Handlers of the class and its bases: a subclass overrides by type or by method name."""
    table: dict[type, Callable[..., Any]] = {}
    for base in reversed(cls.__mro__):
        if not (isinstance(base, type) and issubclass(base, _native.ActorBase)):
            continue
        replaced = vars(base)
        for message_type, fn in list(table.items()):
            if fn.__name__ in replaced and replaced[fn.__name__] is not fn:
                del table[message_type]
        table.update(own_handlers(base))
    return table


def make_behaviour(
    cls: type[Actor], around: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
) -> _native.Behaviour:
    """What the core knows of a class; ``around`` is put about each of its handlers."""
    handlers: dict[Callable[..., Any], _native.Handler] = {}
    table: dict[type, _native.Handler | None] = {}
    for message_type, fn in cls._handlers.items():
        if fn not in handlers:
            spec = fn.__actinium_on__  # type: ignore[attr-defined]
            kind = kind_of(fn)
            called = fn if kind == GENERATOR else cls._wrap(fn)
            handlers[fn] = _native.Handler(
                around(called) if around is not None else called,
                kind_of(called), spec.raises or None, spec.cancellable, fn.__qualname__,
                spec.batch,
            )  # fmt: skip
        table[message_type] = handlers[fn]
    box = cls._mailbox
    return _native.Behaviour(
        cls,
        table,
        resolve,
        box.capacity,
        box.policy,
        box.lanes,
        cls._concurrent,
        cls.started is not Actor.started,
        cls.stopping is not Actor.stopping,
    )
