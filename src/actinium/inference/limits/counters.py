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

    ``own`` is what this node has charged and not given back in all windows that count, ``used``
    that of all nodes.
    """

    __slots__ = ("_at", "_mine", "_now", "_theirs", "first", "node", "others", "own")

    def __init__(self, node: str = "local") -> None:
        self.node = node
        self.own = 0
        self.others = 0
        self.first = 0
        self._mine: dict[int, list[int]] = {}  # window -> charged, given back
        self._theirs: dict[tuple[str, int], Entry] = {}
        self._at = -1  # the window charged last,
        self._now = [0, 0]  # and its entry: the next charge is most often there as well

    @property
    def used(self) -> int:
        """What counts, of all nodes."""
        return self.own + self.others

    @property
    def latest(self) -> int:
        """The window that this node charged last; -1 where none of it counts any more."""
        return self._at

    def charge(self, window: int, amount: int) -> None:
        """Counts an amount of this node. A window that is over counts no more."""
        if window != self._at:
            if window < self.first:
                return
            self._now = self._mine.setdefault(window, [0, 0])
            self._at = window
        self._now[0] += amount
        self.own += amount

    def refund(self, window: int, amount: int) -> None:
        """Gives back what was charged in a window before; in one that is over, nothing."""
        entry = self._now if window == self._at else self._mine.get(window)
        if entry is not None:
            entry[1] += amount
            self.own -= amount

    def advance(self, first: int) -> None:
        """From now on only windows from ``first`` on count."""
        if first <= self.first:
            return
        self.first = first
        if self._at < first:
            self._at = -1
        for window in [w for w in self._mine if w < first]:
            charged, back = self._mine.pop(window)
            self.own -= charged - back
        for key in [key for key in self._theirs if key[1] < first]:
            charged, back = self._theirs.pop(key)
            self.others -= charged - back

    def totals(self) -> list[tuple[int, int]]:
        """The windows that hold anything, oldest first, and what counts in each."""
        sums = {window: charged - back for window, (charged, back) in self._mine.items()}
        for (_, window), (charged, back) in self._theirs.items():
            sums[window] = sums.get(window, 0) + charged - back
        return sorted(sums.items())

    def own_totals(self) -> list[tuple[int, int]]:
        """The same of this node alone."""
        return sorted((window, charged - back) for window, (charged, back) in self._mine.items())

    def mine(self) -> dict[int, Entry]:
        """What this node charged and gave back, by window."""
        return {window: (charged, back) for window, (charged, back) in self._mine.items()}

    def state(self) -> dict[tuple[str, int], Entry]:
        """What to send to other nodes: absolute numbers, so that sending again is harmless."""
        mine = {(self.node, window): (a, b) for window, (a, b) in self._mine.items()}
        return {**self._theirs, **mine}

    def merge(self, state: State) -> None:
        """Takes in what another node knows, of this node too: it may have been restarted."""
        for key, (charged, refunded) in state.items():
            node, window = key
            if window < self.first or not (charged or refunded):
                continue
            if node == self.node:
                mine = self._mine.setdefault(window, [0, 0])
                before = mine[0] - mine[1]
                mine[:] = max(mine[0], charged), max(mine[1], refunded)
                self.own += mine[0] - mine[1] - before
            else:
                known = self._theirs.get(key, (0, 0))
                new = self._theirs[key] = max(known[0], charged), max(known[1], refunded)
                self.others += new[0] - new[1] - known[0] + known[1]
