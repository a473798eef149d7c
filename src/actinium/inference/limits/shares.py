"""Who may use how much of one limit: rights that nodes hand to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Given = Mapping[tuple[str, str], int]
"""(giver, taker) -> rights given so far; only grows, written by the giver alone."""


def merged_rights(left: Given, right: Given) -> dict[tuple[str, str], int]:
    """Both as one: the larger of each number (LM-1)."""
    whole = dict(left)
    for key, given in right.items():
        whole[key] = max(whole.get(key, 0), given)
    return whole


class Shares:
    """A limit divided among ``members``, at first equally.

    A node charges no more than its own share, so all together keep to the limit whatever they
    know of each other (LM-2): a right is taken from its giver's share when it is given, and is
    in the taker's when the taker hears of it; in between nobody has it. (Escrow: O'Neil, *The
    escrow transactional method*, 1986; bounded counters: Balegas et al., 2015.)
    """

    def __init__(self, node: str, members: Sequence[str], limit: int) -> None:
        self.node = node
        self.limit = limit
        ordered = sorted(members)
        each, rest = divmod(limit, len(ordered))
        self._first = {name: each + (at < rest) for at, name in enumerate(ordered)}
        self.given: dict[tuple[str, str], int] = {}
        self.own = self.of(node)
        """What this node holds now."""
        self.pledged = 0
        """Of that, what it owes to others and does not use again once it is free."""

    @property
    def usable(self) -> int:
        """What this node may use now."""
        return max(0, self.own - self.pledged)

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(self._first)

    def of(self, node: str) -> int:
        """What a node holds, as far as is known here."""
        share = self._first.get(node, 0)
        for (giver, taker), rights in self.given.items():
            if giver == node:
                share -= rights
            elif taker == node:
                share += rights
        return share

    def give(self, taker: str, amount: int, unused: int) -> int:
        """Hands up to ``amount`` rights on, of those ``unused``; how many it were."""
        amount = max(0, min(amount, unused, self.own))
        if amount and taker != self.node:
            key = (self.node, taker)
            self.given[key] = self.given.get(key, 0) + amount
            self.own -= amount
            return amount
        return 0

    def merge(self, given: Given) -> None:
        """Takes in what another node knows."""
        self.given = merged_rights(self.given, given)
        self.own = self.of(self.node)
