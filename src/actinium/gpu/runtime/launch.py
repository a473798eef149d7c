"""One launch: a region of shared memory, a kernel that stays resident over it, and its actors."""

from __future__ import annotations

import asyncio
import itertools
import logging
import struct
import time
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from actinium.core import Actor
from actinium.core.system import system_of
from actinium.errors import (
    ActorStopped,
    DeviceLost,
    KernelHung,
    Overloaded,
    Unavailable,
    Unsupported,
)

from ..abi.geometry import Geometry
from ..abi.region import Region
from ..abi.ring import Slot
from ..abi.sizes import SOURCE, Sizes
from ..abi.words import INDEX_BITS, Command, Stop
from ..executors.resident import Executor, executor_class
from ..lang.marks import initial_state
from ..program import Program
from .block import HostBlock, Item
from .driver import Driver, Steps, Watch, Watched
from .info import LaunchInfo, LaunchState
from .place import Place
from .plans import Plans, Way
from .process import ProcessExecutor
from .ref import GpuRef
from .shepherd import Shepherd, shepherd_class

if TYPE_CHECKING:
    from actinium.core import LocalRef, System
    from actinium.core.mailbox import Mailbox
    from actinium.core.supervision import SupervisorStrategy

    from .handles import Handles

_log = logging.getLogger("actinium.gpu")
_INDEX = (1 << INDEX_BITS) - 1
_SOURCE = struct.Struct("<I")

Isolation = Literal["inline", "process"]
END_SECONDS = 5.0
"""How long a kernel may take to end by itself."""
SUSPECT_SECONDS = 2.0
"""After how long a handler that does not end is reported."""
WAKES = frozenset(["cpu"])
"""Backends whose blocks can wake a thread of the host."""
ORPHAN_NS = 2_000_000_000


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a launch. ``inbox``: slots of the ring that the actors of a block share."""

    blocks: int
    actors: int
    inbox: int = 1024
    stamped: bool = False


class Holder(Actor):
    """The parent of a launch's actors in the tree: it ends the kernel when it stops."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch

    async def stopping(self, reason: str) -> None:
        await self._launch.end()


class Launch:
    """A resident kernel and the actors in it; made by :meth:`Runtime.launch`."""

    def __init__(
        self,
        system: System,
        program: Program,
        name: str,
        backend: str,
        shape: Shape,
        handles: Handles,
        max_steps: int,
        watch: Watch,
        isolation: Isolation = "inline",
    ) -> None:
        self.system = system
        self.program = program
        self.name = name
        self.backend = backend
        self.shape = shape
        self.isolation = isolation
        self.handles = handles
        self._watch = watch
        self.sizes = Sizes(program)
        self.plans = Plans(self.sizes, handles, self._own)
        self.ways: dict[type, Way] = {}
        """How messages go past the mailbox; none without a thread, nor with a deadline in each."""
        spec = program.spec
        assert spec is not None
        self.geometry = Geometry(
            program=layouts_hash(program),
            blocks=shape.blocks,
            actors=shape.actors,
            capacity=shape.inbox,
            in_bytes=self.sizes.in_bytes,
            out_bytes=self.sizes.out_bytes,
            state_size=spec.state.size,
            stamped=shape.stamped,
            orphan_ns=ORPHAN_NS,
            budget=max_steps,
        )
        self.cls: type[Shepherd] = shepherd_class(program)
        self.state: LaunchState = "starting"
        self.epoch = 0
        """How often its kernel was started."""
        self.blocks: list[HostBlock] = []
        self.executor: Any = None
        self.region: Region
        self.holder: LocalRef[Any] | None = None
        self.mailbox: Mailbox | None = None
        self.supervise: SupervisorStrategy | None = None
        self._driver: Driver | None = None
        self._starting: asyncio.Future[None] | None = None
        self._closing = False
        self._ended: LaunchInfo | None = None
        self._initial = initial_state(spec)
        count = shape.blocks * shape.actors
        self._places: list[Place | None] = [None] * count
        # Place by place over all blocks, so that few actors use many blocks.
        self._free = [
            block * shape.actors + at for at in range(shape.actors) for block in range(shape.blocks)
        ][::-1]
        self._generations: dict[int, int] = {}
        """Of places that are free again."""
        self._names = itertools.count()
        self._beat = 0.0
        self._runs: list[tuple[tuple[int, int], float, bool]] = [
            ((0, 0), 0.0, False)
        ] * shape.blocks
        """What each block ran when it was looked at, since when, and whether that was said."""
        self.kill_after: float | None = None
        self.relayed = 0
        self.faults = 0

    # -- life

    def _life(self) -> Any:
        assert self.holder is not None
        return system_of(self.holder)._life

    @property
    def alive(self) -> bool:
        """Whether the kernel runs."""
        return self.state == "running"

    async def up(self) -> None:
        """Has the kernel run, started anew if its device was lost.

        Raises:
            GpuError: it cannot.
        """
        while self.state != "running":
            if self._closing:
                raise DeviceLost(f"the launch {self.name} has ended")
            if self._starting is None:
                self._starting = asyncio.ensure_future(self._start())
            # Who waits may be cancelled; a kernel that starts goes on to where it can be ended.
            await asyncio.shield(self._starting)

    async def _start(self) -> None:
        self.region = Region.make(self.geometry)
        try:
            await self._start_kernel(self.region)
        except BaseException:
            self.region.close()
            raise
        finally:
            self._starting = None

    async def _start_kernel(self, region: Region) -> None:
        cls = executor_class(self.backend)
        stride = self.geometry.state_stride
        for index in range(len(self._places)):
            at = self.geometry.init(index)
            region.memory[at : at + len(self._initial)] = self._initial
        assert stride >= len(self._initial)
        self._beat = 0.0
        self.beat()

        apart = self.isolation == "process"

        def make() -> Executor:
            made: Executor = (
                ProcessExecutor(self.backend, self.program, region.map, region.fd, self.geometry)
                if apart
                else cls(self.program, region.map, region.fd, self.geometry)
            )
            made.start()
            return made

        stepped = hasattr(cls, "step") and not apart
        self.executor = make() if stepped else await asyncio.to_thread(make)
        wakes = self.backend in WAKES
        self.blocks = [
            HostBlock(
                region, self.plans, number, self._owner, self._relay, self._stray, self.kick, wakes
            )
            for number in range(self.geometry.blocks)
        ]
        for place in self._places:
            if place is not None:
                place.block = self.blocks[place.index // self.shape.actors]
        driver: Driver = Steps(self) if stepped else Watched(self, self._watch)
        self._driver = driver
        if not stepped and not self.shape.stamped:
            self.ways.update(self.plans.ways(self.sizes))
        self.epoch += 1
        self.state = "running"

    async def end(self) -> None:
        """Ends the kernel, after all that was sent to it; by force where it does not listen."""
        if self._closing:
            return
        self._closing = True
        if self._starting is not None:
            await asyncio.wait([self._starting])
        was, self.state = self.state, "ending"
        try:
            if was == "running":
                await self._end_kernel()
        finally:
            self.state = "ended"
            if self._driver is not None:
                self._driver.close()
            if was == "running":
                self._ended = self.info()
                for block in self.blocks:
                    block.close()
                self.region.close()
                # The memory goes with the last of those who have a view of it.
                self.blocks, self.executor = [], None
                del self.region

    async def _end_kernel(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + END_SECONDS
        for block in self.blocks:
            block.command(Command.POISON)
        while not self.executor.ended(0):
            if loop.time() > until:
                break
            self.turn()
            await asyncio.sleep(0.0005)
        else:
            return
        self.region.host["stop"] = Stop.NOW
        for block in self.blocks:
            block.host.add("bell")
            block.kill()
        if await asyncio.to_thread(self.executor.ended, 0.5):
            return
        try:
            self.executor.force()
        except (Unsupported, Unavailable) as e:
            raise KernelHung(END_SECONDS, f"{self.running()}; {e}") from e

    def running(self) -> str:
        """What the blocks run now, for people."""
        found = []
        for block in self.blocks:
            kind = block.line["running_kind"]
            message = self.sizes.messages.get(kind)
            if message is not None:
                place = self._places[block.line["running"] & _INDEX]
                cell = place.cell if place is not None else None
                who = cell.path if cell is not None else f"actor {block.line['running'] & _INDEX}"
                found.append(f"{who} handles {message.__name__}")
        return ", ".join(found) or "no handler runs"

    def lost(self, error: DeviceLost) -> None:
        """The device is gone: each message that it had is accounted for, and its actors fail."""
        if self.state != "running":
            return
        self.state = "lost"
        _log.error("%s: %s", self.name, error)
        assert self._driver is not None
        self._driver.close()
        for block in self.blocks:
            for slot, item in block.lost(error):
                place = self._places[slot.dest & _INDEX] if item is None else None
                if item is not None:
                    self._lose(item, error)
                elif place is not None and place.cell is not None:
                    place.lost(slot, None, error)
        self.region.close()
        for place in [p for p in self._places if p is not None]:
            place.fail(error)

    def _lose(self, item: Item, error: DeviceLost) -> None:
        target = item[2].target if hasattr(item[2], "target") else None
        cell = target if target is not None else self.holder
        assert cell is not None
        cell.core.returned(1)
        self._life().undelivered.record("handler_failed", cell, *item, error)

    # -- actors

    @property
    def free(self) -> int:
        """Places that nobody has."""
        return len(self._free)

    def runs(self, what: Any) -> bool:
        """Whether it runs this class, or this program."""
        spec = self.program.spec
        return what is self.program or (spec is not None and what is spec.cls)

    def spawn(self, name: str | None) -> GpuRef:
        """Starts an actor in a free place.

        Raises:
            Overloaded: there is none.
            NameTaken: a living actor of this launch has the name.
        """
        assert self.holder is not None
        if name is None:
            name = f"{next(self._names)}"
        place = self._take()
        options: dict[str, Any] = {"name": name, "mailbox": self.mailbox}
        options["supervise"] = self.supervise
        given = {key: value for key, value in options.items() if value is not None}
        try:
            ref: Any = self._life().spawn(self.holder, self.cls, (place,), given, None)
        except BaseException:
            self.release(place)
            raise
        ref.__class__ = GpuRef
        found: GpuRef = ref
        return found

    def info(self) -> LaunchInfo:
        """How it is; how it was at its end."""
        if self._ended is not None:
            return self._ended
        counts = [block.counts() for block in self.blocks]

        def total(field: str) -> int:
            return sum(count[field] for count in counts)

        return LaunchInfo(
            name=self.name,
            program=self.program.name,
            backend=self.backend,
            state=self.state,
            blocks=self.shape.blocks,
            places=len(self._places),
            actors=sum(place is not None for place in self._places),
            queued=sum(block.depth for block in self.blocks),
            handled=total("handled"),
            bounced=total("bounced"),
            faults=self.faults,
            full=sum(block.full for block in self.blocks),
            told=self.relayed,
            starts=self.epoch,
            running=self.running() if self.alive else "",
        )

    def _take(self) -> Place:
        if not self._free:
            raise Overloaded(
                f"{self.name} has {len(self._places)} places and all are taken; "
                "launch it with a larger max_actors"
            )
        index = self._free.pop()
        number = index // self.shape.actors
        place = Place(self, self.blocks[number], index)
        known = self._generations.get(index)
        if known is not None:
            place.generation = known
        self._places[index] = place
        return place

    def release(self, place: Place) -> None:
        """The actor of a place has ended."""
        if self._places[place.index] is place:
            self._places[place.index] = None
            self._generations[place.index] = place.generation
            self._free.append(place.index)

    def _owner(self, dest: int) -> Place | None:
        index = dest & _INDEX
        return self._places[index] if index < len(self._places) else None

    def _stray(self, slot: Slot) -> None:
        """A told message came back for an actor that has ended meanwhile."""
        holder = self.holder
        assert holder is not None
        holder.core.returned(1)
        message = self.unpack(slot.kind, slot.data[-self.sizes.to_device(slot.kind, 0) :])
        error = ActorStopped(f"an actor of {holder.path} stopped before it handled the message")
        self._life().undelivered.record("actor_stopped", holder, message, None, None, error)

    # -- messages

    def unpack(self, kind: int, data: bytes) -> Any:
        """The message of these bytes."""
        return self.plans.messages[kind].unpack(data)

    def sender(self, number: int) -> Any:
        """Who sent a message that comes back."""
        return self.handles.ref(number, self._own)

    def _own(self, dest: int) -> Any:
        """Whose handle this is."""
        place = self._owner(dest)
        return place.cell if place is not None else None

    def _relay(self, slot: Slot) -> None:
        """A message out of a handler goes to the ref that it names."""
        target = self.handles.ref(slot.dest | slot.corr << 32, self._own)
        (source,) = _SOURCE.unpack_from(slot.data)
        place = self._owner(source)
        sender = place.cell if place is not None else None
        message = self.unpack(slot.kind, slot.data[SOURCE:])
        self.relayed += 1
        if target is not None:
            target.tell(message, sender=sender)
            return
        about = sender if sender is not None else self.holder
        assert about is not None
        self.system.dead_letters.record("actor_not_found", about, sender, message)

    def expires(self, remaining: float | None) -> int:
        """When a message is late, in microseconds since 1970; 0: never, or that is not carried."""
        if remaining is None or not self.shape.stamped:
            return 0
        return time.time_ns() // 1000 + max(1, int(remaining * 1e6))

    # -- moving

    def kick(self, block: HostBlock) -> None:
        """Something went into the ring of this block."""
        assert self._driver is not None
        self._driver.kick(block)

    def turn(self) -> None:
        """Moves what can be moved now."""
        assert self._driver is not None
        self._driver.turn()

    def poll(self) -> bool:
        """Hands on what came back."""
        busy = False
        for block in self.blocks:
            busy = block.poll() or busy
        return busy

    def look(self) -> None:
        """Finds out that the kernel has gone, or that a handler does not end."""
        if self.state != "running":
            return
        gone = getattr(self.executor, "gone", None)
        reason = gone() if gone is not None else ""
        if reason:
            self.lost(DeviceLost(f"{self.name}: {reason}"))
            return
        now = time.monotonic()
        for number, block in enumerate(self.blocks):
            line = block.line
            run = (line["running_kind"], line["since"])
            if run[0] == 0 or self._runs[number][0] != run:
                self._runs[number] = (run, now, False)
                continue
            _, began, said = self._runs[number]
            if now - began > SUSPECT_SECONDS and not said:
                self._runs[number] = (run, began, True)
                _log.warning("%s: a handler does not end: %s", self.name, self.running())
            if self.kill_after is not None and now - began > self.kill_after:
                self._hung(now - began)
                return

    def _hung(self, seconds: float) -> None:
        error = DeviceLost(
            f"{self.name}: no end after {seconds:.1f} s: {self.running()}; the kernel was ended"
        )
        try:
            self.executor.force()
        except (Unsupported, Unavailable) as e:
            _log.error("%s: %s cannot be ended: %s", self.name, self.running(), e)
            self.kill_after = None
            return
        self.lost(error)

    def beat(self) -> None:
        """Tells the device that this process lives, and what time it is."""
        now = time.monotonic()
        if now - self._beat > 0.001:
            self._beat = now
            host = self.region.host
            host["wall_us"] = time.time_ns() // 1000
            host.add("heartbeat")


def layouts_hash(program: Program) -> int:
    """What both sides of a region compare: all layouts of a program as one number."""
    total = 0
    for record in program.records:
        total = (total * 31 + record.hash) & 0xFFFF_FFFF_FFFF_FFFF
    return total
