"""Messages that reach no handler: their askers are told, and a dead letter keeps each."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from actinium import _native
from actinium.errors import (
    ActorRestarted,
    ActorStopped,
    AskCycle,
    AskTimeout,
    DeadlineExceeded,
    Unhandled,
)

from .deadletters import DeadLetters, Reason
from .handler import nearest
from .pressure import PressureHooks, signals_of, wants
from .put import Put
from .quarantine import Quarantines
from .ref import LocalRef
from .refusal import put_for, refusal_error
from .stash import holds
from .states import state_of, table_of
from .stream import Channel

if TYPE_CHECKING:
    from .actor import Actor
    from .extra import Extra

Cell = LocalRef[Any]

_REASONS: dict[int, Reason] = {
    _native.NOT_ACCEPTED: "not_accepted",
    _native.TOO_LARGE: "too_large",
    _native.RATE_LIMITED: "rate_limited",
    _native.NO_MEMORY: "memory_limit",
    _native.HELD: "quarantined",
}


def tell_asker(extra: Any, error: BaseException) -> bool:
    """Lets whoever waits for an answer know; False when nobody does."""
    if isinstance(extra, _native.Reply):
        if not extra.done():
            extra.reject(error)
        return True
    if isinstance(extra, _native.Envelope) and isinstance(extra.stream, Channel):
        extra.stream.fail(error)
        return True
    return False


def messages_of(msg: Any, extra: Any) -> Sequence[Any]:
    """The messages of an item: those left of a batch, or the one that it is."""
    if isinstance(extra, _native.Envelope) and extra.count:
        return list(msg[: extra.count])
    return (msg,)


def circle_of(names: Sequence[str]) -> AskCycle:
    """The error of an ask that would wait for itself; the names begin and end with the asker's."""
    return AskCycle(
        f"{' -> '.join(names)}: the ask would wait for itself; "
        "use tell, or give one of the classes or handlers concurrent=2"
    )


class Undelivered:
    """The hooks for what is refused, expired, unhandled, or left behind by the dead.

    ``count`` are the messages that had been accepted; ``forcing`` while a shutdown uses force.
    """

    def __init__(
        self, letters: DeadLetters, pressure: PressureHooks, quarantines: Quarantines
    ) -> None:
        self.letters = letters
        self.pressure = pressure
        self.quarantines = quarantines
        self.count = 0
        self.forcing = False

    def refused(self, cell: Cell, msg: Any, sender: Cell | None, extra: Any, code: int) -> Put:
        if code == _native.HELD:
            taken = self.quarantines.refused(cell, msg, sender, extra)
            if taken is not None:
                return taken
        put = put_for(cell, sender, code)
        if code not in (_native.CLOSED, _native.HELD) and wants(sender):
            if code == _native.NO_MEMORY:
                self.pressure.short(cell, sender)
            else:
                signals_of(cell).sent(sender)
        reason: Reason
        if code == _native.CLOSED:
            reason = "actor_stopped" if cell.stopped_flag else "mailbox_closed"
        else:
            reason = _REASONS.get(code, "mailbox_full")
        if tell_asker(extra, refusal_error(cell, put)):
            return put
        if cell.limits.count_only:
            self.letters.count(reason)
        else:  # to keep a payload that was refused for its memory would keep the memory
            meta = "memory was short" if code == _native.NO_MEMORY else ""
            self.letters.record(reason, cell, sender, msg, meta=meta)
        return put

    def record(
        self,
        reason: Reason,
        cell: Cell,
        msg: Any,
        sender: Cell | None,
        extra: Any,
        error: BaseException,
    ) -> None:
        """Ends an accepted message as a dead letter, and tells its asker."""
        tell_asker(extra, error)
        for one in messages_of(msg, extra):
            self.count += 1
            self.letters.record(reason, cell, sender, one, error)

    def unhandled(self, cell: Cell, msg: Any, sender: Cell | None, extra: Any) -> None:
        cls: type[Actor] = cell.cls
        table = table_of(cell)
        known = sorted(t.__qualname__ for t in table)
        handler = nearest(table, type(msg))
        if handler is not None:
            streams = inspect.isasyncgenfunction(handler)
            advice = (
                f"{handler.__qualname__} is a stream: use ref.stream(...)"
                if streams
                else f"{handler.__qualname__} is no stream: use ref.tell(...) or ref.ask(...)"
            )
        else:
            advice = f"it handles {', '.join(known) or 'nothing'}"
        state = state_of(cell)
        who = cls.__qualname__ + (f" in the state {state!r}" if state is not None else "")
        error = Unhandled(f"{who} cannot take a {type(msg).__qualname__}: {advice}")
        self.record("unhandled", cell, msg, sender, extra, error)

    def expired(self, cell: Cell, msg: Any, sender: Cell | None, extra: Any) -> None:
        error = DeadlineExceeded(f"the message to {cell.path} expired before it was handled")
        self.record("expired", cell, msg, sender, extra, error)

    def closed(self, cell: Cell, msg: Any, sender: Cell | None, extra: Any) -> None:
        if not cell.closed_flag:
            error: Exception = ActorRestarted(
                f"{cell.path} was restarted: its handler ignored its cancellation"
            )
            self.record("handler_failed", cell, msg, sender, extra, error)
            return
        known: Extra | None = cell.extra
        forced = known is not None and known.killed
        error = ActorStopped(f"{cell.path} stopped before it handled the message")
        reason: Reason = "drain_timeout" if self.forcing else "forced_stop"
        self.record(reason if forced else "actor_stopped", cell, msg, sender, extra, error)

    def timeout(self, reply: _native.Reply) -> Exception:
        path = reply.target.path
        if reply.inherited:
            return DeadlineExceeded(f"the deadline of the outer ask passed while asking {path}")
        if holds(reply.target, reply):
            return DeadlineExceeded(f"the deadline passed while {path} had the message stashed")
        return AskTimeout(f"{path} did not answer in time")

    def cycle(self, path: tuple[Cell, ...]) -> AskCycle:
        """``path`` begins and ends with the actor whose ask closed the circle."""
        return circle_of([cell.path for cell in path])
