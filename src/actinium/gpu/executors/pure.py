"""The oracle as a resident kernel: CPython runs the handlers and its end of the rings.

It is the protocol in its plainest form, and what the other executors are compared with. The host's
event loop runs it (:class:`~.resident.Stepped`), or a process of its own.
"""

from __future__ import annotations

import copy
import mmap
import struct
import time
from collections import deque
from typing import Any

from actinium.errors import DeviceFault

from ..abi.geometry import Geometry
from ..abi.region import Region
from ..abi.ring import Consumer, Producer, Slot, Stamp
from ..abi.sizes import SENDER, SOURCE, Sizes
from ..abi.words import (
    INDEX_BITS,
    REASON_SHIFT,
    USER,
    Command,
    Flag,
    Reason,
    State,
    Status,
    Stop,
)
from ..program import Program
from .oracle import OracleActor

BATCH = 256
"""Messages of a block in one step."""
_INDEX = (1 << INDEX_BITS) - 1


class _Place:
    __slots__ = ("actor", "failed", "generation", "index", "me")

    def __init__(self, index: int, actor: OracleActor, generation: int, me: bytes) -> None:
        self.index = index
        self.me = int.from_bytes(me, "little")
        self.actor = actor
        self.generation = generation
        self.failed = False

    @property
    def handle(self) -> int:
        return self.index | self.generation << INDEX_BITS


class _Block:
    """One block: its rings, its places, and the one unit that runs handlers."""

    def __init__(self, kernel: OracleExecutor, number: int) -> None:
        g = kernel.geometry
        memory = kernel.region.memory
        self.kernel = kernel
        self.first = number * g.actors
        self.places: list[_Place | None] = [None] * g.actors
        self.killed = [0] * g.actors
        self.host = kernel.region.host_blocks[number]
        self.line = kernel.region.dev_blocks[number]
        self.taker = Consumer(memory, g.h2k(number), g.in_slot, g.capacity, kernel.sizes.to_device)
        self.maker = Producer(memory, g.k2h(number), g.out_slot, g.capacity)
        self.out: deque[Slot] = deque()
        self.epoch = 0
        self.counts = dict.fromkeys(("handled", "bounced", "faults", "commands"), 0)
        self.posted = 0
        self.ended = False

    # -- the loop

    def step(self) -> bool:
        """Handles up to BATCH messages; False when there was nothing to do."""
        if self.ended:
            return False
        self.line["heartbeat"] = time.monotonic_ns()
        busy = False
        for _ in range(BATCH):
            if self.kernel.region.host["stop"] == Stop.NOW:
                self.end(State.ENDED)
                return True
            if not self._flush():
                break  # what takes a message may have to answer it
            slot = self.taker.take()
            if slot is None:
                break
            busy = True
            self._handle(slot)
            if self.taker.count - self.posted >= self.taker.capacity // 16:
                self._post()
            if self.ended:
                return True
        self._flush()
        self._post()
        return busy

    def _flush(self) -> bool:
        while self.out:
            if not self.maker.put(self.out[0], self.host["k2h_read"]):
                return False
            self.out.popleft()
        return True

    def _post(self) -> None:
        """The counters, and the credit for what was taken."""
        line = self.line
        line.add("seq")
        for name, count in self.counts.items():
            line[name] = count
        line["k2h_written"] = self.maker.count & 0xFFFFFFFF
        line.add("seq")
        self.posted = self.taker.count
        line["h2k_read"] = self.posted & 0xFFFFFFFF

    def end(self, state: State) -> None:
        """Leaves the loop."""
        while not self._flush() and self.kernel.region.host["stop"] != Stop.NOW:
            return  # the host reads on; this is called again
        self._post()
        self.line["state"] = state
        self.ended = True

    # -- one slot

    def _handle(self, slot: Slot) -> None:
        if slot.kind < USER:
            self.counts["commands"] += 1
            self._command(slot)
            return
        reason = self._refusal(slot)
        if reason is not None:
            self._bounce(slot, reason)
            return
        place = self._place(slot)
        assert place is not None
        self._run(place, slot)

    def _place(self, slot: Slot) -> _Place | None:
        at = (slot.dest & _INDEX) - self.first
        return self.places[at] if 0 <= at < len(self.places) else None

    def _refusal(self, slot: Slot) -> Reason | None:
        place = self._place(slot)
        if place is None:
            return Reason.NO_ACTOR
        if place.generation != slot.dest >> INDEX_BITS:
            return Reason.STALE
        if self._is_killed(place):
            return Reason.STOPPED
        if place.failed:
            return Reason.SUSPENDED
        if slot.stamp is not None and self._expired(slot.stamp):
            return Reason.EXPIRED
        if slot.kind not in self.kernel.sizes.messages:
            return Reason.UNKNOWN_KIND
        return None

    def _is_killed(self, place: _Place) -> bool:
        epoch = self.host["kill_epoch"]
        if epoch != self.epoch:
            self.epoch = epoch
            g, memory = self.kernel.geometry, self.kernel.region.memory
            for i in range(g.actors):
                (self.killed[i],) = struct.unpack_from("<I", memory, g.kill(self.first + i))
        return self.killed[place.index - self.first] == place.generation + 1

    def _expired(self, stamp: Stamp) -> bool:
        now = self.kernel.region.host["wall_us"]
        return stamp.deadline_us > 0 and now > (stamp.hlc >> 12) + stamp.deadline_us

    def _bounce(self, slot: Slot, reason: Reason) -> None:
        self.counts["bounced"] += 1
        flags = slot.flags | Flag.BOUNCED | reason << REASON_SHIFT
        self.out.append(slot._replace(flags=flags))

    def _run(self, place: _Place, slot: Slot) -> None:
        cls = self.kernel.sizes.messages[slot.kind]
        start = SENDER if slot.flags & Flag.SENDER else 0
        message = cls.__gpu_record__.unpack(slot.data[start:])
        line = self.line
        line["running"] = place.handle
        line["since"] = time.monotonic_ns()
        line["running_kind"] = slot.kind
        try:
            value = self._call(place, message, slot.data[:start])
        except DeviceFault as fault:
            self.counts["faults"] += 1
            place.failed = True
            data = struct.pack("<III", Status.FAULT, self.kernel.site(fault), 0)
            flags = Flag.REPLY | Flag.ERROR
            self.out.append(Slot(slot.kind, flags, slot.dest, slot.corr, data))
            self._bounce(slot, Reason.FAILED)
        else:
            self.counts["handled"] += 1
            self._tell(place)
            if slot.corr:
                data = self.kernel.sizes.replies[slot.kind].pack(value)
                self.out.append(Slot(slot.kind, Flag.REPLY, slot.dest, slot.corr, data))
        finally:
            line["running_kind"] = 0

    def _call(self, place: _Place, message: Any, sender: bytes) -> Any:
        actor = place.actor
        actor.me = place.me
        actor.now_us = self.kernel.region.host["wall_us"]
        return actor.handle(message, sender=int.from_bytes(sender, "little"))

    def _tell(self, place: _Place) -> None:
        """What the handler told others goes to the host, which knows where they are."""
        source = struct.pack("<I", place.handle)
        for to, message in place.actor.told:
            data = source + type(message).__gpu_record__.pack(message)
            kind = type(message).__gpu_kind__
            assert len(source) == SOURCE
            self.out.append(Slot(kind, Flag.TOLD, to & 0xFFFFFFFF, to >> 32, data))

    # -- commands

    def _command(self, slot: Slot) -> None:
        status, rest = Status.UNSUPPORTED, b""
        if slot.kind == Command.PING:
            status, rest = Status.OK, struct.pack("<Q", time.monotonic_ns())
        elif slot.kind == Command.STATS:
            counts = (self.counts["handled"], self.counts["bounced"], self.counts["faults"])
            status, rest = Status.OK, struct.pack("<QQQ", *counts)
        elif slot.kind == Command.POISON:
            status = Status.OK
        elif slot.kind in (Command.RESET, Command.SPAWN, Command.RESUME, Command.STOP):
            status = self._of_place(Command(slot.kind), slot)
        data = struct.pack("<II", status, 0) + rest
        self.out.append(Slot(slot.kind, Flag.REPLY, slot.dest, slot.corr, data))
        if slot.kind == Command.POISON:
            self.end(State.ENDED)

    def _of_place(self, command: Command, slot: Slot) -> Status:
        at, generation = (slot.dest & _INDEX) - self.first, slot.dest >> INDEX_BITS
        if not 0 <= at < len(self.places):
            return Status.BAD_ARG
        place = self.places[at]
        if command is Command.STOP:
            if place is not None and place.generation != generation:
                return Status.BAD_STATE
            self.places[at] = None
            return Status.OK
        if command is Command.SPAWN and place is None:
            index = self.first + at
            self.places[at] = _Place(index, self.kernel.actor(index), generation, slot.data)
            return Status.OK
        if place is None:
            return Status.BAD_STATE
        if command is Command.RESET and place.generation != generation:
            place.actor = self.kernel.actor(place.index)
            place.me = int.from_bytes(slot.data, "little")
            place.generation, place.failed = generation, False
            return Status.OK
        if place.generation != generation:
            return Status.BAD_STATE
        if command is Command.RESUME:
            place.failed = False
        return Status.OK


class OracleExecutor:
    """A resident kernel in CPython. Slow, and right by definition."""

    name = "oracle"

    def __init__(self, program: Program, region: mmap.mmap, fd: int, geometry: Geometry) -> None:
        self.geometry = geometry
        self.region = Region.attach(fd, geometry)
        self.program = program
        self.sizes = Sizes(program)
        self._first = OracleActor(program, max_steps=geometry.budget)
        self._sites = {
            (kind, file, line): i for i, (kind, file, line) in enumerate(program.sites, 1)
        }
        self._blocks: list[_Block] = []

    @staticmethod
    def missing() -> tuple[str, str] | None:
        """It runs everywhere."""
        return None

    # -- what a block needs

    def actor(self, index: int) -> OracleActor:
        """An actor with the initial state that the region has for this place."""
        made = copy.copy(self._first)
        spec = self.program.spec
        assert spec is not None
        at = self.geometry.init(index)
        made.state = spec.state.unpack(self.region.memory[at : at + spec.state.size])
        return made

    def site(self, fault: DeviceFault) -> int:
        """The number of the place where a handler stopped."""
        return self._sites[(fault.fault, fault.file, fault.line)]

    # -- Executor

    def start(self) -> None:
        self._blocks = [_Block(self, b) for b in range(self.geometry.blocks)]
        for block in self._blocks:
            block.line["state"] = State.RUNNING

    def step(self) -> bool:
        busy = [block.step() for block in self._blocks]
        return any(busy)

    def ended(self, timeout: float) -> bool:
        self.step()
        if any(not block.ended for block in self._blocks):
            return False
        self._blocks = []  # they and their kernel hold each other, and the region
        return True

    def orphaned(self) -> None:
        """The host has gone: every block says so and ends."""
        for block in self._blocks:
            block.end(State.ORPHANED)

    def force(self) -> None:
        for block in self._blocks:
            block.ended = True
