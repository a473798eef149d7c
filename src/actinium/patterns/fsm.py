"""Finite state machines: an actor that is always in one of its named states.

A state is a table of handlers (``@ac.on(state=...)``); a handler says where to go by what it
returns. The machine moves after the handler has ended, in one step between two messages: exit
hook, new state, timeout, entry hook, notice to subscribers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, ClassVar, Literal, TypeVar

from actinium.core import Actor, ActorEvent, Message
from actinium.core.handler import COROUTINE, kind_of, nearest, where
from actinium.core.literal import calls
from actinium.core.states import become
from actinium.errors import UsageError

from . import diagram

F = TypeVar("F", bound=Callable[..., Any])

_TIMER = "ac.state"
_KEEP: Any = object()


class StateTimeout(Message, frozen=True):
    """The machine has been in ``state`` for the time given by ``state_timeout``."""

    state: str


class Transition(ActorEvent, frozen=True):
    """A machine has moved; published on ``system.events``.

    ``target`` is None when it ended. ``data`` is what the machine had then.
    """

    source: str
    target: str | None
    data: Any


class Move:
    """What a handler returns: where to go, and what to answer."""

    __slots__ = ("data", "kind", "reply", "state", "timeout")

    def __init__(
        self,
        kind: Literal["goto", "stay", "end"],
        state: str | None,
        data: Any,
        reply: Any,
        timeout: float | None,
    ) -> None:
        self.kind = kind
        self.state = state
        self.data = data
        self.reply = reply
        self.timeout = timeout


class FSM(Actor):
    """A state machine: ``class Door(ac.FSM, initial="closed")``.

    Class keywords: ``initial``, the first state; ``states``, the names of those that have no
    handler of their own; ``state_timeout``, seconds by state, after which an uninterrupted stay
    brings the message ``ac.StateTimeout``. Handlers return ``self.goto(...)``, ``self.stay(...)``
    or ``self.end()``; any other value is an answer and the machine stays. ``self.data`` is yours,
    None at first.

    >>> class Door(FSM, initial="closed", state_timeout={"open": 5.0}):
    ...     @on(state="closed")
    ...     def push(self, m: Push) -> Move: return self.goto("open")
    ...     @on(state="open")
    ...     def late(self, m: StateTimeout) -> Move: return self.goto("closed")
    """

    _timeouts: ClassVar[Mapping[str, float]] = {}
    _hooks: ClassVar[dict[tuple[str, str], Callable[..., Any]]] = {}
    _moves_itself = True
    _begun = False
    data: Any = None

    def __init_subclass__(
        cls,
        *,
        state_timeout: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if state_timeout is not None:
            cls._timeouts = {**cls._timeouts, **state_timeout}
        cls._hooks = _hooks_of(cls)
        initial = kwargs.get("initial") or cls._initial
        if initial is None:
            raise UsageError(f"{cls.__qualname__} has no first state: write initial='...'")
        if initial in cls._timeouts or ("enter", initial) in cls._hooks:
            cls.started = _beginning(cls.started)  # type: ignore[method-assign]
        super().__init_subclass__(**kwargs)
        _check(cls)

    # -- what handlers return

    def goto(
        self, state: str, data: Any = _KEEP, *, reply: Any = None, timeout: float | None = None
    ) -> Move:
        """Leaves this state for another, or enters it anew.

        ``data`` replaces ``self.data``; ``reply`` answers an ask; ``timeout`` is for this stay
        only. Raises UsageError for a state the machine does not have.
        """
        if state not in self._states:
            raise UsageError(f"self.goto({state!r}): {_known(type(self))}")
        if timeout is not None and timeout <= 0:
            raise UsageError(f"goto() needs a timeout above 0 seconds, got {timeout!r}")
        return Move("goto", state, data, reply, timeout)

    def stay(self, data: Any = _KEEP, *, reply: Any = None) -> Move:
        """Remains in this state; its timeout goes on."""
        return Move("stay", None, data, reply, None)

    def end(self, *, reply: Any = None) -> Move:
        """Leaves the last state; the actor stops."""
        return Move("end", None, _KEEP, reply, None)

    @property
    def state(self) -> str:
        """The name of the state it is in."""
        found: str = self.ctx.state  # type: ignore[assignment]  # a machine is always in one
        return found

    # -- hooks

    @staticmethod
    def enter(*states: str) -> Callable[[F], F]:
        """Makes a ``def`` method run whenever one of the states is entered, the first too."""
        return _hook("enter", states)

    @staticmethod
    def exit(*states: str) -> Callable[[F], F]:
        """Makes a ``def`` method run whenever one of the states is left."""
        return _hook("exit", states)

    # -- what can be read off the class

    @classmethod
    def diagram(cls) -> str:
        """The machine as a Mermaid state diagram, as far as it is written literally."""
        return diagram.mermaid(cls)

    @classmethod
    def unreachable(cls) -> tuple[str, ...]:
        """States that no way leads to; empty too where a move is computed at run time."""
        return diagram.unreachable(cls)

    # -- inside

    @classmethod
    def _wrap(cls, fn: Callable[..., Any]) -> Callable[..., Any]:
        if kind_of(fn) == COROUTINE:

            @wraps(fn)
            async def later(self: FSM, message: Any) -> Any:
                outcome = await fn(self, message)
                return self._move(outcome) if type(outcome) is Move else outcome

            return later

        @wraps(fn)
        def now(self: FSM, message: Any) -> Any:
            outcome = fn(self, message)
            return self._move(outcome) if type(outcome) is Move else outcome

        return now

    def _move(self, move: Move) -> Any:
        if move.kind != "stay":
            self._leave()
        if move.data is not _KEEP:
            self.data = move.data
        if move.kind == "goto":
            source, target = self.state, move.state
            assert target is not None
            become(self.ctx.self_ref, target, push=False)
            self._enter(target, move.timeout)
            self._tell(source, target)
        elif move.kind == "end":
            self._tell(self.state, None)
            self.ctx.stop()
        return move.reply

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._enter(self.state, None)

    def _enter(self, state: str, timeout: float | None) -> None:
        seconds = timeout if timeout is not None else self._timeouts.get(state)
        if seconds is not None:
            self.ctx.schedule(seconds, StateTimeout(state), name=_TIMER)
        self._run_hook("enter", state)

    def _leave(self) -> None:
        self.ctx.cancel(_TIMER)  # nor does one that waits in the mailbox come any more (TM-2)
        self._run_hook("exit", self.state)

    def _run_hook(self, kind: str, state: str) -> None:
        hook = self._hooks.get((kind, state))
        if hook is not None and isinstance(hook(self), Move):
            raise UsageError(
                f"{where(hook)}: a hook cannot move the machine; "
                "tell self.ctx.self_ref a message whose handler does"
            )

    def _tell(self, source: str, target: str | None) -> None:
        self.ctx.system.events.emit(Transition, self.ctx.self_ref, source, target, self.data)


def _hook(kind: str, states: tuple[str, ...]) -> Callable[[F], F]:
    def mark(fn: F) -> F:
        if not inspect.isfunction(fn) or inspect.iscoroutinefunction(fn):
            raise UsageError(f"ac.FSM.{kind}() belongs on a `def` method, got {fn!r}")
        if not states:
            raise UsageError(f"{where(fn)}: name the states, as in @ac.FSM.{kind}('open')")
        fn.__actinium_hook__ = (kind, states)  # type: ignore[attr-defined]
        return fn

    return mark


def _hooks_of(cls: type[FSM]) -> dict[tuple[str, str], Callable[..., Any]]:
    found: dict[tuple[str, str], Callable[..., Any]] = {}
    for base in reversed(cls.__mro__):
        own: dict[tuple[str, str], Callable[..., Any]] = {}
        for fn in vars(base).values():
            kind, states = getattr(fn, "__actinium_hook__", ("", ()))
            for state in states:
                if (kind, state) in own:
                    raise UsageError(
                        f"{cls.__qualname__} has two {kind} hooks for {state!r}: "
                        f"{where(own[kind, state])} and {where(fn)}; keep one"
                    )
                own[kind, state] = fn
        found.update(own)
    return found


def _beginning(started: Callable[..., Any]) -> Callable[..., Any]:
    """The hook ``started``, followed by the entry into the first state."""

    async def then(self: FSM, outcome: Any) -> None:
        await outcome
        self._begin()

    @wraps(started)
    def start(self: FSM) -> Any:
        outcome = started(self)
        if inspect.isawaitable(outcome):
            return then(self, outcome)
        self._begin()
        return None

    return start


def _known(cls: type[FSM]) -> str:
    return f"{cls.__qualname__} has the states {', '.join(sorted(diagram.states_of(cls)))}"


def _check(cls: type[FSM]) -> None:
    states = diagram.states_of(cls)
    named: Iterable[tuple[str, str]] = [
        *((f"@ac.FSM.{kind}", state) for kind, state in cls._hooks),
        *(("state_timeout", state) for state in cls._timeouts),
    ]
    for place, state in named:
        if state not in states:
            raise UsageError(f"{cls.__qualname__}: {place} names {state!r}; {_known(cls)}")
    for state, seconds in cls._timeouts.items():
        if seconds <= 0:
            raise UsageError(
                f"{cls.__qualname__}: state_timeout needs seconds above 0, got {seconds!r} "
                f"for {state!r}"
            )
        table = {**cls._handlers, **cls._state_handlers[state]}
        if nearest(table, StateTimeout) is None:
            raise UsageError(
                f"{cls.__qualname__} has a timeout for {state!r} and no handler for it; write "
                f"`@ac.on(state={state!r}) def late(self, m: ac.StateTimeout)`"
            )
    for fn in vars(cls).values():
        for call in calls(fn, "goto", ("self",)) if inspect.isfunction(fn) else ():
            if call.name is not None and call.name not in states:
                raise UsageError(
                    f"{where(fn)}: line {call.line} goes to {call.name!r}; {_known(cls)}"
                )
    if cls._concurrent > 1 or any(
        handler.concurrent > 1 for behaviour in cls._states.values()
        for handler in behaviour.table.values() if handler is not None
    ):  # fmt: skip
        raise UsageError(
            f"{cls.__qualname__} takes several messages at once: which state is it in then? "
            "Leave concurrent= out"
        )
