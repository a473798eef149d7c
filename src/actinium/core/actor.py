"""The base class of actors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from actinium import _native
from actinium.errors import UsageError

from .handler import GENERATOR, Spec, kind_of, own_handlers, resolve, where
from .mailbox import Mailbox
from .offload import in_thread
from .priority import Priority, rank_of
from .stash import LIMIT
from .states import Resolver, check_names
from .supervision import SupervisorStrategy

if TYPE_CHECKING:
    from .context import Context

_DEFAULT_MAILBOX = Mailbox()


class Actor(_native.ActorBase):
    """A plain class whose ``@ac.on`` methods take messages, one at a time.

    Class keywords: ``mailbox`` (its bound and policy), ``concurrent`` (how many ``async``
    handlers may be under way at once; 1), ``supervise`` (what it does about failures of its
    children), ``trap_exit`` (the abnormal end of a linked actor is a message, ``ac.Exited``, and
    no failure), ``priority`` (its rank among actors that are ready: critical, high, normal or low
    share by 8:4:2:1; normal), ``passivate`` (seconds of idleness after which an entity leaves
    memory), ``max_live`` (how many of its entities may be in memory), ``initial`` (the state a
    new instance is in; see ``ctx.become``), ``states`` (names of those that have no handler of
    their own), ``stash`` (messages it may set aside; 256).

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
    _supervise: ClassVar[SupervisorStrategy | None] = None
    _trap_exit: ClassVar[bool] = False
    _concurrent: ClassVar[int] = 1
    _rank: ClassVar[int] = rank_of("normal")
    _passivate: ClassVar[float | None] = None
    _max_live: ClassVar[int | None] = None
    _needs_store: ClassVar[bool] = False
    _stash: ClassVar[int] = LIMIT
    _initial: ClassVar[str | None] = None
    _moves_itself: ClassVar[bool] = False  # whether its state is a subclass's business alone
    _declared: ClassVar[tuple[str, ...]] = ()
    _states: ClassVar[dict[str | None, _native.Behaviour]]
    _handlers: ClassVar[dict[type, Callable[..., Any]]] = {}
    _state_handlers: ClassVar[dict[str, dict[type, Callable[..., Any]]]] = {}

    if TYPE_CHECKING:

        @property
        def ctx(self) -> Context:
            """What this actor can do within the system."""

    def __init_subclass__(
        cls,
        *,
        mailbox: Mailbox | None = None,
        supervise: SupervisorStrategy | None = None,
        trap_exit: bool | None = None,
        concurrent: int | None = None,
        priority: Priority | None = None,
        passivate: float | None = None,
        max_live: int | None = None,
        initial: str | None = None,
        states: Iterable[str] = (),
        stash: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if mailbox is not None:
            cls._mailbox = mailbox
        if supervise is not None:
            cls._supervise = supervise
        if trap_exit is not None:
            cls._trap_exit = trap_exit
        if concurrent is not None:
            if not 1 <= concurrent <= 65535:
                raise UsageError(f"concurrent must be 1..65535, got {concurrent!r}")
            cls._concurrent = concurrent
        if priority is not None:
            cls._rank = rank_of(priority)
        if passivate is not None:
            if passivate <= 0:
                raise UsageError(f"passivate must be above 0 seconds, got {passivate!r}")
            cls._passivate = passivate
        if max_live is not None:
            if max_live < 1:
                raise UsageError(f"max_live must be 1 or more entities, got {max_live!r}")
            cls._max_live = max_live
        how = "passivate=" if cls._passivate is not None else "max_live="
        lets_go = cls._passivate is not None or cls._max_live is not None
        if lets_go and inspect.iscoroutinefunction(cls.stopping):
            raise UsageError(
                f"{where(cls.stopping)}: an actor with {how} leaves memory in one step; "
                "write `def stopping`, and store state in the handlers"
            )
        if initial is not None:
            cls._initial = initial
        if stash is not None:
            if stash < 0:
                raise UsageError(f"stash must be 0 messages or more, got {stash!r}")
            cls._stash = stash
        cls._declared = (*cls._declared, *states)
        tables = _merge(cls)
        _check_threads(cls, tables)
        for state in cls._declared:
            tables.setdefault(state, {})
        cls._handlers = tables.pop(None, {})
        cls._state_handlers = {str(state): table for state, table in tables.items()}
        cls._states = make_behaviours(cls)
        if cls._initial not in cls._states:
            raise UsageError(
                f"{cls.__qualname__} begins in the state {cls._initial!r}, for which it has no "
                f"handler; mark one with @ac.on(state={cls._initial!r}), or name it in states="
            )
        cls._behaviour = cls._states[cls._initial]
        check_names(cls)

    def started(self) -> Any:
        """Runs before the first message, and again after each restart; may be ``async``."""

    def stopping(self, reason: str) -> Any:
        """Runs once the last message has been handled; may be ``async``."""

    def restarting(self, failure: BaseException) -> Any:
        """Runs in the failed instance before a new one takes its place; may be ``async``."""

    def restarted(self) -> Any:
        """Runs in a new instance after its ``started``, if it replaces one; may be ``async``."""

    @classmethod
    def _wrap(cls, fn: Callable[..., Any]) -> Callable[..., Any]:
        """What the runtime calls for a handler; a place for subclasses of the library."""
        return fn


Tables = dict[str | None, dict[type, Callable[..., Any]]]


def _merge(cls: type[Actor]) -> Tables:
    """Handlers of the class and its bases: a subclass overrides by type or by method name."""
    tables: Tables = {}
    for base in reversed(cls.__mro__):
        if not (isinstance(base, type) and issubclass(base, _native.ActorBase)):
            continue
        replaced = vars(base)
        for table in tables.values():
            for message_type, fn in list(table.items()):
                if fn.__name__ in replaced and replaced[fn.__name__] is not fn:
                    del table[message_type]
        for state, table in own_handlers(base).items():
            tables.setdefault(state, {}).update(table)
    return tables


def _check_threads(cls: type[Actor], tables: Tables) -> None:
    """Refuses handlers in threads beside others that may be under way (SC-1)."""
    handlers = [fn for table in tables.values() for fn in table.values()]
    specs: list[Spec] = [fn.__actinium_on__ for fn in handlers]  # type: ignore[attr-defined]
    if not any(spec.thread for spec in specs):
        return
    if cls._concurrent > 1 or any(spec.concurrent > 1 for spec in specs):
        raise UsageError(
            f"{cls.__qualname__} has a handler with thread=True, which must be alone with the "
            "actor's state, and concurrent= for others; make two classes"
        )


def make_behaviours(
    cls: type[Actor], around: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
) -> dict[str | None, _native.Behaviour]:
    """What the core knows of a class: the table of handlers without a state, and of each state.

    ``around`` is put about each handler.
    """
    handlers: dict[Callable[..., Any], _native.Handler] = {}

    def made(fn: Callable[..., Any]) -> _native.Handler:
        if fn not in handlers:
            spec: Spec = fn.__actinium_on__  # type: ignore[attr-defined]
            kind = kind_of(fn)
            inner = in_thread(fn) if spec.thread else fn
            called = fn if kind == GENERATOR else cls._wrap(inner)
            handlers[fn] = _native.Handler(
                around(called) if around is not None else called,
                kind_of(called),
                spec.raises or None,
                spec.cancellable,
                fn.__qualname__,
                spec.batch,
                spec.concurrent,
            )
        return handlers[fn]

    common = {message_type: made(fn) for message_type, fn in cls._handlers.items()}
    states = {
        state: {message_type: made(fn) for message_type, fn in table.items()}
        for state, table in cls._state_handlers.items()
    }
    mixed = any(handler.concurrent for handler in handlers.values())

    limits = cls._mailbox.limits()

    def behaviour(table: dict[type, Any], find: Callable[..., Any]) -> _native.Behaviour:
        return _native.Behaviour(
            cls,
            table,
            find,
            limits,
            cls._concurrent,
            cls.started is not Actor.started,
            cls.stopping is not Actor.stopping,
            mixed,
            cls._rank,
        )

    found: dict[str | None, _native.Behaviour] = {None: behaviour(dict(common), resolve)}
    for state, own in states.items():
        found[state] = behaviour(dict(own), Resolver(own, common))
    for one in found.values() if states else ():
        one.states = found
    return found
