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

    __slots__ = ("_entries", "_first", "_totals", "node", "own", "used")

    def __init__(self, node: str = "local") -> None:
        self.node = node
        self.used = 0
        self.own = 0
        self._entries: dict[tuple[str, int], Entry] = {}
        self._totals: dict[int, int] = {}  # by window, of all nodes
        self._first = 0

    def charge(self, window: int, amount: int) -> None:
        """Counts an amount of this node. A window that is over counts no more."""
        self._add(window, amount, 0)

    def refund(self, window: int, amount: int) -> None:
        """Gives back what was charged in a window before."""
        self._add(window, 0, amount)

    def advance(self, first: int) -> None:
        """From now on only windows from ``first`` on count."""
        if first <= self._first:
            return
        self._first = first
        if not self._entries:
            return
        for key in [key for key in self._entries if key[1] < first]:
            charged, refunded = self._entries.pop(key)
            self._count(key, refunded - charged)
        for window in [w for w in self._totals if w < first]:
            del self._totals[window]

    def total(self, window: int) -> int:
        """What counts in one window."""
        return self._totals.get(window, 0)

    def windows(self) -> list[int]:
        """The windows that hold anything, oldest first."""
        return sorted(self._totals)

    def state(self) -> dict[tuple[str, int], Entry]:
        """What to send to other nodes: absolute numbers, so that sending again is harmless."""
        return dict(self._entries)

    def merge(self, state: State) -> None:
        """Takes in what another node knows."""
        for key, (charged, refunded) in state.items():
            if key[1] < self._first:
                continue
            mine = self._entries.get(key, (0, 0))
            new = (max(mine[0], charged), max(mine[1], refunded))
            if new != mine:
                self._entries[key] = new
                self._count(key, new[0] - new[1] - mine[0] + mine[1])

    def _add(self, window: int, charged: int, refunded: int) -> None:
        if window < self._first or not (charged or refunded):
            return
        key = (self.node, window)
        before = self._entries.get(key)
        if before is not None:
            self._entries[key] = (before[0] + charged, before[1] + refunded)
        else:
            self._entries[key] = (charged, refunded)
        change = charged - refunded
        self.used += change
        self.own += change
        self._totals[window] = self._totals.get(window, 0) + change

    def _count(self, key: tuple[str, int], change: int) -> None:
        self.used += change
        if key[0] == self.node:
            self.own += change
        self._totals[key[1]] = self._totals.get(key[1], 0) + change
