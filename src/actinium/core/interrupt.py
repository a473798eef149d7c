"""Ending a handler that is under way: cancel it, and let go of it if it does not end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .extra import extra_of

if TYPE_CHECKING:
    from .extra import Extra
    from .ref import LocalRef

_log = logging.getLogger("actinium.supervision")

GRACE_SECONDS = 5.0
"""How long a cancelled handler may take to end before its actor goes on without it."""


def interrupt(cell: LocalRef[Any]) -> None:
    """Cancels the handlers of an actor that await something.

    One that swallows its cancellation is abandoned after a while: it runs on for nobody, and
    its actor stops or restarts. A ``def`` handler cannot be interrupted, nor does it await.
    """
    extra = extra_of(cell)
    if cell.cancel_running() and extra.grace is None:
        extra.grace = cell.core.schedule(GRACE_SECONDS, lambda: _abandon(cell))


def ended(extra: Extra) -> None:
    """No handler is under way any more."""
    if extra.grace is not None:
        extra.grace.cancel()
        extra.grace = None


def _abandon(cell: LocalRef[Any]) -> None:
    extra_of(cell).grace = None
    if cell.stopped_flag:
        return
    count = cell.abandon()
    if count:
        _log.error(
            "%s: %d handler(s) ignored their cancellation for %g s and were abandoned",
            cell.path, count, GRACE_SECONDS,
        )  # fmt: skip
