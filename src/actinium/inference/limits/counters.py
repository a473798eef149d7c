"""Counters per node and window that any number of nodes can merge in any order."""

from __future__ import annotations

from collections.abc import Mapping

Entry = tuple[int, int]
"""What a node charged in a window, and what of it it gave back; both only grow."""

State = Mapping[tuple[str, int], Entry]
"""(node, window) -> entry: all there is to send to another node."""


def merged(left: State, right: State) -> dict[tuple[str, int], Entry]:
    """Both states as one: the larger of each number.

    LM-1: commutative, associative and idempotent, since ``max`` is; repeats, reordering and loss
    of what nodes send each other do no harm. (A pair of grow-only counters, the PN-counter of
    Shapiro et al., *A comprehensive study of convergent and commutative replicated data types*,
    2011.)
    """
    whole = dict(left)
    for key, (charged, refunded) in right.items():
        mine = whole.get(key, (0, 0))
        whole[key] = (max(mine[0], charged), max(mine[1], refunded))
    return whole


class Counters:
    """One node's copy. Windows before :meth:`advance` are forgotten, and stay so on a merge.

    ``used`` is what is charged and not given back, of all nodes, in all windows that count;
    ``own`` that of this node.
    """

    __slots__ = ("_mine", "_theirs", "_totals", "first", "node", "own", "used")

    def __init__(self, node: str = "local") -> None:
        self.node = node
        self.used = 0
        self.own = 0
        self.first = 0
        self._mine: dict[int, list[int]] = {}  # window -> charged, given back
        self._theirs: dict[tuple[str, int], Entry] = {}
        self._totals: dict[int, int] = {}  # by window, of all nodes

    def charge(self, window: int, amount: int) -> None:
        """Counts an amount of this node. A window that is over counts no more."""
        if window < self.first:
            return
        entry = self._mine.get(window)
        if entry is None:
            self._mine[window] = [amount, 0]
            self._totals[window] = self._totals.get(window, 0) + amount
        else:
            entry[0] += amount
            self._totals[window] += amount
        self.used += amount
        self.own += amount

    def refund(self, window: int, amount: int) -> None:
        """Gives back what was charged in a window before; in one that is over, nothing."""
        entry = self._mine.get(window)
        if entry is not None:
            entry[1] += amount
            self._totals[window] -= amount
            self.used -= amount
            self.own -= amount

    def advance(self, first: int) -> None:
        """From now on only windows from ``first`` on count."""
        if first <= self.first:
            return
        self.first = first
        for window in [w for w in self._totals if w < first]:
            self.used -= self._totals.pop(window)
            if (entry := self._mine.pop(window, None)) is not None:
                self.own -= entry[0] - entry[1]
        for key in [key for key in self._theirs if key[1] < first]:
            del self._theirs[key]

    def total(self, window: int) -> int:
        """What counts in one window."""
        return self._totals.get(window, 0)

    def windows(self) -> list[int]:
        """The windows that hold anything, oldest first."""
        return sorted(self._totals)

    def state(self) -> dict[tuple[str, int], Entry]:
        """What to send to other nodes: absolute numbers, so that sending again is harmless."""
        mine = {(self.node, window): (a, b) for window, (a, b) in self._mine.items()}
        return {**self._theirs, **mine}

    def merge(self, state: State) -> None:
        """Takes in what another node knows, of this node too: it may have been restarted."""
        for key, (charged, refunded) in state.items():
            node, window = key
            if window < self.first:
                continue
            own = node == self.node
            before = self._mine.get(window, (0, 0)) if own else self._theirs.get(key, (0, 0))
            new = (max(before[0], charged), max(before[1], refunded))
            if new == tuple(before):
                continue
            change = new[0] - new[1] - before[0] + before[1]
            if own:
                self._mine[window] = list(new)
                self.own += change
            else:
                self._theirs[key] = new
            self.used += change
            self._totals[window] = self._totals.get(window, 0) + change
