"""Counters per node and window that any number of nodes can merge in any order."""

from __future__ import annotations

from collections.abc import Mapping

from actinium._native import CountersBase

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


class Counters(CountersBase):
    """One node's copy. Windows before :meth:`advance` are forgotten, and stay so on a merge.

    ``own`` is what this node has charged and not given back in all windows that count, ``used``
    that of all nodes. The counting itself is compiled, see ``native/include/actinium/windows.hpp``.
    """

    __slots__ = ("node",)

    def __init__(self, node: str = "local") -> None:
        self.node = node

    def totals(self) -> list[tuple[int, int]]:
        """The windows that hold anything, oldest first, and what counts in each."""
        sums = dict(self.own_totals())
        for _, window, charged, back in self.other_entries():
            sums[window] = sums.get(window, 0) + charged - back
        return sorted(sums.items())

    def own_totals(self) -> list[tuple[int, int]]:
        """The same of this node alone."""
        return [(window, charged - back) for window, charged, back in self.own_entries()]

    def mine(self) -> dict[int, Entry]:
        """What this node charged and gave back, by window."""
        return {window: (charged, back) for window, charged, back in self.own_entries()}

    def state(self) -> dict[tuple[str, int], Entry]:
        """What to send to other nodes: absolute numbers, so that sending again is harmless."""
        others = {(node, window): (a, b) for node, window, a, b in self.other_entries()}
        mine = {(self.node, window): (a, b) for window, a, b in self.own_entries()}
        return {**others, **mine}

    def merge(self, state: State) -> None:
        """Takes in what another node knows, of this node too: it may have been restarted."""
        for (node, window), (charged, back) in state.items():
            self.merge_entry(None if node == self.node else node, window, charged, back)
