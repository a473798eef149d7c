"""A message that was not taken: what its sender reads, and what its asker gets."""

from __future__ import annotations

from typing import Any

from actinium import _native
from actinium.errors import (
    ActiniumError,
    ActorStopped,
    MailboxFull,
    MemoryLimit,
    MessageTooLarge,
    NotAccepted,
    Quarantined,
    RateExceeded,
)

from .extra import extra_of
from .put import CODES, Put

_TAKEN = (_native.FULL_DROP_OLD, _native.FULL_DROP_LOW)  # another message had to go


def quarantined_for(cell: _native.Cell) -> float:
    """Seconds until an actor may be back from its quarantine."""
    quarantine = extra_of(cell).quarantine
    return max(0.0, quarantine.until - cell.core.now()) if quarantine is not None else 0.0


def put_for(cell: _native.Cell, sender: Any, code: int) -> Put:
    """What ``tell`` returns for a refusal of the native core."""
    if code == _native.HELD:
        wait = quarantined_for(cell)
        return Put(
            ok=False, code="quarantined", depth=cell.depth, capacity=cell.capacity, retry_after=wait
        )
    waits = code not in (_native.CLOSED, _native.NOT_ACCEPTED, _native.TOO_LARGE)
    return Put(
        ok=code in _TAKEN,
        code=CODES[code],
        depth=cell.depth,
        capacity=cell.capacity,
        pressure=cell.pressure()[1],
        retry_after=cell.retry_after(code, sender) if waits else 0.0,
    )


def refusal_error(cell: Any, put: Put) -> ActiniumError:
    """The same as an error, for whoever waits for an answer."""
    path, limits = cell.path, cell.limits
    error: ActiniumError
    match put.code:
        case "closed":
            error = ActorStopped(f"{path} has stopped")
        case "not_accepted":
            error = NotAccepted(f"{path} does not accept this message from this sender")
        case "too_large":
            most = limits.max_size or limits.max_bytes
            error = MessageTooLarge(f"a message to {path} may hold at most {most} bytes")
        case "rate_limited":
            error = RateExceeded(
                f"{path} takes no more messages now; again in {put.retry_after:.3g} s"
            )
        case "memory_limit":
            error = MemoryLimit(
                f"{path} takes no payload now: the system is at its memory limit "
                f"({cell.core.memory()[0]} bytes)"
            )
        case "quarantined":
            error = Quarantined(f"{path} is in quarantine, for {put.retry_after:.3g} s more")
        case _:
            most = f" and {limits.max_bytes} bytes" if limits.max_bytes else ""
            error = MailboxFull(f"the mailbox of {path} is full ({put.capacity} messages{most})")
    error.retry_after = put.retry_after or None
    return error


def gave_up(cell: Any, put: Put, seconds: float) -> ActiniumError:
    """The error of a sender that has waited so long for a message to be taken."""
    error = refusal_error(cell, put)
    if isinstance(error, MailboxFull):
        error = MailboxFull(
            f"{cell.path} had no room for {seconds:g} s "
            f"({put.depth} of {put.capacity} messages wait)"
        )
        error.retry_after = put.retry_after or None
    return error
