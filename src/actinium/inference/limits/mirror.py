"""What processes that share limits have told, for one of them that is started again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from .accounts import Spent
from .budget import windows_of
from .counters import Entry, merged
from .exchange import Word, merged_words
from .limiter import KINDS
from .meter import SPAN
from .sharing import Key, Part, part_of

Rows = dict[tuple[str, int], Entry]
_NOTHING: Final = Word({}, {})


class Mirror:
    """Holds no rights itself. ``nodes`` are the names of the processes. ``clock`` is Unix time in
    seconds, ``monotonic`` the time of the processes' event loops."""

    def __init__(
        self, nodes: Sequence[str], *, clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._nodes = tuple(nodes)
        self._clock = clock
        self._monotonic = monotonic
        self._words: dict[tuple[str, str, int], Word] = {}
        self._rows: dict[Key, Rows] = {}

    def hear(self, parts: Iterable[Part]) -> None:
        """Takes in what a process told."""
        for part in parts:
            if part.given or part.wishes:
                at = (*part.key, part.limit)
                self._words[at] = merged_words(self._words.get(at, _NOTHING), part.word)
            if part.used:
                rows = merged(self._rows.get(part.key, {}), part.rows)
                self._rows[part.key] = self._counting(part.kind, rows)

    def parts(self) -> tuple[Part, ...]:
        """All of it that still counts."""
        words = [part_of((scope, kind), limit, word, {})
                 for (scope, kind, limit), word in self._words.items()]  # fmt: skip
        rows = [part_of(key, 0, _NOTHING, self._counting(key[1], rows))
                for key, rows in self._rows.items()]  # fmt: skip
        return tuple(part for part in (*words, *rows) if part.given or part.wishes or part.used)

    def forget(self, scope: str) -> None:
        """A scope is gone for good."""
        self._words = {at: word for at, word in self._words.items() if at[0] != scope}
        self._rows = {at: rows for at, rows in self._rows.items() if at[0] != scope}

    def spent(self) -> Spent:
        """What was spent of the budgets of tenants and keys."""
        found: Spent = {}
        for (scope, kind), rows in self._rows.items():
            if kind not in KINDS and not scope.startswith("deployment:"):
                counting = self._counting(kind, rows)
                if counting:
                    told = [(*at, *entry) for at, entry in counting.items()]
                    found.setdefault(scope, {})[kind] = told
        return found

    def restore(self, spent: Spent) -> None:
        """Begins with what was spent in an earlier life, whoever of how many did it: each process
        has an equal share of the limit, and gets an equal part of this."""
        for scope, kinds in spent.items():
            for kind, rows in kinds.items():
                sums: dict[int, int] = {}
                for _, window, charged, back in rows:
                    sums[window] = sums.get(window, 0) + charged - back
                dealt: Rows = {}
                for window, total in sums.items():
                    each, rest = divmod(total, len(self._nodes))
                    for at, node in enumerate(self._nodes):
                        dealt[node, window] = (each + (at < rest), 0)
                self._rows[scope, kind] = dealt

    def _counting(self, kind: str, rows: Rows) -> Rows:
        """Those whose windows are not over."""
        if kind in KINDS:
            first = int(self._monotonic()) - SPAN + 1
        else:
            _, first = windows_of(kind, self._clock())
        return {at: entry for at, entry in rows.items() if at[1] >= first}
