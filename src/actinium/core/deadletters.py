"""Where every message ends that reached no handler: kept, counted, replayable."""

from __future__ import annotations

import logging
import traceback
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from actinium.base import faults
from actinium.errors import UsageError

if TYPE_CHECKING:
    from .ref import LocalRef

_log = logging.getLogger("actinium.deadletters")

Reason = Literal[
    "mailbox_full", "mailbox_closed", "actor_stopped", "unhandled",
    "handler_failed", "expired", "drain_timeout", "forced_stop", "fault",
]  # fmt: skip
REASONS: tuple[str, ...] = get_args(Reason)


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One message nobody handled. ``time`` is a hybrid logical clock stamp."""

    id: int
    reason: Reason
    target: Any
    path: str
    sender: Any
    message: Any
    error: str = ""
    trace: str = ""
    time: int = 0
    attempt: int = 0


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay did with one letter."""

    id: int
    outcome: Literal["accepted", "refused"]
    code: str


class DeadLetters:
    """The newest ``limit`` letters, with exact counts of all there ever were (DL-1)."""

    def __init__(self, tick: Callable[[], int], limit: int = 4096) -> None:
        self._tick = tick
        self._limit = limit
        self._letters: deque[DeadLetter] = deque()
        self._next = 1
        self._told: set[tuple[str, str]] = set()
        self._replayed: OrderedDict[int, tuple[Any, int]] = OrderedDict()
        self.counts: Counter[str] = Counter()
        self.lost = 0
        """Letters pushed out by newer ones."""

    def record(
        self,
        reason: Reason,
        target: LocalRef[Any],
        sender: LocalRef[Any] | None,
        message: Any,
        error: BaseException | None = None,
    ) -> DeadLetter:
        """Keeps one message; logs the first of its kind."""
        path = target.path
        # A replayed message is known by its identity: the entry keeps it alive meanwhile.
        attempt = self._replayed.pop(id(message), (None, 0))[1]
        letter = DeadLetter(
            id=self._next,
            reason=reason,
            target=target,
            path=path,
            sender=sender,
            message=message,
            error=f"{type(error).__name__}: {error}" if error is not None else "",
            trace="".join(traceback.format_exception(error)) if error is not None else "",
            time=self._tick(),
            attempt=attempt,
        )
        self._next += 1
        self.counts[reason] += 1
        if len(self._letters) >= self._limit:
            self._letters.popleft()
            self.lost += 1
        self._letters.append(letter)
        kind = (reason, type(message).__qualname__)
        if kind not in self._told and len(self._told) < 1024:
            self._told.add(kind)
            _log.warning(
                "dead letter (%s): %s for %s%s; further ones of this kind are only counted",
                reason,
                kind[1],
                path,
                f": {letter.error}" if letter.error else "",
            )
        return letter

    def __len__(self) -> int:
        return len(self._letters)

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(tuple(self._letters))

    def find(self, *, reason: str | None = None, path: str | None = None) -> list[DeadLetter]:
        """Letters of a reason and of a path or below it, oldest first."""
        if reason is not None and reason not in REASONS:
            raise UsageError(f"unknown reason {reason!r}; use one of {', '.join(REASONS)}")
        return [
            letter
            for letter in self._letters
            if (reason is None or letter.reason == reason)
            and (path is None or letter.path == path or letter.path.startswith(path + "/"))
        ]

    def replay(
        self,
        *,
        reason: str | None = None,
        path: str | None = None,
        to: LocalRef[Any] | None = None,
        max_attempts: int = 3,
    ) -> list[Replayed]:
        """Tells letters again, in their order, to their target or to another actor.

        A letter leaves the store only after its message was accepted (DL-2). A message that
        fails again comes back as a new letter; ``max_attempts`` ends that.
        """
        results = []
        for letter in self.find(reason=reason, path=path):
            if letter.attempt >= max_attempts:
                results.append(Replayed(id=letter.id, outcome="refused", code="attempts"))
                continue
            if faults.plan is not None:
                faults.plan.strike("replay.step", letter.path, letter.message)
            put = (to or letter.target).try_tell(letter.message, sender=letter.sender)
            if put.ok:
                self._letters.remove(letter)
                self._replayed[id(letter.message)] = (letter.message, letter.attempt + 1)
                if len(self._replayed) > self._limit:
                    self._replayed.popitem(last=False)
            results.append(
                Replayed(id=letter.id, outcome="accepted" if put.ok else "refused", code=put.code)
            )
        return results
