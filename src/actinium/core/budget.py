"""What waiting payload takes of memory, and what happens near the limit."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from actinium import _native
from actinium.errors import UsageError

Level = Literal["normal", "elevated", "high", "critical"]
LEVELS: tuple[Level, ...] = ("normal", "elevated", "high", "critical")

_log = logging.getLogger("actinium.memory")


class MemoryReport(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes by region, now.

    ``payload``: buffers and texts of messages in mailboxes (counted with a memory limit, and for
    mailboxes with ``max_bytes``); ``regions``: what others have accounted for by name, ``streams``
    among them; ``cells``: what actors and mailboxes themselves take of the native allocator.
    ``used``, the sum of payload and regions, is what the ``limit`` is for.
    """

    limit: int
    used: int
    level: Level
    payload: int
    cells: int
    regions: dict[str, int]


class MemoryBudget:
    """The memory of one system: its bytes by region, its level, and actions on a change."""

    def __init__(self, core: _native.Core) -> None:
        self._core = core
        self._regions: Counter[str] = Counter()
        self._actions: list[Callable[[Level], Any]] = []

    @property
    def level(self) -> Level:
        """``normal``, from 60 % of the limit ``elevated``, from 80 % ``high``, from 95 %
        ``critical``; each is left 5 % below where it begins."""
        return LEVELS[self._core.memory()[3]]

    def report(self) -> MemoryReport:
        """The bytes of each region."""
        limit, payload, others, level = self._core.memory()
        return MemoryReport(
            limit=limit,
            used=payload + others,
            level=LEVELS[level],
            payload=payload,
            cells=_native.memory()["regions"]["cells"][1],
            regions={**self._regions, "streams": others - sum(self._regions.values())},
        )

    def account(self, region: str, change: int) -> None:
        """Counts bytes that a part of the program holds, or no longer holds (below 0).

        Raises UsageError when a region would be below 0 bytes.
        """
        if self._regions[region] + change < 0:
            raise UsageError(
                f"region {region!r} holds {self._regions[region]} bytes, it cannot give back "
                f"{-change}"
            )
        self._regions[region] += change
        self._core.account(change)

    def on_change(self, action: Callable[[Level], Any]) -> None:
        """Calls ``action(level)`` at each change of the level: the place to shrink caches."""
        self._actions.append(action)

    def changed(self, level: Level) -> None:
        """The level has changed: logs it and runs the actions."""
        _log.log(
            logging.WARNING if level in ("high", "critical") else logging.INFO,
            "memory.pressure: %s, %d of %d bytes", level, sum(self._core.memory()[1:3]),
            self._core.memory()[0],
        )  # fmt: skip
        for action in self._actions:
            try:
                action(level)
            except Exception:  # noqa: BLE001 - one action must not keep the others from running
                _log.exception("memory.pressure: the action %r failed", action)
