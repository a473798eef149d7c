"""One process's part in limits and budgets that several processes have together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from .budget import Purse
from .counters import Counters, Entry, merged
from .exchange import EVERY, Exchange, Shared, Wish, Word, merged_words
from .limiter import Demand, Limiter
from .meter import Meter
from .places import Money, Places
from .shares import Shares

LONGEST: Final = 0.1
"""Seconds to wait for the answers of the others before a request is refused."""

_REMEMBERED: Final = 1.0
"""Seconds that what could not be had goes on to be wished."""

_TICKS: Final = 5
"""Ticks between two reports of what was used."""

_MOST: Final = 2**60
"""A limit above it is one of so much: what goes to another process is a number of 64 bits."""

Key = tuple[str, str]
"""Scope and kind of a limit: ``("deployment:chat", "rpm")``, ``("tenant:acme", "day")``."""

Amounts = Callable[[str], int]
"""How much is needed of each kind of limit."""


class Part(msgspec.Struct, frozen=True):
    """What a process tells of one limit: the rights given, who wishes how many (node, number of
    the wish, rights, since when), and what was used (node, window, charged, given back)."""

    scope: str
    kind: str
    limit: int
    given: tuple[tuple[str, str, int], ...] = ()
    wishes: tuple[tuple[str, int, int, float], ...] = ()
    used: tuple[tuple[str, int, int, int], ...] = ()

    @property
    def key(self) -> Key:
        return self.scope, self.kind

    @property
    def word(self) -> Word:
        """Rights and wishes."""
        return Word(
            {(giver, taker): rights for giver, taker, rights in self.given},
            {node: Wish(number, rights, since) for node, number, rights, since in self.wishes},
        )

    @property
    def rows(self) -> dict[tuple[str, int], Entry]:
        """What was used."""
        return {(node, window): (charged, back) for node, window, charged, back in self.used}


def part_of(key: Key, limit: int, word: Word, rows: Mapping[tuple[str, int], Entry]) -> Part:
    """As it is sent."""
    return Part(
        *key, limit,
        tuple((*pair, rights) for pair, rights in word.given.items()),
        tuple((node, w.number, w.rights, w.since) for node, w in word.wishes.items()),
        tuple((*at, *entry) for at, entry in rows.items()),
    )  # fmt: skip


_NOTHING: Final = Word({}, {})


def _nothing() -> Demand:
    return Demand(0, 0, 0)


def _look() -> None:
    """Nobody waits."""


class _Limit:
    """One limit, its exchange, and what of it was told."""

    def __init__(
        self, group: Group, kind: str, limit: int, shared: Shared, counters: Counters | None
    ) -> None:
        self.group = group
        self.kind = kind
        self.limit = limit
        self.shared = shared
        self.counters = counters
        self.exchange = Exchange(shared)
        self.echoes: dict[str, int] = {}  # the latest wish of ours that others know
        self._told = _NOTHING
        self._told_rows: dict[int, Entry] = {}
        self._since = 0.0
        self._latest = -1

    @property
    def key(self) -> Key:
        return self.group.scope, self.kind

    def lacks(self, now: float, amount: int) -> bool:
        """Whether the rights of this process are too few, and others may have some."""
        shares = self.exchange.shares
        free = shares.usable - self.shared.used(now)
        if isinstance(self.shared, Meter):
            return self.shared.wait(now, amount) > 0 and self.shared.hope(now, amount) == 0
        if isinstance(self.shared, Money):
            return amount > free and not self.shared.gone(amount)
        return amount > free

    def say(self, now: float) -> Part | None:
        """Hands on what it can; what is new about it."""
        waiting = self.group.demand(self.kind, now)
        latest = self.counters.latest if self.counters is not None else int(now)
        if not waiting or latest != self._latest:
            self._since, self._latest = now, latest
        word = self.exchange.say(now, waiting, self._since)
        self.group.allot(self)
        rows: dict[tuple[str, int], Entry] = {}
        if self.counters is not None:
            mine = self.counters.mine()
            node = self.exchange.shares.node
            rows = {(node, w): e for w, e in mine.items() if self._told_rows.get(w) != e}
            self._told_rows = mine
        if word == self._told and not rows:
            return None
        told = Word(dict(word.given), word.wishes)
        self._told = told
        return part_of(self.key, self.limit, told, rows)

    def hear(self, sender: str, word: Word) -> None:
        """Takes in what another process told."""
        self.exchange.hear(word)
        mine = word.wishes.get(self.exchange.shares.node)
        if mine is not None:
            self.echoes[sender] = max(mine.number, self.echoes.get(sender, 0))
        self.group.allot(self)

    def answered(self) -> bool:
        """Whether all others know the latest wish."""
        shares = self.exchange.shares
        wished = self.exchange.wished
        return all(
            self.echoes.get(node, 0) >= wished for node in shares.members if node != shares.node
        )


class Group:
    """The shares of one limiter or one purse."""

    def __init__(self, sharing: Sharing, scope: str) -> None:
        self.scope = scope
        self._sharing = sharing
        self.limits: dict[str, _Limit] = {}
        self.limiter: Limiter | None = None
        self.wanted: Callable[[], Demand] = _nothing
        self.look: Callable[[], None] = _look
        self._asking: list[Amounts] = []
        self._asked: tuple[float, Amounts] | None = None
        self.changed = asyncio.Event()

    def demand(self, kind: str, now: float) -> int:
        """How much of a limit waits here."""
        amount = self.wanted().of(kind) + sum(amounts(kind) for amounts in self._asking)
        if not amount and self._asked is not None and now < self._asked[0]:
            amount = self._asked[1](kind)
        return amount

    @property
    def busy(self) -> bool:
        """Whether anybody anywhere wants more of it."""
        return any(one.exchange.busy for one in self.limits.values())

    async def ask(self, amounts: Amounts) -> None:
        """Asks the other processes for what is missing here; returns when it came, or when they
        have answered that there is none, after 0.1 s at most."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LONGEST
        if not self._lacking(amounts, loop.time()):
            return
        self._asking.append(amounts)
        try:
            self._sharing.speak(self)
            while lacking := self._lacking(amounts, loop.time()):
                if all(one.answered() for one in lacking):
                    self._asked = loop.time() + _REMEMBERED, amounts
                    return
                self.changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(until):
                        await self.changed.wait()
                if loop.time() >= until:
                    return
        finally:
            self._asking.remove(amounts)

    def seek(self) -> None:
        """Somebody waits in a queue."""
        if not any(one.exchange.wishing for one in self.limits.values()):
            self._sharing.speak_soon(self)

    def touch(self) -> None:
        """Something was used, or given back."""
        self._sharing.touched.add(self)

    def allot(self, one: _Limit) -> None:
        """The share of one limit may have changed."""
        if one.kind == "concurrent" and self.limiter is not None:
            self.limiter.allot(one.exchange.shares.usable)

    def forget(self, now: float) -> None:
        """What could not be had is wished no longer, after a while."""
        if self._asked is not None and now >= self._asked[0]:
            self._asked = None

    def _lacking(self, amounts: Amounts, now: float) -> list[_Limit]:
        return [
            one for one in self.limits.values()
            if (amount := amounts(one.kind)) and one.lacks(now, amount)
        ]  # fmt: skip


class Sharing:
    """The limits that this process (``node``) has together with the other ``members``.

    Each has an equal share of every limit at first, and hands on what it does not use (LM-2): at
    once where another one runs out, else every 0.2 s. ``send`` takes what is to be told to all
    others, who :meth:`hear` it. What was used is told every second, so that it still counts when
    this process has died and another one goes on as ``node``: that one has to hear all before it
    begins.
    """

    def __init__(
        self, node: str, members: Sequence[str], send: Callable[[tuple[Part, ...]], None]
    ) -> None:
        self.node = node
        self._members = tuple(members)
        self._send = send
        self._groups: dict[Key, Group] = {}
        self._limits: dict[Key, _Limit] = {}
        self._words: dict[tuple[str, str, int], Word] = {}  # of limits that are not here
        self._rows: dict[Key, dict[tuple[str, int], Entry]] = {}
        self.touched: set[Group] = set()
        self._due: set[Group] = set()
        self._busy: set[Group] = set()
        self._handle: asyncio.Handle | None = None
        self._ticker: asyncio.Task[None] | None = None

    def limiter(
        self, scope: str, limiter: Limiter, wanted: Callable[[], Demand] = _nothing,
        look: Callable[[], None] = _look,
    ) -> None:  # fmt: skip
        """From now on a limiter has a share of each of its limits. ``wanted`` tells what waits for
        it, ``look`` is called when it may have got more. Limits that changed begin with new shares,
        those that did not keep theirs."""
        group = self._group(scope, "limits")
        group.limiter, group.wanted, group.look = limiter, wanted, look
        before, group.limits = group.limits, {}
        for kind, meter in limiter.meters.items():
            if meter.configured is not None:
                self._join(group, before, kind, meter.configured, meter, meter.counters)
        if limiter.places is not None:
            self._join(group, before, "concurrent", limiter.places, Places(limiter), None)
        limiter.group = group
        self._begun(group)

    def purse(self, scope: str, purse: Purse) -> None:
        """From now on a purse has a share of its money; one that only warns looks at all of it."""
        group = self._group(scope, "money")
        before, group.limits = group.limits, {}
        shared = purse.budget.on_exceeded != "warn"
        for period in purse.periods:
            money = Money(period, purse.clock)
            self._join(group, before, period.kind, period.limit, money, period.counters)
            period.shares = money.shares if shared else None
        purse.group = group
        self._begun(group)

    def drop(self, scope: str) -> None:
        """A scope is gone."""
        for family in ("limits", "money"):
            group = self._groups.pop((scope, family), None)
            if group is not None:
                self.touched.discard(group)
                self._due.discard(group)
                self._busy.discard(group)
                for one in group.limits.values():
                    del self._limits[one.key]
                    self._keep(one)

    def hear(self, sender: str, parts: Iterable[Part]) -> None:
        """Takes in what another process told."""
        heard: set[Group] = set()
        for part in parts:
            one = self._limits.get(part.key)
            if part.used:
                if one is not None and one.counters is not None:
                    one.counters.merge(part.rows)
                else:
                    self._rows[part.key] = merged(self._rows.get(part.key, {}), part.rows)
            if one is not None and one.limit == part.limit:
                one.hear(sender, part.word)
                heard.add(one.group)
            elif part.given or part.wishes:
                at = (*part.key, part.limit)
                self._words[at] = merged_words(self._words.get(at, _NOTHING), part.word)
        for group in heard:
            group.changed.set()
            self.speak_soon(group)
            group.look()

    def speak(self, group: Group) -> None:
        """Tells what is new of a group's limits, now."""
        self._say((group,))

    def speak_soon(self, group: Group) -> None:
        """The same, with others of this turn of the loop."""
        self._due.add(group)
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_soon(self._speak_all)

    def start(self) -> None:
        """Tells the others now and then, from now on, and at once what they wait for."""
        self._ticker = asyncio.create_task(self._tick())
        for group in self._groups.values():
            self.speak_soon(group)

    async def close(self) -> None:
        """Tells them for the last time."""
        if self._ticker is not None:
            self._ticker.cancel()
            with suppress(asyncio.CancelledError):
                await self._ticker
            self._ticker = None
        if self._handle is not None:
            self._handle.cancel()
        self._say(self._groups.values())

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        count = 0
        while True:
            await asyncio.sleep(EVERY)
            count += 1
            now = loop.time()
            busy = {group for group in self._busy if group.busy}
            self._busy = set(busy)
            for group in busy:
                group.forget(now)
            if count % _TICKS == 0:
                reported, self.touched = self.touched, set()
                busy |= reported
            self._say(busy)
            for group in busy:
                group.look()

    def _speak_all(self) -> None:
        self._handle = None
        due, self._due = self._due, set()
        self._say(due)

    def _say(self, groups: Iterable[Group]) -> None:
        now = asyncio.get_running_loop().time()
        parts: list[Part] = []
        for group in groups:
            said = [one.say(now) for one in group.limits.values()]
            parts += (part for part in said if part is not None)
            if group.busy:
                self._busy.add(group)
        if parts:
            self._send(tuple(parts))

    def _begun(self, group: Group) -> None:
        """Others may want of it already."""
        if self._ticker is not None and group.busy:
            self.speak_soon(group)

    def _keep(self, one: _Limit) -> None:
        """Remembers the rights of a limit that holds no more: it may come back."""
        if one.exchange.shares.given:
            self._words[(*one.key, one.limit)] = one.exchange.word

    def _group(self, scope: str, family: str) -> Group:
        found = self._groups.get((scope, family))
        if found is None:
            found = self._groups[scope, family] = Group(self, scope)
        return found

    def _join(
        self, group: Group, before: Mapping[str, _Limit], kind: str, limit: int,
        shared: Meter | Places | Money, counters: Counters | None,
    ) -> None:  # fmt: skip
        limit = min(limit, _MOST)
        known = before.get(kind)
        if known is not None and known.limit != limit:
            self._keep(known)
            known = None
        if counters is not None:
            counters.node = self.node
            counters.merge(self._rows.pop((group.scope, kind), {}))
        shared.share(
            known.exchange.shares if known is not None else Shares(self.node, self._members, limit)
        )
        one = _Limit(group, kind, limit, shared, counters)
        word = self._words.pop((group.scope, kind, limit), None)
        if known is not None:
            word = known.exchange.word
            one.echoes = known.echoes
        if word is not None:
            one.exchange.hear(word)
        group.limits[kind] = self._limits[group.scope, kind] = one
        group.allot(one)
