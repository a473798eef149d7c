"""A message on its way to another process, with all that it takes to give it back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from actinium.core.put import Put

    from .way import Way

NORMAL = 2
"""The lane of messages without a priority: see ``core.priority.rank_of``."""


class Letter(NamedTuple):
    """``extra`` is the Reply of an ask, the Envelope of a stream or of a tell with a deadline;
    ``offer`` is done when the mailbox took the message, for a ``send``; ``lane`` its priority."""

    way: Way
    cell: Any
    msg: Any
    sender: Any
    extra: Any
    offer: asyncio.Future[Put] | None = None
    lane: int = NORMAL
