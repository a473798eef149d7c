"""Telling dead letters again: copy, send, and only then delete (DL-2)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from actinium.base import faults
from actinium.core.put import Put
from actinium.core.room import room_of
from actinium.errors import ActorNotFound, UsageError

from .letter import DeadLetter, Replayed


class Again:
    """How often the messages that are under way again were replayed.

    A message is known by its identity and its receiver; the entry keeps it alive meanwhile.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[tuple[int, int], tuple[Any, Any, int]] = OrderedDict()

    def note(self, message: Any, target: Any, attempt: int) -> None:
        self._known[id(message), hash(target)] = (message, target, attempt)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)

    def take(self, message: Any, target: Any) -> int:
        """The number of replays that led here, 0 for a message never replayed."""
        if not self._known:
            return 0
        return self._known.pop((id(message), hash(target)), (None, None, 0))[2]

    def forget(self, message: Any, target: Any) -> None:
        self._known.pop((id(message), hash(target)), None)


async def replay(
    letters: Iterable[DeadLetter],
    *,
    again: Again,
    remove: Callable[[DeadLetter], bool],
    resolve: Callable[[str], Any] | None,
    to: Any,
    rate: float | None,
    renew: float | None,
    most: int | None,
    timeout: float,
) -> list[Replayed]:
    """See :meth:`DeadLetters.replay`."""
    if rate is not None and rate <= 0:
        raise UsageError(f"rate is messages a second and above 0, got {rate!r}")
    loop = asyncio.get_running_loop()
    results: list[Replayed] = []
    blocked: set[Any] = set()
    due = loop.time()
    for letter in letters:
        why = _unfit(letter, renew, most)
        if why is not None:
            results.append(why)
            continue
        target = to if to is not None else _target(letter, resolve)
        if target is None:
            results.append(Replayed(id=letter.id, outcome="refused", code="not_found"))
            continue
        if target in blocked:
            results.append(Replayed(id=letter.id, outcome="refused", code="order"))
            continue
        if rate is not None:
            await asyncio.sleep(max(0.0, due - loop.time()))
            due = max(due, loop.time()) + 1 / rate
        if faults.plan is not None:
            faults.plan.strike("replay.step", letter.path, letter.message)
        again.note(letter.message, target, letter.attempt + 1)
        put = await _hand_over(target, letter, renew, timeout)
        if put.ok:
            if faults.plan is not None:
                faults.plan.strike("replay.step", letter.path, letter.message)
            remove(letter)
            results.append(Replayed(id=letter.id, outcome="accepted", code=put.code))
        else:
            again.forget(letter.message, target)
            blocked.add(target)
            results.append(Replayed(id=letter.id, outcome="refused", code=put.code))
    return results


def _unfit(letter: DeadLetter, renew: float | None, most: int | None) -> Replayed | None:
    if letter.kept != "whole":
        return Replayed(id=letter.id, outcome="not_replayable", code=letter.note)
    if most is not None and letter.attempt >= most:
        return Replayed(id=letter.id, outcome="refused", code="attempts")
    if letter.reason == "expired" and renew is None:
        return Replayed(id=letter.id, outcome="refused", code="expired")
    return None


def _target(letter: DeadLetter, resolve: Callable[[str], Any] | None) -> Any:
    if letter.target is not None:
        return letter.target
    # A number in a path names an actor of the process that wrote it, and another one in this.
    if resolve is None or "$" in letter.path:
        return None
    try:
        return resolve(letter.path)
    except (ActorNotFound, UsageError):
        return None


async def _hand_over(target: Any, letter: DeadLetter, renew: float | None, timeout: float) -> Put:
    """Offers the message until it is taken, the actor is gone or the time is over."""
    give_up = asyncio.get_running_loop().time() + timeout
    while True:
        put = _offer(target, letter, renew)
        cell = getattr(target, "cell", target)
        never = put.code in ("closed", "not_accepted", "too_large")
        if put.ok or never or not hasattr(cell, "set_waiters"):
            return put
        if asyncio.get_running_loop().time() >= give_up:
            return put
        by_time = put.code in ("rate_limited", "memory_limit")
        room = None if by_time else room_of(cell)
        try:
            async with asyncio.timeout_at(give_up):
                await (room or asyncio.sleep(put.retry_after))
        except TimeoutError:
            return put
        finally:
            if room is not None:
                room.cancel()


def _offer(target: Any, letter: DeadLetter, renew: float | None) -> Put:
    sender = letter.sender
    if letter.reason != "expired" or renew is None:
        put: Put = target.try_tell(letter.message, sender=sender)
        return put
    put = target.try_tell(letter.message, sender=sender, deadline=renew)
    return put
