"""The ref of a GPU actor: that of its shepherd, with what only a device offers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from actinium import _native
from actinium.core.ref import LocalRef
from actinium.errors import AskTimeout, LayoutError, UsageError

from .direct import Unanswered, no_answer, tell_messages, tell_packed

if TYPE_CHECKING:
    _Local = LocalRef[Any]

    def _native_class(cls: type[Any]) -> type[Any]: ...

else:
    _Local = object

    def _native_class(cls):
        names = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")}
        made = _native.new_ref_type(names, LocalRef)
        made.__name__ = made.__qualname__ = cls.__name__
        return made


@_native_class
class GpuRef(_Local):
    """A ref to an actor on a device. It offers what every ref does, and ``ask_sync``."""

    __slots__ = ()

    def ask_sync(self, message: Any, timeout: float = 5.0) -> Any:
        """Asks and blocks this thread until the answer is there, up to ``timeout`` seconds.

        On the event loop's own thread nothing but actors runs meanwhile: it is for programs that
        compute. Other threads may use it at any time.

        Raises:
            AskTimeout: no answer in time.
            UsageError: in a handler, which must not block, or before the actor has started.
            HandlerError: the handler stopped.
        """
        if self.clear(True):
            place = self.instance._place
            way = place.ways.get(type(message))
            if way is not None and place.direct:
                try:
                    answer = place.block.end.ask_sync(
                        place.handle, way[0], message, way[1], timeout
                    )
                except Unanswered as e:
                    reply = no_answer(self, place, message, e.event, timeout)
                    return self._await_here(reply, timeout)
                except LayoutError:
                    pass  # it is refused by name below
                else:
                    self.core.passed(1)
                    return answer
        loop = self.core.loop
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if not here:

            async def ask() -> Any:
                return await self.ask(message, timeout)

            return asyncio.run_coroutine_threadsafe(ask(), loop).result()
        core = self.core
        if core.snapshot()[0] is not None:
            raise UsageError(
                "ask_sync() would block the handler that calls it; use await ref.ask(...)"
            )
        return self._await_here(self.ask(message, timeout), timeout)

    def tell_many(self, messages: Any, of: Any = None, *, wait: float = 0.0) -> int:
        """Hands many messages over, in order; returns how many were taken.

        Messages of one class that find the mailbox empty go straight to the device, packed in
        compiled code; those that find no room there follow the mailbox's policy. With ``of`` a
        buffer (bytes, ``array``, NumPy) holds packed messages of that class one after another, and
        the calling thread waits up to ``wait`` seconds for room.

        Raises:
            UsageError: a buffer without ``of``, or one whose items are no such messages.
        """
        if of is not None:
            return tell_packed(self, messages, of, wait)
        if isinstance(messages, bytes | bytearray | memoryview):
            raise UsageError("tell_many() of a buffer needs of=, the class of the messages in it")
        return tell_messages(self, messages)

    def _await_here(self, reply: _native.Reply, timeout: float) -> Any:
        """Waits on the loop's own thread, and moves what its answer needs."""
        core, loop = self.core, self.core.loop
        shepherd = self.instance
        launch = shepherd._place.launch if shepherd is not None else None
        until = time.monotonic() + timeout
        task = asyncio.current_task(loop)
        if task is not None:  # handlers run in tasks of their own meanwhile
            asyncio.tasks._leave_task(loop, task)
        try:
            while not reply.done():
                core.pump()
                if launch is not None:
                    launch.turn()
                if time.monotonic() > until:
                    reply.cancel()
                    raise AskTimeout(f"{self.path} did not answer in {timeout:g} s")
        finally:
            if task is not None:
                asyncio.tasks._enter_task(loop, task)
        return reply.result()

    def __repr__(self) -> str:
        state = "stopped" if self.stopped_flag else f"incarnation {self.incarnation}"
        return f"<GpuRef {self.path} {self.cls.__qualname__} {state}>"
