"""Nodes of one limit hand each other the rights that they do not use."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .meter import Meter
from .shares import Given, merged_rights

EVERY: float = 0.2
"""Seconds between two words of a node."""


class Wish(msgspec.Struct, frozen=True, order=True):
    """How many more rights a node could use; the one with the larger ``number`` is newer."""

    number: int
    rights: int


class Word(msgspec.Struct, frozen=True):
    """What a node tells the others: all rights given that it knows of, and all wishes.

    Absolute numbers, so a word that is lost, late or doubled does no harm.
    """

    given: Given
    wishes: Mapping[str, Wish]


def merged_words(left: Word, right: Word) -> Word:
    """Both words as one: the larger of each number, the newer of each wish (LM-1)."""
    wishes = dict(left.wishes)
    for node, wish in right.wishes.items():
        wishes[node] = max(wishes.get(node, wish), wish)
    return Word(merged_rights(left.given, right.given), wishes)


class Exchange:
    """One node's part in a limit that several nodes share.

    Call :meth:`say` every 0.2 s and send what it gives to the others, who :meth:`hear` it. A node
    gives only what it has not used in the windows that count and does not need itself, and keeps
    the part ``keep`` of the limit for those who come: so no two nodes ever use the same right
    (LM-2), and what is unused goes where it is wanted.
    """

    def __init__(self, meter: Meter, keep: int) -> None:
        if meter.shares is None:
            raise TypeError("an exchange needs a meter with shares: Meter(limit, node, shares)")
        self.meter = meter
        self._shares = meter.shares
        self._keep = keep
        self._number = 0
        self._wishes: dict[str, Wish] = {}
        self._answered: dict[str, Wish] = {}

    def say(self, now: float, waiting: int) -> Word:
        """Gives what it can to who wishes it; ``waiting`` is the amount that waits here."""
        shares = self._shares
        free = shares.own - self.meter.used(now)
        self._number += 1
        self._wishes[shares.node] = Wish(self._number, max(0, waiting - free))
        spare = free - waiting - self._keep
        open_wishes = [
            (node, wish)
            for node, wish in self._wishes.items()
            if node != shares.node and wish.rights and self._answered.get(node) != wish
        ]
        for at, (node, wish) in enumerate(sorted(open_wishes)):
            part = spare // (len(open_wishes) - at)
            if part > 0:
                spare -= shares.give(node, min(part, wish.rights), part)
                self._answered[node] = wish
        return Word(shares.given, dict(self._wishes))

    def hear(self, word: Word) -> None:
        """Takes in what another node told."""
        self._shares.merge(word.given)
        self._wishes = dict(merged_words(Word({}, self._wishes), Word({}, word.wishes)).wishes)
