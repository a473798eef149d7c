"""One actor on a device, as its host knows it: what is under way, and what its end needs."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any

from actinium import _native
from actinium.core.lifestate import enter, life_state_of
from actinium.core.system import system_of
from actinium.errors import DeadlineExceeded, DeviceFault, DeviceLost, Unhandled

from ..abi.ring import Slot
from ..abi.sizes import SENDER
from ..abi.words import GENERATION_BITS, INDEX_BITS, Command, Flag, Reason, Status
from .block import Ask, HostBlock, Item

if TYPE_CHECKING:
    from actinium.core import LocalRef

    from .launch import Launch

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_ENDING = ("stopping", "stopped")
MOST_GENERATIONS = 1 << GENERATION_BITS


class Place:
    """A place for an actor in a block, and who has it.

    The actor's messages wait in the mailbox of its shepherd. From there they go into the ring, as
    long as nothing has failed. When the handler of one stops, those behind it come back; they
    return to the front of the mailbox, and the supervisor decides.
    """

    def __init__(self, launch: Launch, block: HostBlock, index: int) -> None:
        self.launch = launch
        self.block = block
        self.index = index
        self.generation = 0
        self.handle = index
        """Word 1 of a message to the actor that lives here."""
        self.ways = launch.ways
        self.cell: LocalRef[Any] | None = None
        """The shepherd of the actor that lives here now."""
        self.open = False
        """Whether messages may go into the ring."""
        self.asked = 0
        """Asks that have not come back."""
        self.unsure = False
        """Whether something was told of which nobody knows yet that it was handled."""
        self.flying = False
        """Whether a handler of the shepherd waits until all that is under way has come back."""
        self.queue: list[asyncio.Event] = []
        """Handlers of the shepherd that wait for room, in order."""
        self._deciding = False
        """Whether a handler has stopped and the supervisor has not been asked yet."""
        self._quiet: asyncio.Future[None] | None = None
        self._site = 0
        self._back: list[Item] = []
        self._tail: list[Item] = []
        """What handlers that waited for room give back; it goes behind what comes back."""
        self._again: tuple[bytes, Any] | None = None

    @property
    def direct(self) -> bool:
        """Whether a message may go into the ring past the mailbox, if that is empty."""
        return self.open and not self.queue and self.block.clear

    def _life(self) -> Any:
        assert self.cell is not None
        return system_of(self.cell)._life

    # -- life

    async def begin(self, cell: LocalRef[Any]) -> None:
        """Gives the place to an actor, or a fresh state to the one that has it."""
        await self.launch.up()
        again = self.cell is cell and self.launch.epoch == self.epoch
        command = Command.RESET if again else Command.SPAWN
        self.cell = cell
        self.epoch = self.launch.epoch
        self.generation = (self.generation + 1) % MOST_GENERATIONS
        self.handle = self.index | self.generation << INDEX_BITS
        self.open = self.unsure = False
        self._spare()
        me = _U64.pack(self.launch.handles.number(cell))
        status = await self.block.command(command, self.handle, me)
        if status is not Status.OK:
            raise DeviceLost(f"{cell.path}: the device answered {command.name} with {status.name}")
        self.open = True

    async def finish(self, reason: str) -> None:
        """Takes the place back once all that is under way has ended; at once for a kill."""
        self.open = False
        try:
            if self.launch.alive and self.epoch == self.launch.epoch:
                if reason == "killed":
                    self._kill()
                await self.block.command(Command.STOP, self.handle)
        finally:
            self.launch.release(self)

    def _spare(self) -> None:
        """Numbers of generations come round: whoever had this one may have been killed."""
        memory, at = self.launch.region.memory, self.launch.geometry.kill(self.index)
        if _U32.unpack(memory[at : at + 4])[0] == self.generation + 1:
            memory[at : at + 4] = bytes(4)
            self.block.kill()

    def _kill(self) -> None:
        memory, at = self.launch.region.memory, self.launch.geometry.kill(self.index)
        memory[at : at + 4] = _U32.pack(self.generation + 1)
        self.block.kill()

    epoch = -1
    """The start of the kernel that this actor was made in."""

    # -- out

    def put(self, message: Any, item: Item, expires: int) -> bool:
        """Hands a message to the device; False: it has to wait.

        Raises:
            LayoutError: a value does not fit its field.
        """
        if not self.open:
            return False
        block = self.block
        plan = block.plans.messages[message.__gpu_kind__]
        sender = self.launch.handles.number(item[1])
        ask = Ask(block, self, item) if item[2] is not None else None
        if not block.put(plan, message, self.handle, sender, expires, ask):
            return False
        if ask is not None:
            self.asked += 1
        else:
            self.unsure = True
        return True

    async def settled(self) -> None:
        """Waits until nothing is under way any more."""
        while self.asked or self.unsure or self._deciding:
            if self.unsure and not self._deciding:
                self.unsure = False
                await self.block.command(Command.STATS)
            else:
                self._quiet = asyncio.get_running_loop().create_future()
                await self._quiet

    def beside(self) -> None:
        """Something went out past the mailbox: the system is busy until it has been dealt with."""
        self.unsure = True
        if self.flying:
            return
        self.flying = True
        cell = self.cell
        assert cell is not None
        core = cell.core
        core.hold(True)

        def landed(task: asyncio.Task[None]) -> None:
            self.flying = False
            core.hold(False)
            if not task.cancelled():
                task.exception()  # the device was lost, which has been decided otherwise

        core.loop.create_task(self.settled()).add_done_callback(landed)

    def late(self, message: Any, corr: int) -> _native.Reply:
        """The handler of an ask that a thread waits for stopped: it ends as any other ask."""
        assert self.cell is not None
        reply = self.cell.pending()
        self.asked += 1
        self.block.fails(corr, Ask(self.block, self, (message, None, reply)))
        self.beside()
        return reply

    def _came(self) -> None:
        self.asked -= 1
        if not self.asked:
            self._look_again()

    def _look_again(self) -> None:
        if self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)

    # -- in (the owner of a block's messages)

    def answered(self, item: Item, value: Any) -> None:
        self._came()
        extra = item[2]
        if isinstance(extra, _native.Reply) and not extra.done():
            extra.resolve(value)

    def faulted(self, site: int) -> None:
        self._site = site
        self.launch.faults += 1

    def bounced(self, slot: Slot, reason: Reason, item: Item | None) -> None:
        cell = self.cell
        if item is not None:
            self._came()
        else:
            item = self._rebuilt(slot)
        if cell is None:
            return
        cell.core.returned(1)
        if life_state_of(cell) in _ENDING and reason is Reason.SUSPENDED:
            reason = Reason.STOPPED
        match reason:
            case Reason.FAILED:
                self._failed_at(cell, slot, item)
            case Reason.SUSPENDED:
                self._back.append(item)
            case _:
                self._dead(cell, reason, item)

    def _rebuilt(self, slot: Slot) -> Item:
        """The message that came back, and who sent it."""
        data, sender = slot.data, None
        if slot.flags & Flag.SENDER:
            sender = self.launch.sender(_U64.unpack_from(data)[0])
            data = data[SENDER:]
        if self._again is not None and self._again[0] == data:
            return self._again[1], sender, None
        return self.launch.unpack(slot.kind, data), sender, None

    def _dead(self, cell: LocalRef[Any], reason: Reason, item: Item) -> None:
        undelivered = self._life().undelivered
        path = cell.path
        match reason:
            case Reason.EXPIRED:
                error: Exception = DeadlineExceeded(
                    f"the message to {path} expired before it was handled"
                )
                undelivered.record("expired", cell, *item, error)
            case Reason.UNKNOWN_KIND:
                error = Unhandled(f"{path} runs a program without this kind of message")
                undelivered.record("unhandled", cell, *item, error)
            case _:
                undelivered.closed(cell, *item)

    def _failed_at(self, cell: LocalRef[Any], slot: Slot, item: Item) -> None:
        """The handler of this message stopped: nothing more goes out until that is decided."""
        failure = DeviceFault(*self.launch.program.sites[self._site - 1])
        failure.__notes__ = [f"while {cell.path} handled {item[0]!r}"]
        self._again = (slot.data[SENDER if slot.flags & Flag.SENDER else 0 :], item[0])
        life = life_state_of(cell)
        if life in _ENDING:
            self._life().supervisor.failed(cell, *item, None, failure)
            return
        self.close()
        self._deciding = True
        cell.pause()
        if life in ("active", "draining"):
            enter(cell, "suspended")
        # All that lay behind it has come back when this is answered.
        self.block.fence(lambda: self._decide(cell, item, failure))

    def _decide(self, cell: LocalRef[Any], item: Item, failure: DeviceFault) -> None:
        if cell is not self.cell or not self._deciding:
            self._deciding = False
            return  # the device is lost, which has been decided otherwise
        if self.queue:  # they are on their way out
            cell.core.loop.call_soon(self._decide, cell, item, failure)
            return
        self.give_back()
        self._deciding = False
        self._look_again()
        self._life().supervisor.failed(cell, *item, None, failure)
        if cell.stopped_flag or cell.paused_flag or life_state_of(cell) in _ENDING:
            return
        self.block.command(Command.RESUME, self.handle)
        self.open = True
        self.next_in_queue()

    def give_back(self) -> None:
        """Puts what came back to the front of the mailbox, in its order."""
        back, self._back, self._tail = self._back + self._tail, [], []
        assert self.cell is not None
        if self.cell.stopped_flag:
            for item in back:
                self._dead(self.cell, Reason.STOPPED, item)
        elif back:
            self.cell.put_back(back)

    def lost(self, slot: Slot, item: Item | None, error: DeviceLost) -> None:
        """The device went with this message."""
        cell = self.cell
        assert cell is not None
        cell.core.returned(1)
        if item is None:
            item = self._rebuilt(slot)
        self._life().undelivered.record("handler_failed", cell, *item, error)

    def fail(self, error: DeviceLost) -> None:
        """The device is gone: the supervisor decides about the actor."""
        self.close()
        self.asked = 0
        self.unsure = self._deciding = False
        self._look_again()
        cell = self.cell
        if cell is not None and not cell.stopped_flag and life_state_of(cell) not in _ENDING:
            self.give_back()
            self._life().supervisor.failed_beside(cell, error)

    # -- room

    async def wait(self, turn: asyncio.Event) -> None:
        """Waits until the device may have room, and it is this one's turn, or all is closed."""
        turn.clear()
        if self.queue[0] is turn:
            self.block.want_room(self)
        await turn.wait()

    def next_in_queue(self) -> None:
        """Lets the first handler that waits look again."""
        if self.queue:
            self.queue[0].set()

    def close(self) -> None:
        """Lets nothing more out; handlers that wait give their messages back."""
        self.open = False
        for turn in self.queue:
            turn.set()

    def keep(self, item: Item) -> None:
        """A message that a handler gives back because all is closed."""
        self._tail.append(item)
