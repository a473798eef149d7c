"""What happens when a connection breaks though both processes live.

The process that made the connection makes it again: at once, then with growing pauses. Nothing
is lost, doubled or out of order (see ``session``). If the other process cannot be reached for
``limit`` seconds, or says what no process of this system says, ``give_up`` is called with the
reason; what is to be done then is the first process's to decide.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from .hub import Hub, Refused
from .link import Link

_log = logging.getLogger("actinium.cluster")

PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between two tries: from the one, doubling up to the other, drawn from 0 up to that."""


class Repair:
    """Connects links, and connects them again."""

    def __init__(self, hub: Hub, limit: float, give_up: Callable[[Link, str], None]) -> None:
        self._hub = hub
        self._limit = limit
        self.give_up = give_up
        self._tasks: set[asyncio.Task[None]] = set()

    def connect_soon(self, link: Link, wanted: Callable[[], bool]) -> None:
        """Connects in the background, as long as that is wanted."""
        task = asyncio.get_running_loop().create_task(
            self._connect(link, wanted), name=f"actinium.link.{link.index}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cut(self, link: Link) -> None:
        """A connection broke; the side that did not make it waits for the other one."""
        if link.dialled:
            self.connect_soon(link, lambda: link.up)

    async def _connect(self, link: Link, wanted: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        began, pause = loop.time(), PAUSE
        while wanted():
            try:
                await self._hub.connect(link)
                return
            except Refused as error:
                why = str(error)
                break
            except OSError as error:
                why = f"it cannot be reached: {error}"
            if loop.time() - began >= self._limit:
                break
            await asyncio.sleep(random.uniform(0, pause))
            pause = min(LONGEST_PAUSE, 2 * pause)
        if wanted():
            self.give_up(link, why)

    async def close(self) -> None:
        """Ends all tries."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
