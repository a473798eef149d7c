"""The host's end of one block: what goes into its ring, and what comes back."""

from __future__ import annotations

import asyncio
import itertools
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from actinium.errors import DeviceLost

from ..abi.futex import wake
from ..abi.region import Region
from ..abi.ring import Consumer, Producer, Slot, Stamp
from ..abi.sizes import Sizes
from ..abi.words import REASON_SHIFT, USER, Command, Flag, Reason, Status

MOST_ASKS = 65_536
"""Asks of one block under way at a time; more wait in the mailboxes."""
COUNTERS = ("handled", "bounced", "faults", "commands")
_STATUS = struct.Struct("<II")
_FAULT = struct.Struct("<III")

Item = tuple[Any, Any, Any]
"""A message, its sender or None, its reply, envelope or None."""


class Owner(Protocol):
    """Whom a block tells what came back for an actor."""

    def answered(self, item: Item, data: bytes, kind: int) -> None:
        """The handler has ended well."""

    def faulted(self, site: int) -> None:
        """A handler stopped; its message comes back next."""

    def bounced(self, slot: Slot, reason: Reason, item: Item | None) -> None:
        """A message came back; ``item`` is what was kept of it, for one with an answer."""


class Waiting(Protocol):
    """Who waits for room in a ring."""

    def next_in_queue(self) -> None:
        """There may be some now."""


class Ask(NamedTuple):
    """A message whose end the host wants to hear of."""

    owner: Owner
    item: Item


class HostBlock:
    """Puts messages and commands into one ring, and hands on what the other one brings."""

    def __init__(
        self,
        region: Region,
        sizes: Sizes,
        number: int,
        owner_of: Callable[[int], Owner | None],
        relay: Callable[[Slot], None],
        stray: Callable[[Slot], None],
        kick: Callable[[HostBlock], None],
    ) -> None:
        g = region.geometry
        self.number = number
        self.sizes = sizes
        self.host = region.host_blocks[number]
        self.line = region.dev_blocks[number]
        self._region = region
        self._owner_of = owner_of
        self._relay = relay
        self._stray = stray
        self._kick = kick
        self.maker = Producer(region.memory, g.h2k(number), g.in_slot, g.capacity)
        self.taker = Consumer(region.memory, g.k2h(number), g.out_slot, g.capacity, sizes.to_host)
        self.asks: dict[int, Ask] = {}
        self._commands: dict[int, tuple[int, asyncio.Future[Status]]] = {}
        self._late: deque[Slot] = deque()
        """Commands that found the ring full; what comes after them waits behind them."""
        self._room: dict[Waiting, None] = {}
        self._numbers = itertools.count(1)
        self._stamped = g.stamped
        self._counts = dict.fromkeys(COUNTERS, 0)
        self.full = 0
        """How often a message found the ring full."""
        self.late_replies = 0

    # -- out

    @property
    def depth(self) -> int:
        """Messages in the ring that the device has not taken, as far as it has said."""
        return self.maker.capacity - self.maker.room(self.line["h2k_read"])

    def put(
        self, kind: int, flags: int, dest: int, data: bytes, ask: Ask | None, stamp: Stamp | None
    ) -> bool:
        """Hands a message over; False when there is no room now."""
        if self._late or len(self.asks) >= MOST_ASKS:
            return False
        corr = self._number() if ask is not None else 0
        slot = Slot(kind, flags, dest, corr, data, stamp)
        if not self.maker.put(slot, self.line["h2k_read"]):
            self.full += 1
            return False
        if ask is not None:
            self.asks[corr] = ask
        return True

    def _number(self) -> int:
        number = next(self._numbers) & 0xFFFFFFFF
        while number == 0 or number in self.asks or number in self._commands:
            number = next(self._numbers) & 0xFFFFFFFF
        return number

    def command(self, command: Command, dest: int = 0, me: bytes = b"") -> asyncio.Future[Status]:
        """Sends a command, after all that was sent before; the future is its status.

        ``me`` is the actor's own ``gpu.Ref``.
        """
        corr = self._number()
        slot = Slot(command, Flag.SENDER if me else 0, dest, corr, me)
        done: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        self._commands[corr] = (command, done)
        if self._late or not self.maker.put(slot, self.line["h2k_read"]):
            self._late.append(slot)
        self._kick(self)
        return done

    def ring(self) -> None:
        """Wakes the block if it sleeps. Once after a batch of messages."""
        if self.line["parked"]:
            self.host.add("bell")
            wake(self._region.memory, self.host.where("bell"))

    def kill(self) -> None:
        """Has the block look at the list of the killed."""
        self.host.add("kill_epoch")
        self.ring()

    def want_room(self, waiting: Waiting) -> None:
        """Has somebody told, once, when it is worth trying to put a message again."""
        self._room[waiting] = None

    # -- in

    def ready(self) -> bool:
        """Whether something has come; safe from any thread."""
        return self.taker.ready()

    def waits_for_room(self) -> bool:
        """Whether somebody waits for credit, which comes without a message."""
        return bool(self._room or self._late)

    def poll(self, limit: int = 4096) -> bool:
        """Hands on up to so many messages; whether there were any."""
        count = 0
        step = self.taker.capacity // 16
        while count < limit:
            slot = self.taker.take()
            if slot is None:
                break
            count += 1
            if count % step == 0:
                self._credit()
            self._dispatch(slot)
        if count:
            self._credit()
            self.ring()
        self._make_room()
        return count > 0

    def _credit(self) -> None:
        self.host["k2h_read"] = self.taker.count & 0xFFFFFFFF

    def _make_room(self) -> None:
        if not (self._late or self._room):
            return
        credit = self.line["h2k_read"]
        while self._late and self.maker.put(self._late[0], credit):
            self._late.popleft()
            self.ring()
        free = self.maker.room(credit)
        while self._room and free > 0 and not self._late and len(self.asks) < MOST_ASKS:
            waiting = next(iter(self._room))
            del self._room[waiting]
            waiting.next_in_queue()
            free -= 1

    def _dispatch(self, slot: Slot) -> None:
        flags = slot.flags
        if flags & Flag.BOUNCED:
            ask = self.asks.pop(slot.corr, None) if slot.corr else None
            owner = ask.owner if ask is not None else self._owner_of(slot.dest)
            if owner is not None:
                reason = Reason(flags >> REASON_SHIFT & 15)
                owner.bounced(slot, reason, ask.item if ask is not None else None)
            else:
                self._stray(slot)
        elif flags & Flag.TOLD:
            self._relay(slot)
        elif slot.kind < USER:
            self._acknowledged(slot)
        elif flags & Flag.ERROR:
            owner = self._owner_of(slot.dest)
            if owner is not None:
                owner.faulted(_FAULT.unpack(slot.data)[1])
        else:
            ask = self.asks.pop(slot.corr, None)
            if ask is None:
                self.late_replies += 1
            else:
                ask.owner.answered(ask.item, slot.data, slot.kind)

    def _acknowledged(self, slot: Slot) -> None:
        known = self._commands.pop(slot.corr, None)
        if known is not None and not known[1].done():
            known[1].set_result(Status(_STATUS.unpack_from(slot.data)[0]))

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
        reader = Consumer(
            self._region.memory,
            self.maker.at,
            self.maker.slot,
            self.maker.capacity,
            self.sizes.to_device,
        )
        for number in range(min(self.taken(), self.maker.count), self.maker.count):
            slot = reader.peek(number)
            if slot is not None and slot.kind >= USER:
                ask = self.asks.pop(slot.corr, None) if slot.corr else None
                found.append((slot, ask.item if ask is not None else None))
        # Those that the device had handled, but their answers went with it.
        found += [(Slot(USER, 0, 0, 0, b""), ask.item) for ask in self.asks.values()]
        self.asks.clear()
        commands, self._commands = self._commands, {}
        for _, done in commands.values():
            if not done.done():
                done.set_exception(error)
        self._late.clear()
        self._room.clear()
        return found
