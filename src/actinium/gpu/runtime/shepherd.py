"""The actor in the tree that stands for one on a device.

It carries its life: name, mailbox, watches, links and supervision are those of any actor. What it
handles goes into the ring of its block; the answer resolves the ask without passing by here again.
"""

from __future__ import annotations

import asyncio
import functools
import operator
from typing import TYPE_CHECKING, Any

from actinium import _native
from actinium.core import Actor, on
from actinium.core.lifestate import life_state_of
from actinium.core.system import system_of
from actinium.errors import DeviceLost, LayoutError, UsageError

from .ref import GpuRef

if TYPE_CHECKING:
    from ..program import Program
    from .place import Place


class Shepherd(Actor, concurrent=2):
    """Base of the classes that stand for programs.

    One handler at a time stays until all that is under way has come back, so that the actor counts
    as busy as long as its device is; a second one may wait for room in the ring.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    async def started(self) -> None:
        ref: Any = self.ctx.self_ref
        if type(ref) is not GpuRef:
            ref.__class__ = GpuRef
        await self._place.begin(ref)

    async def stopping(self, reason: str) -> None:
        await self._place.finish(reason)

    async def pass_on(self, message: Any) -> None:
        """Hands the current message to the device."""
        place, ctx = self._place, self.ctx
        item = ctx.current
        assert item is not None
        extra = item[2]
        remaining = ctx.remaining
        if not (isinstance(extra, _native.Reply) or remaining is not None) or extra is None:
            item = (item[0], item[1], None)
        try:
            expires = place.launch.expires(remaining)
            if (place.queue or not place.put(message, item, expires)) and not await self._wait(
                message, item
            ):
                return
        except LayoutError as error:  # the sender's fault, and no failure of this actor
            system = system_of(ctx.self_ref)
            taken = ctx.take_current()[:3]
            system._life.undelivered.record("not_accepted", ctx.self_ref, *taken, error)
            return
        if isinstance(extra, _native.Reply):
            ctx.take_reply()
        place.launch.kick(place.block)
        if not place.flying:
            place.flying = True
            try:
                await place.settled()
            except (asyncio.CancelledError, DeviceLost):
                pass  # it has another fate by now: this is only about when all has come back
            finally:
                place.flying = False

    async def _wait(self, message: Any, item: Any) -> bool:
        """Puts a message as soon as there is room; False if it had to go back instead."""
        place = self._place
        turn = asyncio.Event()
        place.queue.append(turn)
        try:
            while place.open:
                expires = place.launch.expires(self.ctx.remaining)
                if place.queue[0] is turn and place.put(message, item, expires):
                    return True
                await place.wait(turn)
            place.keep(self._taken()[:3])
        except asyncio.CancelledError:
            cell = self.ctx.self_ref
            taken = self._taken()
            if life_state_of(cell) in ("stopping", "stopped") or cell.closed_flag:
                system_of(cell)._life.undelivered.closed(cell, *taken[:3])
            else:
                cell.put_back([taken])
        finally:
            place.queue.remove(turn)
            place.next_in_queue()
        return False

    def _taken(self) -> Any:
        """The current message, out of the hands of its handler."""
        item = self.ctx.current
        try:
            return self.ctx.take_current()
        except UsageError:
            if item is None:
                raise
            # An ask that came back from the ring: its reply was taken before, and stays so. The
            # handler ends without an answer, but counts it.
            self.ctx.self_ref.core.returned(1)
            return item


def shepherd_class(program: Program) -> type[Shepherd]:
    """The class of the actors that stand for those of a program; it bears the program's name."""

    async def pass_on(self: Shepherd, message: Any) -> None:
        await self.pass_on(message)

    pass_on.__annotations__["message"] = functools.reduce(operator.or_, program.messages)
    pass_on.__qualname__ = f"{program.name}.pass_on"
    spec = program.spec
    assert spec is not None
    names = {
        "__module__": spec.cls.__module__,
        "__qualname__": spec.cls.__qualname__,
        "__doc__": spec.cls.__doc__,
        "_pass_on": on(concurrent=2)(pass_on),
    }
    made: type[Shepherd] = type(program.name, (Shepherd,), names)
    return made
