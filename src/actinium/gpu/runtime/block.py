"""The host's end of one block: what goes into its ring, and what comes back."""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from actinium._native import RecordPlan, RingEnd
from actinium.errors import DeviceLost

from ..abi.region import Region
from ..abi.ring import Slot
from ..abi.words import REASON_SHIFT, USER, Command, Flag, Reason, Status
from .plans import Plans

_log = logging.getLogger("actinium.gpu")
MOST_ASKS = 65_000
"""Asks of one block under way at a time; more wait in the mailboxes. The ring's end has room for
65,536, commands included."""
COUNTERS = ("handled", "bounced", "faults", "commands")
_STATUS = struct.Struct("<II")
_FAULT = struct.Struct("<III")

Item = tuple[Any, Any, Any]
"""A message, its sender or None, its reply, envelope or None."""
Event = tuple[int, int, int, int, Any, bytes, int]
"""What came back and is no plain answer: flags, kind, dest, corr, waiter, data, expires."""


Order = tuple[Command, int, bytes, Callable[[bytes], None]]
"""A command, whom it is for, that one's own ref, and who is called with the answer."""


class Owner(Protocol):
    """Whom a block tells what came back for an actor."""

    def answered(self, item: Item, value: Any) -> None:
        """The handler has ended well."""

    def faulted(self, site: int) -> None:
        """A handler stopped; its message comes back next."""

    def bounced(self, slot: Slot, reason: Reason, item: Item | None) -> None:
        """A message came back; ``item`` is what was kept of it, for one with an answer."""


class Waiting(Protocol):
    """Who waits for room in a ring."""

    def next_in_queue(self) -> None:
        """There may be some now."""


class Ask:
    """A message whose end the host wants to hear of; called with the answer."""

    __slots__ = ("block", "item", "owner")

    def __init__(self, block: HostBlock, owner: Owner, item: Item) -> None:
        self.block = block
        self.owner = owner
        self.item = item

    def __call__(self, value: Any) -> None:
        self.block.asks -= 1
        self.owner.answered(self.item, value)


class HostBlock:
    """Puts messages and commands into one ring, and hands on what the other one brings.

    ``wakes``: the block can wake a thread that sleeps on its bell.
    """

    def __init__(
        self,
        region: Region,
        plans: Plans,
        number: int,
        owner_of: Callable[[int], Owner | None],
        relay: Callable[[Slot], None],
        stray: Callable[[Slot], None],
        kick: Callable[[HostBlock], None],
        wakes: bool,
    ) -> None:
        g = region.geometry
        self.number = number
        self.plans = plans
        self.host = region.host_blocks[number]
        self.line = region.dev_blocks[number]
        self.capacity = g.capacity
        self._owner_of = owner_of
        self._relay = relay
        self._stray = stray
        self._kick = kick
        self.end = RingEnd(region.map, number, g.program, plans.messages, unanswered, wakes, False)
        self.open = True
        self.asks = 0
        """Asks under way."""
        self._failed: dict[int, Ask] = {}
        """Asks whose handler stopped, until their messages have come back."""
        self._commands: set[asyncio.Future[Status]] = set()
        self._late: deque[Order] = deque()
        """Commands that found the ring full; what comes after them waits behind them."""
        self._room: dict[Waiting, None] = {}
        self._events: deque[Event] = deque()
        self._fences: deque[Callable[[], None]] = deque()
        """Whom fences that are answered have to be told to."""
        self._counts = dict.fromkeys(COUNTERS, 0)
        self.full = 0
        """How often a message found the ring full."""

    # -- out

    @property
    def depth(self) -> int:
        """Messages in the ring that the device has not taken, as far as it has said."""
        return self.capacity - self.end.room if self.open else 0

    @property
    def clear(self) -> bool:
        """Whether nothing waits for room."""
        return not self._late and not self._room and self.open

    def put(
        self, plan: RecordPlan, message: Any, dest: int, sender: int, expires: int, ask: Ask | None
    ) -> bool:
        """Hands a message over; False when there is no room now.

        Raises:
            LayoutError: a value does not fit its field.
        """
        if self._late or self.asks >= MOST_ASKS:
            return False
        if ask is None:
            done = self.end.tell(dest, plan, message, sender, expires)
        else:
            reply = self.plans.replies[plan.kind]
            done = self.end.ask(dest, plan, message, reply, ask, sender, expires) != 0
            self.asks += done
        if not done:
            self.full += 1
        return done

    def command(self, command: Command, dest: int = 0, me: bytes = b"") -> asyncio.Future[Status]:
        """Sends a command, after all that was sent before; the future is its status.

        ``me`` is the actor's own ``gpu.Ref``.
        """
        done: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        self._commands.add(done)

        def acknowledged(data: bytes) -> None:
            self._commands.discard(done)
            if not done.done():
                done.set_result(Status(_STATUS.unpack_from(data)[0]))

        self._command(command, dest, me, acknowledged)
        return done

    def fence(self, then: Callable[[], None]) -> None:
        """Calls once all that was sent before has been dealt with; never if the device is lost."""
        # Answers are handed on before the messages that came with them.
        self._command(Command.STATS, 0, b"", lambda data: self._fences.append(then))

    def _command(self, *order: *Order) -> None:
        if self._late or not self._put_command(*order):
            self._late.append(order)
            self.end.want_room(True)
        self._kick(self)

    def _put_command(
        self, command: Command, dest: int, me: bytes, done: Callable[[bytes], None]
    ) -> bool:
        flags = Flag.SENDER if me else 0
        return self.end.put(command, dest, me, waiter=done, flags=flags) != 0

    def ring(self) -> None:
        """Wakes the block if it sleeps."""
        if self.open:
            self.end.ring()

    def kill(self) -> None:
        """Has the block look at the list of the killed."""
        self.host.add("kill_epoch")
        self.ring()

    def want_room(self, waiting: Waiting) -> None:
        """Has somebody told, once, when it is worth trying to put a message again."""
        self._room[waiting] = None
        self.end.want_room(True)

    # -- in

    def poll(self, limit: int = 4096) -> bool:
        """Hands on up to so many messages; whether there are more to come."""
        if not self.open:
            return False
        self.take(self.end.poll(limit))
        return self.open and self.end.ready

    def take(self, events: list[Event]) -> None:
        """Hands on what came back, in order also where handing on brings more."""
        self._events += events
        while self._events:
            try:
                self._dispatch(self._events.popleft())
            except Exception:  # noqa: BLE001 - the next one has its turn all the same
                _log.exception("a message that came back from a device could not be handed on")
        self.settle()

    def settle(self) -> None:
        """Ends the fences that are answered, and uses the room that there is."""
        while self._fences and not self._events:
            self._fences.popleft()()
        self._make_room()

    def _make_room(self) -> None:
        if not (self._late or self._room) or not self.open:
            return
        while self._late and self._put_command(*self._late[0]):
            self._late.popleft()
        free = self.end.room
        while self._room and free > 0 and not self._late and self.asks < MOST_ASKS:
            waiting = next(iter(self._room))
            del self._room[waiting]
            waiting.next_in_queue()
            free -= 1
        self.end.want_room(bool(self._late or self._room))

    def _dispatch(self, event: Event) -> None:
        flags, kind, dest, corr, waiter, data, _ = event
        slot = Slot(kind, flags, dest, corr, data)
        if flags & Flag.TOLD:
            self._relay(slot)
        elif flags & Flag.BOUNCED:
            ask = self._known(corr)
            owner = ask.owner if ask is not None else self._owner_of(dest)
            if owner is not None:
                reason = Reason(flags >> REASON_SHIFT & 15)
                owner.bounced(slot, reason, ask.item if ask is not None else None)
            else:
                self._stray(slot)
        elif flags & Flag.ERROR:
            if waiter is not None:
                self._failed[corr] = waiter
            owner = self._owner_of(dest)
            if owner is not None:
                owner.faulted(_FAULT.unpack(data)[1])

    def fails(self, corr: int, ask: Ask) -> None:
        """An ask whose message comes back next, because its handler stopped."""
        self.asks += 1
        self._failed[corr] = ask

    def returns(self, slot: Slot, reason: Reason) -> None:
        """A message that a thread waited for came back."""
        ask = self._known(slot.corr)
        assert ask is not None
        ask.owner.bounced(slot, reason, ask.item)

    def _known(self, corr: int) -> Ask | None:
        """The ask with a number, which is no longer under way."""
        ask: Ask | None = None
        if corr:
            ask = self._failed.pop(corr, None)
            if ask is None and self.open:
                ask = self.end.forget(corr)
        if ask is not None:
            self.asks -= 1
        return ask

    # -- the end

    def counts(self) -> dict[str, int]:
        """What the device has counted, all of one moment: read again while it writes them.

        After a millisecond of that, what it said the last time.
        """
        line, until = self.line, time.monotonic() + 0.001
        while time.monotonic() < until:
            before = line["seq"]
            found = {name: line[name] for name in COUNTERS}
            if before % 2 == 0 and line["seq"] == before:
                self._counts = found
                break
        return self._counts

    def taken(self) -> int:
        """Messages and commands that the device has dealt with."""
        counts = self.counts()
        return counts["handled"] + counts["bounced"] + counts["commands"]

    def lost(self, error: DeviceLost) -> list[tuple[Slot, Item | None]]:
        """The device is gone: what it had not dealt with, in order, with what was kept of it.

        Whoever waits for a command hears of it.
        """
        while self.poll():
            pass
        found: list[tuple[Slot, Item | None]] = []
        put = self.end.stats()["put"]
        unread = self.end.unread()
        # It says lazily how far it has read; its counters know better.
        left = min((put - self.taken()) & 0xFFFFFFFF, len(unread))
        for flags, kind, dest, corr, _, data, _ in unread[len(unread) - left :]:
            if kind >= USER:
                ask = self._known(corr)
                if corr and ask is None:
                    continue  # its answer came, though the device had not counted it yet
                found.append(
                    (Slot(kind, flags, dest, corr, data), ask.item if ask is not None else None)
                )
        # Those that the device had handled, but their answers went with it.
        asks = [waiter for _, waiter in self.close() if isinstance(waiter, Ask)]
        asks += self._failed.values()
        found += [(Slot(USER, 0, 0, 0, b""), ask.item) for ask in asks]
        self._failed.clear()
        self.asks = 0
        commands, self._commands = self._commands, set()
        for done in commands:
            if not done.done():
                done.set_exception(error)
        self._late.clear()
        self._room.clear()
        return found

    def close(self) -> list[tuple[int, Any]]:
        """Lets go of the ring; (number, waiter) of what was not answered."""
        self.open = False
        return self.end.close()


class Unanswered(Exception):
    """A thread that waits for an answer gets none: the event that came, or why."""

    def __init__(self, event: Event | str) -> None:
        super().__init__(event)
        self.event = event


def unanswered(event: Event | str) -> None:
    """What a ring's end calls then."""
    raise Unanswered(event)
