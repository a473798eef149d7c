"""Handler tables by state: which of a class's handlers take messages now.

A table is a native behaviour of the same class; becoming is one pointer changed in the actor's
cell. An actor that never becomes anything pays nothing, neither time nor memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actinium import _native
from actinium.errors import UsageError

from .extra import Extra, extra_of
from .handler import nearest, where
from .literal import calls

if TYPE_CHECKING:
    from .actor import Actor
    from .ref import LocalRef

DEEPEST = 256
"""How many states may be pushed on one another."""

Table = dict[type, Callable[..., Any]]


class Resolver:
    """Finds the handler for a type in one state: the state's own first, then those of all."""

    def __init__(
        self, own: dict[type, _native.Handler], common: dict[type, _native.Handler]
    ) -> None:
        self._own = own
        self._common = common

    def __call__(self, behaviour: _native.Behaviour, message_type: type) -> _native.Handler | None:
        found = nearest(self._own, message_type)
        return found if found is not None else nearest(self._common, message_type)


def check_names(cls: type[Actor]) -> None:
    """Refuses a class that becomes, literally, a state it does not have."""
    for fn in vars(cls).values():
        if not hasattr(fn, "__code__"):
            continue
        for call in calls(fn, "become", ("ctx",)):
            if call.name is not None and call.name not in cls._states:
                raise UsageError(
                    f"{where(fn)}: line {call.line} becomes {call.name!r}; {_known(cls)}"
                )


def _known(cls: type[Actor]) -> str:
    names = [name for name in cls._states if name is not None]
    if not names:
        return f"{cls.__qualname__} has no states: mark handlers with @ac.on(state=...)"
    return f"{cls.__qualname__} has the states {', '.join(sorted(names))}"


def state_of(cell: LocalRef[Any]) -> str | None:
    """The state whose handlers take messages now; None for those without a state."""
    extra: Extra | None = cell.extra
    cls: type[Actor] = cell.cls
    return extra.states[-1] if extra is not None and extra.states else cls._initial


def table_of(cell: LocalRef[Any]) -> Table:
    """What is handled now, as message types and methods."""
    cls: type[Actor] = cell.cls
    state = state_of(cell)
    return {**cls._handlers, **(cls._state_handlers[state] if state is not None else {})}


def become(cell: LocalRef[Any], name: str, *, push: bool) -> None:
    """Makes the handlers of a state take the next messages."""
    cls: type[Actor] = cell.cls
    states = cell.behaviour.states or {}
    behaviour = states.get(name)
    if behaviour is None or name is None:
        raise UsageError(f"ctx.become({name!r}): {_known(cls)}")
    extra = extra_of(cell)
    stack = extra.states if extra.states is not None else [cls._initial]
    if not push:
        stack[-1] = name
    elif len(stack) <= DEEPEST:
        stack.append(name)
    else:
        raise UsageError(
            f"ctx.become({name!r}, push=True): {DEEPEST} states lie on one another already; "
            "call ctx.unbecome(), or leave push=True out"
        )
    extra.states = stack
    cell.set_behaviour(behaviour)


def unbecome(cell: LocalRef[Any]) -> None:
    """Goes back to the state below the last one pushed, or to the first of all."""
    extra = extra_of(cell)
    stack, states = extra.states, cell.behaviour.states
    if stack is not None and len(stack) > 1 and states is not None:
        stack.pop()
        cell.set_behaviour(states[stack[-1]])
    else:
        reset(cell, extra)


def reset(cell: LocalRef[Any], extra: Extra) -> None:
    """The state an instance begins with."""
    states = cell.behaviour.states
    if extra.states is not None and states is not None:
        extra.states = None
        cell.set_behaviour(states[cell.cls._initial])
