"""Who runs in which row, and what is fed next: continuous batching without any I/O.

Rows of the key/value buffer are kept compact: decoding choices hold rows 0..d-1, and the one
request whose prompt is being fed holds the rows behind them. Where a row becomes free, the
last decoding row moves into it, and the request being fed moves down; each such
:class:`Move` has to be carried out on the buffer in the order given.

Requests are admitted first in, first out. A request of n choices needs n rows at once; its
prompt is fed once and its row then copied.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

Owner = TypeVar("Owner")


class Move(NamedTuple):
    """Copy the first ``length`` positions of row ``source`` to row ``target``."""

    source: int
    target: int
    length: int


@dataclass(eq=False, slots=True)
class Choice(Generic[Owner]):
    """One decoding sequence: ``length`` positions of row ``row`` are filled."""

    entry: Entry[Owner]
    index: int
    row: int
    length: int
    token: int = -1


@dataclass(eq=False, slots=True)
class Entry(Generic[Owner]):
    """One request: ``prompt`` tokens to feed, ``fed`` of them done, ``n`` choices."""

    owner: Owner
    prompt: int
    n: int
    fed: int = 0
    choices: list[Choice[Owner]] = field(default_factory=list)


class Piece(NamedTuple, Generic[Owner]):
    """Prompt tokens ``start`` to ``stop`` of an entry, to be fed into ``row``."""

    entry: Entry[Owner]
    row: int
    start: int
    stop: int


class Scheduler(Generic[Owner]):
    """Bookkeeping of ``slots`` rows; prompts are fed in pieces of ``chunk`` tokens."""

    def __init__(self, slots: int, chunk: int) -> None:
        self.slots = slots
        self.chunk = chunk
        self.waiting: deque[Entry[Owner]] = deque()
        self.active: list[Choice[Owner]] = []
        self.feeding: Entry[Owner] | None = None

    @property
    def busy(self) -> bool:
        """Whether a step has anything to do."""
        return bool(self.active or self.waiting or self.feeding)

    @property
    def free(self) -> int:
        """Rows that nobody holds."""
        feeding = self.feeding  # read once: statistics are read from other threads
        return self.slots - len(self.active) - (0 if feeding is None else feeding.n)

    def submit(self, entry: Entry[Owner]) -> None:
        """Queues a request. Raises ValueError where it can never fit."""
        if not 1 <= entry.n <= self.slots or entry.prompt < 1:
            raise ValueError(f"expected 1..{self.slots} choices and a prompt, got {entry!r}")
        self.waiting.append(entry)

    def next_piece(self, budget: int) -> Piece[Owner] | None:
        """The next prompt tokens to feed, where they are at most ``budget``.

        Pieces end at multiples of ``chunk`` of their own prompt, never where a budget ends: so
        a prompt is computed in the same pieces whatever runs beside it.
        """
        entry = self.feeding
        if entry is None:
            if not self.waiting or self.waiting[0].n > self.free:
                return None
            entry = self.waiting[0]
        stop = min(entry.fed + self.chunk, entry.prompt)
        if stop - entry.fed > budget:
            return None
        if self.feeding is None:
            self.feeding = self.waiting.popleft()
        return Piece(entry, len(self.active), entry.fed, stop)

    def fed(self, piece: Piece[Owner]) -> list[Move]:
        """Notes that a piece was fed; with the last one the choices join the batch."""
        entry = piece.entry
        entry.fed = piece.stop
        if entry.fed < entry.prompt:
            return []
        self.feeding = None
        for index in range(entry.n):
            choice = Choice(entry, index, piece.row + index, entry.prompt)
            entry.choices.append(choice)
            self.active.append(choice)
        return [Move(piece.row, choice.row, entry.prompt) for choice in entry.choices[1:]]

    def leave(self, choice: Choice[Owner]) -> list[Move]:
        """Frees the row of a choice that has ended."""
        moves: list[Move] = []
        last = self.active.pop()
        if last is not choice:
            moves.append(Move(last.row, choice.row, last.length))
            last.row = choice.row
            self.active[choice.row] = last
        choice.entry.choices.remove(choice)
        if self.feeding is not None and self.feeding.fed:
            row = len(self.active)
            moves.append(Move(row + 1, row, self.feeding.fed))
        return moves

    def drop(self, entry: Entry[Owner]) -> list[Move]:
        """Removes a request wherever it is; does nothing where it has ended."""
        if entry is self.feeding:
            self.feeding = None
        elif entry in self.waiting:
            self.waiting.remove(entry)
        moves: list[Move] = []
        for choice in list(entry.choices):
            moves += self.leave(choice)
        return moves

    def holding(self) -> list[Entry[Owner]]:
        """The requests that hold rows."""
        entries = list({id(choice.entry): choice.entry for choice in self.active}.values())
        if self.feeding is not None:
            entries.append(self.feeding)
        return entries

    def clear(self) -> list[Entry[Owner]]:
        """Removes every request that holds rows and returns them; the waiting ones stay."""
        entries = self.holding()
        for entry in entries:
            entry.choices.clear()
        self.active.clear()
        self.feeding = None
        return entries
