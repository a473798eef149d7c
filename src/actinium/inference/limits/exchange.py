"""Nodes of one limit hand each other the rights that they do not use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from .shares import Given, Shares, merged_rights

EVERY: Final = 0.2
"""Seconds between two words of a node."""

PATIENCE: Final = 2.0
"""Seconds without any progress after which a node that waits is given all it needs."""

_STEPS: Final = 8
"""Who runs out asks for a part of the limit beside what waits: so many from nothing to all."""


class Wish(msgspec.Struct, frozen=True, order=True):
    """How many rights a node wants to hold in all (0: no more than it has), and since when it has
    waited in vain. The one with the larger ``number`` is newer."""

    number: int
    rights: int
    since: float = 0.0


_NONE: Final = Wish(0, 0)


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


class Shared(Protocol):
    """What is used by a share of a limit, such as a :class:`Meter`."""

    shares: Shares | None

    def used(self, now: float) -> int: ...


class _Open(msgspec.Struct):
    """A wish of another node that is not fulfilled yet."""

    node: str
    missing: int
    share: int
    since: float


class Exchange:
    """One node's part in a limit that several nodes share.

    Call :meth:`say` every 0.2 s, or when something changes, and send what it gives to the others,
    who :meth:`hear` it. A node gives only what it has not used in the windows that count: so no
    two nodes ever use the same right (LM-2), and what is unused goes where it is wanted.

    Where there is not enough for all who want more, everybody gets an equal share at least: who
    holds more pledges the rest, and gives it as it becomes free. A node that waits without any
    progress, because it needs more than such a share at once, is given all of it; of several the
    one that has waited longest.
    """

    def __init__(self, meter: Shared) -> None:
        if meter.shares is None:
            raise TypeError("an exchange needs a meter with shares: Meter(limit, node, shares)")
        self.meter = meter
        self.shares = meter.shares
        self._wishes: dict[str, Wish] = {}

    def say(self, now: float, waiting: int, since: float | None = None) -> Word:
        """Gives what it can to who wishes it; ``waiting`` is the amount that waits here, ``since``
        when it last made progress."""
        shares = self.shares
        used = self.meter.used(now)
        self._wish(used, waiting, now if since is None else since)
        asked = self._open()
        spare = shares.own - used - waiting
        for at, one in enumerate(asked):
            gift = shares.give(one.node, one.missing, -(-spare // (len(asked) - at)))
            spare -= gift
            one.missing -= gift
            one.share += gift
        shares.pledged = 0
        asked = [one for one in asked if one.missing]
        if asked:
            self._pledge(asked, now, shares.own - used)
        return self.word

    def hear(self, word: Word) -> None:
        """Takes in what another node told."""
        self.shares.merge(word.given)
        self._wishes = dict(merged_words(Word({}, self._wishes), Word({}, word.wishes)).wishes)

    @property
    def word(self) -> Word:
        """All that it knows."""
        return Word(self.shares.given, dict(self._wishes))

    @property
    def wished(self) -> int:
        """The number of this node's wish."""
        return self._wishes.get(self.shares.node, _NONE).number

    @property
    def wishing(self) -> bool:
        """Whether this node wants more."""
        return self._wishes.get(self.shares.node, _NONE).rights > 0

    @property
    def busy(self) -> bool:
        """Whether anybody wants more than there is."""
        return any(wish.rights for wish in self._wishes.values())

    def _wish(self, used: int, waiting: int, since: float) -> None:
        """Wishes what is missing; a wish that is enough stays as it is."""
        shares = self.shares
        before = self._wishes.get(shares.node, _NONE)
        needed = min(shares.limit, used + waiting)
        if not waiting or needed <= shares.own:
            if not before.rights:
                return
            rights, since = 0, 0.0
        else:
            if needed <= before.rights and since - before.since < PATIENCE / 2:
                return
            rights = min(shares.limit, needed + shares.limit // _STEPS)
        self._wishes[shares.node] = Wish(before.number + 1, rights, since)

    def _open(self) -> list[_Open]:
        """Who misses what, the poorest first."""
        shares = self.shares
        found = []
        for node, wish in self._wishes.items():
            if node != shares.node and wish.rights:
                share = shares.of(node)
                if wish.rights > share:
                    found.append(_Open(node, wish.rights - share, share, wish.since))
        found.sort(key=lambda one: (one.share, one.node))
        return found

    def _pledge(self, asked: list[_Open], now: float, free: int) -> None:
        """Where it cannot give enough: what it owes, given as far as it is free."""
        shares = self.shares
        fair = shares.limit // (len(asked) + 1)
        starving = self._starving(asked, now)
        mine = self._wishes.get(shares.node, _NONE)
        if starving is not None and mine.rights and (mine.since, shares.node) < (
            starving.since, starving.node,
        ):  # fmt: skip
            return  # this node has waited longer
        floor = fair if starving is None else 0
        surplus = shares.own - floor
        if surplus <= 0:
            return
        of_all = surplus + sum(
            max(0, shares.of(node) - floor)
            for node in shares.members
            if node != shares.node and (starving is None or node != starving.node)
        )
        left = surplus
        for one in asked if starving is None else [starving]:
            missing = one.missing if starving is not None else min(one.missing, fair - one.share)
            owed = min(left, -(-missing * surplus // of_all))
            if owed <= 0:
                continue
            gift = shares.give(one.node, owed, max(0, free))
            free -= gift
            left -= owed
            shares.pledged += owed - gift

    def _starving(self, asked: list[_Open], now: float) -> _Open | None:
        """Who has waited longest of those who have waited long."""
        late = [one for one in asked if one.since and now - one.since > PATIENCE]
        return min(late, key=lambda one: (one.since, one.node), default=None)
