"""One dead letter, the reasons there are, and which letters somebody is looking for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import msgspec

from actinium.core.pattern import Pattern, pattern
from actinium.errors import UsageError

Reason = Literal[
    "mailbox_full", "mailbox_closed", "actor_not_found", "actor_stopped", "unhandled",
    "handler_failed", "expired", "activation_refused", "drain_timeout", "forced_stop", "stash_full",
    "fault", "quarantined",
    "not_accepted", "too_large", "rate_limited", "memory_limit",
    "node_unreachable", "link_full", "undecodable",
]  # fmt: skip
REASONS: tuple[str, ...] = get_args(Reason)


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One message nobody handled, and all that is known about it.

    ``target`` is the ref it was for and ``path`` where that lived; ``sender`` and ``sender_path``
    are whom it came from, if an actor. A letter that an earlier process left has the paths only.
    ``type`` is the message's type as ``module:qualname``, ``time`` a hybrid logical clock stamp,
    ``size`` an estimate of the message in bytes, ``attempt`` how often it was replayed before.
    ``kept`` says whether ``message`` is here (``whole``) or only its description is (``meta``,
    with the cause in ``note``).
    """

    id: int
    reason: Reason
    target: Any
    path: str
    sender: Any
    sender_path: str = ""
    message: Any
    type: str = ""
    incarnation: int = 0
    depth: int = 0
    capacity: int = 0
    size: int = 0
    error: str = ""
    trace: str = ""
    time: int = 0
    attempt: int = 0
    kept: Literal["whole", "meta"] = "whole"
    note: str = ""


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay did with one letter.

    ``code`` of a refusal: the put's code (``rejected``, ``closed`` ...); ``attempts`` (replayed
    often enough), ``expired`` (say ``renew=``), ``not_found`` (no such actor lives), ``order``
    (an earlier letter for the same actor was refused); of ``not_replayable``: why the message
    itself is not here.
    """

    id: int
    outcome: Literal["accepted", "refused", "not_replayable"]
    code: str


def type_name(cls: type) -> str:
    """A class as ``module:qualname``."""
    return f"{cls.__module__}:{cls.__qualname__}"


def _path_pattern(target: str) -> Pattern:
    return pattern(target.lstrip("/"))


def letter_filter(
    now: Callable[[], int],
    *,
    reason: str | None = None,
    target: str | None = None,
    type: type | str | None = None,
    older_than: float | None = None,
    newer_than: float | None = None,
) -> Callable[[DeadLetter], bool]:
    """Whether a letter is one of those asked for; see :meth:`DeadLetters.find`."""
    if reason is not None and reason not in REASONS:
        raise UsageError(f"unknown reason {reason!r}; use one of {', '.join(REASONS)}")
    wanted = _path_pattern(target) if target is not None else None
    at = now()  # milliseconds, as in the upper part of a time stamp
    before = at - older_than * 1000 if older_than is not None else None
    after = at - newer_than * 1000 if newer_than is not None else None
    name = type_name(type) if isinstance(type, _CLASS) else type

    def matches(letter: DeadLetter) -> bool:
        if reason is not None and letter.reason != reason:
            return False
        if wanted is not None and not wanted.matches(letter.path.lstrip("/")):
            return False
        if name is not None and not _is_of(letter, type, name):
            return False
        made = letter.time >> 16
        return (before is None or made <= before) and (after is None or made >= after)

    return matches


_CLASS = type


def _is_of(letter: DeadLetter, cls: type | str | None, name: str) -> bool:
    if letter.type == name:
        return True
    if isinstance(cls, _CLASS):
        return letter.kept == "whole" and isinstance(letter.message, cls)
    return name in (letter.type.rpartition(":")[2], letter.type.rpartition(".")[2])
