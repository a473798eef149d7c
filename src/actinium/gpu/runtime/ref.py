"""The ref of a GPU actor: that of its shepherd, with what only a device offers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from actinium import _native
from actinium.core.ref import LocalRef
from actinium.errors import AskTimeout, UsageError

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
        shepherd = self.instance
        launch = shepherd._place.launch if shepherd is not None else None
        reply = self.ask(message, timeout)
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
