"""Faults at named places: what a test arms, strikes by chance, and by a seed.

``Faults`` decides; the places themselves are in ``watch`` (mailboxes, handlers, timers, spawns),
``stores`` (the store) and, by ``actinium.base.faults``, in the code of the other layers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from actinium.base import faults as seam
from actinium.errors import StoreError, UsageError

from .events import shown
from .failure import InjectedFault

Kind = Literal["fail", "drop", "delay", "duplicate", "kill"]

POINTS: Mapping[str, tuple[Kind, ...]] = {
    "mailbox.put": ("fail", "drop", "delay", "duplicate", "kill"),
    "timer.fire": ("drop", "delay", "duplicate", "kill"),
    "handler.before": ("fail", "delay", "kill"),
    "handler.after": ("fail", "delay", "kill"),
    "spawn": ("fail",),
    "replay.step": ("fail",),
    "store.read": ("fail", "delay"),
    "store.write": ("fail", "delay"),
    "store.written": ("fail",),
    "link.send": ("fail", "drop", "delay", "duplicate", "kill"),
    "link.recv": ("drop", "delay", "duplicate", "kill"),
}
"""Every fault point, and what can happen there."""

Where = Callable[[str, Any], bool]


class Strike:
    """What strikes at one pass over a point; ``seconds`` is for delays."""

    __slots__ = ("error", "kind", "seconds")

    def __init__(self, kind: Kind, seconds: float, error: BaseException) -> None:
        self.kind = kind
        self.seconds = seconds
        self.error = error


class _Armed:
    """One point with its chances."""

    def __init__(
        self,
        chances: Mapping[Kind, float],
        seconds: tuple[float, float],
        seed: str,
        where: Where | None,
        times: int | None,
        error: BaseException | None,
    ) -> None:
        self.chances = chances
        self.total = sum(chances.values())
        self.seconds = seconds
        self.seed = seed
        self.random = random.Random(seed).random
        self.passes = 0
        self.where = where
        self.left = times
        self.error = error

    def draw(self) -> Kind | None:
        self.passes += 1
        at = self.random()
        if at >= self.total:
            return None
        for kind, chance in self.chances.items():
            if at < chance:
                return kind
            at -= chance
        return None

    def delay(self) -> float:
        """Seconds, by the number of this pass: the same whatever struck before."""
        low, high = self.seconds
        return low + (high - low) * random.Random(f"{self.seed} {self.passes}").random()


class Faults:
    """The fault points of one test, nothing armed at first. ``t.faults`` in a TestSystem.

    >>> t.faults.arm("mailbox.put", drop=0.2, seed=3)
    >>> t.faults.arm("store.write", fail=1.0, times=1, error=OSError("disk full"))

    ``struck`` counts what has struck, by point and kind.
    """

    def __init__(
        self,
        seed: int = 7,
        *,
        decide: Callable[[Any], Any] | None = None,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._seed = seed
        self._decide = decide
        self._log = log
        self._armed: dict[str, _Armed] = {}
        self.struck: Counter[tuple[str, str]] = Counter()
        self.on_change: list[Callable[[], None]] = []

    def arm(
        self,
        point: str,
        *,
        fail: float = 0.0,
        drop: float = 0.0,
        delay: float = 0.0,
        duplicate: float = 0.0,
        kill: float = 0.0,
        seconds: float | tuple[float, float] = (0.001, 0.1),
        seed: int | None = None,
        where: Where | None = None,
        times: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Arms a point anew: each kind with its probability from 0 to 1.

        ``seconds`` is how long a delay takes (a range to draw from); ``where(path, what)`` says
        whether a pass counts at all; ``times`` is how often it strikes at most; ``error`` is
        what ``fail`` raises in place of InjectedFault (of StoreError at the store). Raises
        UsageError for a point or kind that does not exist.
        """
        given = {"fail": fail, "drop": drop, "delay": delay, "duplicate": duplicate, "kill": kill}
        kinds = POINTS.get(point)
        if kinds is None:
            raise UsageError(f"unknown fault point {point!r}; use one of {', '.join(POINTS)}")
        chances: dict[Kind, float] = {k: given[k] for k in get_args(Kind) if given[k]}
        wrong = [kind for kind in chances if kind not in kinds]
        if wrong:
            raise UsageError(f"{point} cannot {wrong[0]}; it can {', '.join(kinds)}")
        if not chances or min(chances.values()) < 0 or sum(chances.values()) > 1.0 + 1e-9:
            raise UsageError(
                f"arm() needs chances above 0 that sum up to 1 at most, got {chances!r}; write "
                f'faults.arm("{point}", {kinds[0]}=0.1)'
            )
        span = seconds if isinstance(seconds, tuple) else (seconds, seconds)
        name = f"{point} {self._seed if seed is None else seed}"
        self._armed[point] = _Armed(chances, span, name, where, times, error)
        self._changed()

    def disarm(self, point: str | None = None) -> None:
        """Disarms one point, or all of them."""
        if point is None:
            self._armed.clear()
        else:
            self._armed.pop(point, None)
        self._changed()

    def _changed(self) -> None:
        if self._armed:
            seam.plan = self
        elif seam.plan is self:
            seam.plan = None
        for tell in self.on_change:
            tell()

    def armed(self, *points: str) -> bool:
        """Whether one of these points is armed."""
        return any(point in self._armed for point in points)

    def at(self, point: str, where: Any, what: object = None) -> Strike | None:
        """Called at a point: what strikes now. ``where`` is a path, or an actor that has one."""
        armed = self._armed.get(point)
        if armed is None or armed.left == 0:
            return None
        if armed.where is not None and not armed.where(getattr(where, "path", where), what):
            return None
        kind = armed.draw()
        if self._decide is not None:
            kind = self._decide(kind)
        if kind is None:
            return None
        where = getattr(where, "path", where)
        if armed.left is not None:
            armed.left -= 1
        self.struck[point, kind] += 1
        self._log(f"fault {kind} at {point}: {where} {shown(what)}")
        # What reads a store expects its errors; elsewhere nothing must expect this one.
        cls = StoreError if point.startswith("store.") else InjectedFault
        error = armed.error or cls(f"injected fault at {point}: {where}")
        return Strike(kind, armed.delay(), error)

    def strike(self, point: str, where: str, what: object = None) -> str | None:
        """See ``actinium.base.faults.Plan``."""
        found = self.at(point, where, what)
        if found is not None and found.kind == "fail":
            raise found.error
        return found.kind if found is not None else None
