"""Who comes next: schedules by seed, and the few decisions that make one what it is.

A run in the order of arrival makes no decisions. Every deviation from it is one decision, known
by its place in the row of all choices; so a schedule is a short text, `7:2,9:1,f3:drop`: at the
7th choice the actor in place 2 came first, at the 9th the one in place 1, and at the third pass
over an armed fault point a message was dropped. That text repeats the run.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from actinium.errors import UsageError

Uids = Callable[[], Sequence[int]]

LOOP = -1
"""Stands for the event loop among the uids of actors."""

_PATIENCE = 100
"""Turns in a row after which one that always comes first has to wait."""


class Decision(NamedTuple):
    """One deviation from the order of arrival; ``what`` is a place in the queue or a fault."""

    at: int
    what: int | str

    def __str__(self) -> str:
        return f"{self.at}:{self.what}" if isinstance(self.what, int) else f"f{self.at}:{self.what}"


class Strategy(Protocol):
    """How choices are made. ``loop``: whether actors may come before the event loop at all."""

    @property
    def loop(self) -> bool: ...

    def pick(self, n: int, uids: Uids) -> int | None:
        """Which of ``n`` ready entries comes next; None: the system's own choice."""

    def ahead(self, n: int, uids: Uids) -> bool:
        """Whether one of them comes before what the event loop has to do."""


class Arrival:
    """As the system itself would have it, the event loop first: by arrival, rank and deadline."""

    loop = False

    def pick(self, n: int, uids: Uids) -> None:
        return None

    def ahead(self, n: int, uids: Uids) -> bool:
        return False


class Random:
    """Each ready entry is as likely as the next; with ``loop`` the event loop is one of them."""

    def __init__(self, seed: int, *, loop: bool) -> None:
        self._random = random.Random(f"schedule {seed}").random
        self.loop = loop

    def pick(self, n: int, uids: Uids) -> int:
        return int(self._random() * n)

    def ahead(self, n: int, uids: Uids) -> bool:
        return self._random() * (n + 1) >= 1.0


class Preempt:
    """Priorities drawn once, and changed at a few points only.

    Probabilistic concurrency testing: of the ready ones the first by priority runs, and at each
    of up to 4 points that one falls to the end. A defect that needs d orderings is found with a
    probability of about 1 / (n * k**(d - 1)) for n actors and k turns, however long the rest.

    Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs",
    ASPLOS 2010. Beyond it, one that came first a hundred times in a row falls to the end too:
    a poller would starve the rest.
    """

    loop = True

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"preempt {seed}").random
        span = 2 ** (3 + int(self._random() * 8))
        self._changes = {1 + int(self._random() * span) for _ in range(int(self._random() * 5))}
        self._priority: dict[int, float] = {}
        self._lowest = 0.0
        self._turn = 0
        self._in_a_row = 0
        self._last = 0

    def pick(self, n: int, uids: Uids) -> int:
        return self._first(uids())

    def ahead(self, n: int, uids: Uids) -> bool:
        return self._first([LOOP, *uids()]) != 0

    def _first(self, uids: Sequence[int]) -> int:
        self._turn += 1
        best = self._best(uids)
        self._in_a_row = self._in_a_row + 1 if uids[best] == self._last else 0
        if self._turn in self._changes or self._in_a_row > _PATIENCE:
            self._lowest -= 1.0
            self._priority[uids[best]] = self._lowest
            best = self._best(uids)
            self._in_a_row = 0
        self._last = uids[best]
        return best

    def _best(self, uids: Sequence[int]) -> int:
        priority = self._priority
        for uid in uids:
            if uid not in priority:
                priority[uid] = self._random()
        return max(range(len(uids)), key=lambda i: priority[uids[i]])


class Given:
    """The decisions of an earlier run; where there is none, the order of arrival."""

    loop = True

    def __init__(self, turns: Mapping[int, int]) -> None:
        self._turns = turns
        self._at = 0

    def pick(self, n: int, uids: Uids) -> int:
        self._at += 1
        place = self._turns.get(self._at, 0)
        return place if place < n else 0

    def ahead(self, n: int, uids: Uids) -> bool:
        self._at += 1
        return self._turns.get(self._at, 0) > 0


class Schedule:
    """Makes the choices of one run and keeps its decisions."""

    def __init__(self, strategy: Strategy, faults: Mapping[int, str] | None = None) -> None:
        self._strategy = strategy
        self._faults = faults
        self._choices = 0
        self._strikes = 0
        self.loop = strategy.loop
        self.only: int | None = None
        """The uid of the one actor that may run now."""
        self.decisions: list[Decision] = []

    def choose(self, n: int, uids: Uids) -> int | None:
        """Which of ``n`` ready entries comes next; None: the system's own choice."""
        if self.only is not None:
            return list(uids()).index(self.only)
        self._choices += 1
        place = self._strategy.pick(n, uids)
        if place:
            self.decisions.append(Decision(self._choices, place))
        return place

    def ahead(self, n: int, uids: Uids) -> bool:
        """Whether a ready entry comes before what the event loop has to do."""
        self._choices += 1
        if self._strategy.ahead(n, uids):
            self.decisions.append(Decision(self._choices, 1))
            return True
        return False

    def fault(self, drawn: str | None) -> str | None:
        """The fault that strikes now: the one that was drawn, unless the run is a repetition."""
        self._strikes += 1
        if self._faults is not None:
            drawn = self._faults.get(self._strikes)
        if drawn is not None:
            self.decisions.append(Decision(self._strikes, drawn))
        return drawn


def schedule_of(text: str, seed: int) -> Schedule:
    """The schedule that a text names; raises UsageError for one that names none."""
    match text:
        case "arrival":
            return Schedule(Arrival())
        case "random":
            return Schedule(Random(seed, loop=False))
        case "interleave":
            return Schedule(Random(seed, loop=True))
        case "preempt":
            return Schedule(Preempt(seed))
        case "none":
            return Schedule(Given({}), {})
    turns: dict[int, int] = {}
    faults: dict[int, str] = {}
    try:
        for part in text.split(","):
            at, what = part.strip().split(":")
            if at.startswith("f"):
                faults[int(at[1:])] = what
            elif at:
                turns[int(at)] = int(what)
    except ValueError:
        raise UsageError(
            "a schedule is 'arrival', 'random', 'interleave', 'preempt' or the decisions that a "
            f"failed run has printed, such as '7:2,f3:drop'; got {text!r}"
        ) from None
    return Schedule(Given(turns), faults)


def text_of(decisions: Sequence[Decision]) -> str:
    """The text that repeats these decisions; without any, nothing is left to chance."""
    return ",".join(str(d) for d in decisions) or "none"
