"""Telling senders that a mailbox fills up, and that it has room again (MB-4).

The native core knows how full a mailbox is; here stands who was told what, and when. Nothing of
it exists until a sender that wants to know meets pressure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from actinium import _native

from .budget import LEVELS, MemoryBudget
from .events.kinds import PressureEvent
from .extra import extra_of
from .message import Message
from .put import Put

if TYPE_CHECKING:
    from .events.stream import Events
    from .extra import Extra
    from .ref import LocalRef

State = Literal["normal", "soft", "hard", "recovering"]
_STATES: tuple[State, ...] = ("normal", "soft", "hard", "recovering")

SIGNAL_SECONDS = 0.1
"""A sender hears of one mailbox at most this often."""


class Pressure(Message, frozen=True):
    """A mailbox this actor sends to has come under pressure, or out of it.

    Comes to senders that handle it, and to no others: on the change of ``state``, at most every
    100 ms per mailbox and sender. ``soft``: the high mark is reached, go slower. ``hard``:
    full, messages are refused. ``recovering``: no longer full. ``normal``: down to the low mark.
    ``depth`` and ``capacity`` are in messages; after ``retry_after`` seconds the mailbox is at
    its low mark if it goes on to drain as it does. ``reason`` is what is short: ``items``,
    ``bytes`` or ``memory``. ``seq`` counts the signals of one mailbox to one sender.
    """

    target: Any
    state: State
    depth: int
    capacity: int
    retry_after: float
    seq: int
    reason: Literal["items", "bytes", "memory"] = "items"


class _Told:
    __slots__ = ("at", "seq", "state")

    def __init__(self) -> None:
        self.state: State = "normal"
        self.at = float("-inf")
        self.seq = 0


class Signals:
    """The senders that were told of one mailbox's pressure, and the event stream (``None``)."""

    __slots__ = ("_cell", "_emit", "_memory", "_timer", "_told")

    def __init__(self, cell: LocalRef[Any]) -> None:
        self._cell = cell
        self._told: dict[LocalRef[Any] | None, _Told] = {}
        self._emit: Callable[[str], object] | None = None
        self._timer: _native.Timer | None = None
        self._memory = False

    def sent(self, sender: LocalRef[Any] | None, *, memory: bool = False) -> None:
        """A message of this sender met pressure."""
        self._memory = memory
        self._tell(sender, self._told.setdefault(sender, _Told()))
        self._look_again()

    def observed(self, emit: Callable[[str], object]) -> None:
        """The pressure has changed, and ``emit`` publishes it."""
        self._emit = emit
        self._told.setdefault(None, _Told())
        self.changed()

    def changed(self, *, memory: bool = False) -> None:
        """The pressure has changed."""
        self._memory = memory
        for sender, told in list(self._told.items()):
            self._tell(sender, told)
        self._look_again()

    def _state(self) -> State:
        return "hard" if self._memory else _STATES[self._cell.pressure()[0]]

    def _tell(self, sender: LocalRef[Any] | None, told: _Told) -> None:
        state, now = self._state(), self._cell.core.now()
        if told.state == state or now < told.at + SIGNAL_SECONDS:
            return
        told.state, told.at = state, now
        told.seq += 1
        if sender is not None:
            sender.deliver(self._signal(told))
        elif self._emit is not None:
            self._emit(state)

    def _signal(self, told: _Told) -> Pressure:
        cell = self._cell
        fill, depth, capacity = cell.pressure()[1], cell.depth, cell.capacity
        lack: Literal["items", "bytes", "memory"] = "items"
        if self._memory:
            lack = "memory"
        elif fill > depth / capacity:
            lack = "bytes"
        retry_after = 0.0
        if told.state != "normal":
            retry_after = cell.retry_after(_native.NO_MEMORY if self._memory else 0, None)
        return Pressure(
            target=cell, state=told.state, depth=depth, capacity=capacity,
            retry_after=retry_after, seq=told.seq, reason=lack,
        )  # fmt: skip

    def _look_again(self) -> None:
        """Sees to what may not be told yet, and forgets to whom nothing is owed."""
        state, now = self._state(), self._cell.core.now()
        due: float | None = None
        for sender, told in list(self._told.items()):
            free = told.at + SIGNAL_SECONDS
            if sender is not None and sender.stopped_flag:
                del self._told[sender]
            elif told.state == state and (state != "normal" or now < free):
                if state == "normal":  # until then it might be told too often, if forgotten
                    due = free if due is None else min(due, free)
            elif told.state == state:
                del self._told[sender]
            else:
                due = free if due is None else min(due, free)
        if due is not None and self._timer is None and not self._cell.stopped_flag:
            delay = max(due - now, 0.0) + 1e-6
            self._timer = self._cell.core.schedule(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.changed(memory=self._memory)

    def __bool__(self) -> bool:
        return bool(self._told)


def wants(sender: LocalRef[Any] | None) -> TypeGuard[LocalRef[Any]]:
    """Whether a sender handles ``ac.Pressure`` by that name."""
    return sender is not None and Pressure in sender.cls._handlers


def signals_of(cell: LocalRef[Any]) -> Signals:
    """The signals of a mailbox, made now if nobody was told before."""
    extra = extra_of(cell)
    if extra.signals is None:
        extra.signals = Signals(cell)
    return extra.signals


class PressureHooks:
    """The hooks of one core about pressure."""

    def __init__(self, events: Events, memory: MemoryBudget) -> None:
        self._events = events
        self._memory = memory
        self._short: dict[LocalRef[Any], None] = {}  # whose senders were told of lacking memory

    def pressed(self, cell: LocalRef[Any], sender: LocalRef[Any] | None, overflowed: bool) -> Put:
        """A message was taken, and its sender should go slower."""
        if wants(sender):
            signals_of(cell).sent(sender)
        return Put(
            ok=True,
            code="overflow" if overflowed else "accepted",
            depth=cell.depth,
            capacity=cell.capacity,
            pressure=cell.pressure()[1],
            retry_after=cell.retry_after(0, None),
        )

    def shifted(self, cell: LocalRef[Any]) -> None:
        """A mailbox changed its state of pressure."""
        if self._events.active and self._events.wants(PressureEvent):
            signals_of(cell).observed(lambda state: self._emit(cell, state))
            return
        extra: Extra | None = cell.extra
        if extra is not None and extra.signals is not None:
            extra.signals.changed()

    def _emit(self, cell: LocalRef[Any], state: str) -> None:
        self._events.emit(PressureEvent, cell, state, cell.depth, cell.capacity)

    def short(self, cell: LocalRef[Any], sender: LocalRef[Any]) -> None:
        """A message was refused for lack of memory."""
        self._short[cell] = None
        signals_of(cell).sent(sender, memory=True)

    def memory(self, level: int) -> None:
        """The memory in use crossed a level."""
        self._memory.changed(LEVELS[level])
        if level < LEVELS.index("critical"):
            cells, self._short = self._short, {}
            for cell in cells:
                signals_of(cell).changed()
