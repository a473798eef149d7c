"""The ledger of dead letters: limits, counts, a log that does not flood, a look inside (DL-1)."""

from __future__ import annotations

import itertools
import logging
import threading
import traceback
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from actinium.core.events.kinds import DeadLetterEvent, Event, Missed
from actinium.errors import ConfigError

from .letter import DeadLetter, Reason, Replayed, letter_filter, type_name
from .replay import Again, replay
from .spool import Spool
from .weight import weight

if TYPE_CHECKING:
    from actinium.core.events.stream import Events
    from actinium.core.feed import Feed
    from actinium.store import Store

_log = logging.getLogger("actinium.deadletters")

LOG_EVERY = 10_000
"""Milliseconds between two lines in the log about letters of one kind."""
KINDS = 1024
"""Kinds of letters (reason and type) that have lines of their own in the log."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept in memory: the newest letters up to a number, bytes and seconds of age.

    ``spooled`` is how many more a spool keeps.
    """

    records: int = 4096
    bytes: int = 64 * 1024 * 1024
    age: float = 3600.0
    spooled: int = 1_000_000
    keep: Literal["whole", "meta"] = "whole"

    def __post_init__(self) -> None:
        if self.records < 0 or self.bytes < 0 or self.age <= 0:
            raise ConfigError(
                "dead letters are kept up to a number >= 0, bytes >= 0 and an age above 0 "
                f"seconds, got {self.records!r}, {self.bytes!r}, {self.age!r}"
            )
        if self.keep not in ("whole", "meta"):
            raise ConfigError(f"dead letters are kept 'whole' or 'meta', got {self.keep!r}")


class DeadLetters:
    """The newest letters, and exact counts of all there ever were (DL-1).

    ``counts`` are all letters by reason; ``lost`` those pushed out of memory by a limit that are
    nowhere else; ``failures`` those that could not even be recorded. Safe from any thread.
    """

    def __init__(self, tick: Callable[[], int], limits: Limits, events: Events) -> None:
        self._tick = tick
        self._limits = limits
        self._events = events
        self._lock = threading.RLock()
        self._letters: OrderedDict[int, DeadLetter] = OrderedDict()
        self._ids = itertools.count(1)
        self._told: dict[tuple[str, str], list[int]] = {}
        self._again = Again(limits.records)
        self._spool: Spool | None = None
        self._in_replay: set[int] = set()
        self._resolve: Callable[[str], Any] | None = None
        self.counts: Counter[str] = Counter()
        self.lost = 0
        self.failures = 0
        self.bytes = 0
        """Estimated size of the letters in memory, with their traces."""

    # -- recording

    def record(
        self,
        reason: Reason,
        target: Any,
        sender: Any,
        message: Any,
        error: BaseException | None = None,
        meta: str = "",
    ) -> DeadLetter | None:
        """Keeps one message, or with ``meta`` (why) only what describes it.

        None if even that failed, which is counted in ``failures``.
        """
        try:
            letter = self._make(reason, target, sender, message, error, meta)
        except Exception:  # noqa: BLE001 - whatever it is, it must not end in a circle
            self.failures += 1
            _log.exception("a dead letter (%s) could not be recorded", reason)
            return None
        with self._lock:
            self._add(letter)
        self._tell(letter)
        if self._events.active and not isinstance(message, (Event, Missed)):
            self._events.emit(DeadLetterEvent, letter)  # never about an event: no circle
        return letter

    def count(self, reason: Reason) -> None:
        """Counts a message whose actor wants such letters counted and not kept."""
        with self._lock:
            self.counts[reason] += 1

    def _make(
        self,
        reason: Reason,
        target: Any,
        sender: Any,
        message: Any,
        error: BaseException | None,
        meta: str,
    ) -> DeadLetter:
        if not meta and self._limits.keep == "meta":
            meta = 'the system keeps dead letters as "meta"'
        whole = not meta
        extra = getattr(target, "extra", None)
        lasting = extra.entity if extra is not None and extra.entity is not None else target
        return DeadLetter(
            id=next(self._ids),
            reason=reason,
            target=lasting,
            path=target.path,
            sender=sender,
            sender_path=sender.path if sender is not None else "",
            message=message if whole else None,
            type=type_name(type(message)),
            incarnation=getattr(target, "incarnation", 0),
            depth=getattr(target, "depth", 0),
            capacity=getattr(target, "capacity", 0),
            size=weight(message) if whole else 0,
            error=f"{type(error).__name__}: {_text(error)}" if error is not None else "",
            trace=_trace(error) if error is not None else "",
            time=self._tick(),
            attempt=self._again.take(message, lasting),
            kept="whole" if whole else "meta",
            note=meta,
        )

    def _add(self, letter: DeadLetter) -> None:
        self.counts[letter.reason] += 1
        self._letters[letter.id] = letter
        self.bytes += _cost(letter)
        if self._spool is not None:
            self._spool.add(letter)
        self._enforce(letter.time >> 16)

    def _enforce(self, now: int) -> None:
        """Lets go of the oldest letters beyond a limit."""
        limits = self._limits
        too_old = now - limits.age * 1000
        while self._letters:
            first = next(iter(self._letters.values()))
            aged = first.time >> 16 < too_old
            if not aged and len(self._letters) <= limits.records and self.bytes <= limits.bytes:
                return
            del self._letters[first.id]
            self.bytes -= _cost(first)
            self.lost += self._spool.evicted(first.id) if self._spool is not None else 1

    def _tell(self, letter: DeadLetter) -> None:
        """Logs the first letter of a kind, and later ones at most every ten seconds."""
        now = letter.time >> 16
        with self._lock:
            kind = (letter.reason, letter.type)
            known = self._told.get(kind)
            if known is None and len(self._told) >= KINDS:
                return
            if known is not None and now - known[0] < LOG_EVERY:
                known[1] += 1
                return
            more = known[1] if known is not None else 0
            self._told[kind] = [now, 0]
        _log.warning(
            "dead letter (%s): %s for %s%s%s",
            letter.reason,
            letter.type.rpartition(":")[2],
            letter.path,
            f": {letter.error}" if letter.error else "",
            f"; and {more} more of this kind since the last line" if more else "",
        )

    # -- looking

    def _now(self) -> int:
        return self._tick() >> 16

    def _kept(self) -> tuple[DeadLetter, ...]:
        with self._lock:
            self._enforce(self._now())
            return tuple(self._letters.values())

    def __len__(self) -> int:
        return len(self._kept())

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(self._kept())

    def find(
        self,
        *,
        reason: str | None = None,
        target: str | None = None,
        type: type | str | None = None,
        older_than: float | None = None,
        newer_than: float | None = None,
    ) -> list[DeadLetter]:
        """The letters in memory that meet all that is asked for, oldest first.

        ``target`` is a pattern over paths (``/user/worker/*``, ``/user/**``), ``type`` a class
        of messages or its name, ages are in seconds. Raises UsageError for an unknown reason.
        """
        matches = letter_filter(
            self._now, reason=reason, target=target, type=type,
            older_than=older_than, newer_than=newer_than,
        )  # fmt: skip
        return [letter for letter in self._kept() if matches(letter)]

    async def history(self) -> AsyncIterator[DeadLetter]:
        """All letters, oldest first: those that are only in the spool, then those in memory."""
        kept = self._kept()
        if self._spool is not None:
            async for letter in self._spool.evicted_letters():
                yield letter
        for letter in kept:
            yield letter

    def watch(
        self,
        *,
        reason: str | None = None,
        target: str | None = None,
        type: type | str | None = None,
        max_pending: int = 256,
    ) -> Feed[DeadLetterEvent | Missed]:
        """New letters as they come, as ``ac.DeadLetterEvent``; see :meth:`Events.watch`."""
        matches = letter_filter(self._now, reason=reason, target=target, type=type)
        return self._events.watch(
            DeadLetterEvent, max_pending=max_pending, where=lambda event: matches(event.letter)
        )

    def statistics(self) -> dict[str, int]:
        """Letters in memory and their bytes, and what became of the others."""
        spool = self._spool
        return {
            "recorded": self.counts.total(),
            "kept": len(self),
            "bytes": self.bytes,
            "lost": self.lost,
            "failures": self.failures,
            "spooled": spool.count if spool is not None else 0,
        }

    # -- letting go

    def remove(self, letter: DeadLetter) -> bool:
        """Takes one letter out, from the spool too; False if it is not there any more."""
        with self._lock:
            known = self._letters.pop(letter.id, None)
            if known is not None:
                self.bytes -= _cost(known)
            spooled = self._spool is not None and self._spool.remove(letter.id)
        return known is not None or spooled

    async def replay(
        self,
        *,
        reason: str | None = None,
        target: str | None = None,
        type: type | str | None = None,
        older_than: float | None = None,
        newer_than: float | None = None,
        to: Any = None,
        rate: float | None = None,
        renew: float | None = None,
        max_attempts: int = 3,
        force: bool = False,
        timeout: float = 5.0,
    ) -> list[Replayed]:
        """Tells letters again, in the order they came, to their targets or to another actor.

        A letter is deleted only after its message was accepted (DL-2): a crash in between may
        repeat a message, and loses none. One that is refused stays, and so do later ones for the
        same actor; a full mailbox is waited for up to ``timeout`` seconds. ``rate`` is the most
        messages a second; ``renew`` gives expired ones that many seconds more. A message that
        fails again comes back as a new letter with ``attempt`` + 1; ``max_attempts`` ends that
        unless ``force``.
        """
        matches = letter_filter(
            self._now, reason=reason, target=target, type=type,
            older_than=older_than, newer_than=newer_than,
        )  # fmt: skip
        chosen = [letter async for letter in self.history() if matches(letter)]
        chosen = [letter for letter in chosen if letter.id not in self._in_replay]
        ids = {letter.id for letter in chosen}
        self._in_replay |= ids  # a second replay at the same time takes the others
        try:
            return await replay(
                chosen, again=self._again, remove=self.remove, resolve=self._resolve, to=to,
                rate=rate, renew=renew, most=None if force else max_attempts, timeout=timeout,
            )  # fmt: skip
        finally:
            self._in_replay -= ids

    # -- beyond this process

    async def open(self, store: Store | None, name: str, resolve: Callable[[str], Any]) -> None:
        """Takes the store that letters outlive the process in, and what it holds already."""
        self._resolve = resolve
        if store is None:
            return
        spool = Spool(store, name, self._limits.spooled)
        before = await spool.load()
        with self._lock:
            self._spool = spool
            for key, letter in before:
                numbered = msgspec.structs.replace(letter, id=next(self._ids))
                spool.known(numbered.id, key)
                self._letters[numbered.id] = numbered
                self.bytes += _cost(numbered)
            self._enforce(self._now())

    async def flush(self) -> None:
        """Waits until every letter recorded so far is in the spool; raises StoreError."""
        if self._spool is not None:
            await self._spool.flush()

    async def close(self, timeout: float = 2.0) -> None:
        """Writes what is still to be written, within ``timeout`` seconds."""
        if self._spool is not None:
            await self._spool.close(timeout)


def _cost(letter: DeadLetter) -> int:
    return letter.size + len(letter.error) + len(letter.trace)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as e:  # noqa: BLE001 - an exception may be as broken as what raised it
        return f"(its text failed: {type(e).__name__})"


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception as e:  # noqa: BLE001 - as above
        return f"(no trace: {type(e).__name__})"
