"""A future that says what it waits for, so that circles of asks are found through it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any


class Join(asyncio.Future[None]):
    """Resolved by whoever made it; ``_children`` are the replies or refs it waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, children: Sequence[Any]) -> None:
        super().__init__(loop=loop)
        self._children = children
