"""What a state machine can do, read off its class: the moves that are written literally."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from actinium.core.literal import calls

if TYPE_CHECKING:
    from .fsm import FSM


class Edge(NamedTuple):
    """One move: ``target`` is None for the end, ``?`` where it is computed at run time."""

    source: str
    target: str | None
    label: str


UNKNOWN = "?"


def states_of(cls: type[FSM]) -> set[str]:
    """The names of all states."""
    return {state for state in cls._states if state is not None}


def edges(cls: type[FSM]) -> list[Edge]:
    """All moves: of the handlers of each state, and of helpers, which may move any state."""
    found: dict[Edge, None] = {}
    handlers = {*cls._handlers.values()}
    for table in cls._state_handlers.values():
        handlers |= {*table.values()}
    helpers = [
        fn
        for name, fn in inspect.getmembers(cls, inspect.isfunction)
        if fn not in handlers and fn.__module__ != __package__ + ".fsm" and name != "started"
    ]
    for state in [*dict.fromkeys([cls._initial, *sorted(states_of(cls))])]:
        assert state is not None
        table = {**cls._handlers, **cls._state_handlers[state]}
        for message_type, fn in table.items():
            label = "any" if message_type is object else message_type.__qualname__.split(".")[-1]
            if label == "StateTimeout" and state in cls._timeouts:
                label = f"after {cls._timeouts[state]:g} s"
            for target in _targets(fn):
                found[Edge(state, target, label)] = None
        for fn in helpers:
            for target in _targets(fn):
                found[Edge(state, target, fn.__name__)] = None
    return [*found]


def _targets(fn: Callable[..., Any]) -> Iterator[str | None]:
    for call in calls(fn, "goto", ("self",)):
        yield call.name if call.name is not None else UNKNOWN
    for _ in calls(fn, "end", ("self",)):
        yield None


def unreachable(cls: type[FSM]) -> tuple[str, ...]:
    """States that no literal way leads to from the first; none where a way is computed."""
    ways = edges(cls)
    seen: set[str | None] = {cls._initial}
    while more := {e.target for e in ways if e.source in seen and e.target is not None} - seen:
        seen |= more
    if UNKNOWN in seen:
        return ()
    return tuple(sorted(states_of(cls) - seen))


def mermaid(cls: type[FSM]) -> str:
    """A ``stateDiagram-v2``; see https://mermaid.js.org/syntax/stateDiagram.html."""
    names: dict[str | None, str] = {None: "[*]"}
    lines = ["stateDiagram-v2"]
    ways = edges(cls)
    for n, state in enumerate(dict.fromkeys([cls._initial, *sorted(states_of(cls))])):
        assert state is not None
        names[state] = state if re.fullmatch(r"[A-Za-z_]\w*", state) else f"s{n}"
        if names[state] != state:
            text = state.replace('"', "'")
            lines.append(f'    state "{text}" as {names[state]}')
        elif not any(state in (e.source, e.target) for e in ways):
            lines.append(f"    {state}")
    lines.append(f"    [*] --> {names[cls._initial]}")
    for edge in ways:
        if edge.target == UNKNOWN:
            lines.append(f"    %% {edge.source}: {edge.label} goes to a computed state")
        else:
            lines.append(f"    {names[edge.source]} --> {names[edge.target]} : {edge.label}")
    return "\n".join(lines) + "\n"
