"""What a ref does on the thread of another shard than its actor's (``System(shards=...)``).

An actor is only ever touched by the thread of its own shard. So whatever somebody on another
shard wants of it goes through the inbox of its core, in one line with the messages of the same
sender (MS-2). Where there is a GIL there are no shards, and refs do without all this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from actinium import _native
from actinium.errors import ActorStopped

from .outflow import cross
from .shardcore import post, post_to

if TYPE_CHECKING:
    from .put import Put
    from .ref import LocalRef
    from .stream import Channel

Cell = Any  # a LocalRef, whose class is made with the methods below
T = TypeVar("T")


async def across(
    core: _native.Core, call: Callable[[], Awaitable[T]], closed: Callable[[], T] | None = None
) -> T:
    """Awaits ``call()`` on another shard's loop; ``closed()`` is the answer if it has ended.

    Without that, ActorStopped is raised then. Cancelling the wait cancels the call.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()
    under_way: list[asyncio.Task[None]] = []

    async def run() -> None:
        try:
            value = await call()
        except asyncio.CancelledError:
            _tell(loop, answer, None, ActorStopped("the shard has ended"))
            raise
        except BaseException as error:  # noqa: BLE001 - it is the caller's, not this loop's
            _tell(loop, answer, None, error)
        else:
            _tell(loop, answer, value, None)

    if not post(core, lambda: under_way.append(core.loop.create_task(run()))):
        if closed is None:
            raise ActorStopped("the shard has ended")
        return closed()
    try:
        return await answer
    except asyncio.CancelledError:
        post(core, lambda: under_way[0].cancel())
        raise


def _tell(
    loop: asyncio.AbstractEventLoop,
    answer: asyncio.Future[Any],
    value: Any,
    error: BaseException | None,
) -> None:
    def settle() -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(value)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:  # it was closed: nobody waits there any more
        return


# -- instead of the methods of the same name


def refusal(cell: Cell, msg: Any, sender: Any) -> int | None:
    """What its mailbox refuses later is a dead letter there."""
    return _native.CLOSED if cell.closed_flag else None


def stop(cell: Cell, *, drain: bool = False) -> None:
    """See ``LocalRef.stop``."""
    post_to(cell, partial(cell.stop, drain=drain))


def kill(cell: Cell) -> None:
    """See ``LocalRef.kill``."""
    post_to(cell, cell.kill)


async def stopped(cell: Cell) -> str:
    """See ``LocalRef.stopped``."""

    def ended() -> str:
        extra = cell.extra
        return (extra.reason if extra is not None else None) or "stopped"

    reason: str = await across(cell.core, cell.stopped, ended)
    return reason


async def send(
    cell: Cell, msg: Any, *, timeout: float = 5.0, sender: LocalRef[Any] | None = None
) -> Put:
    """See ``LocalRef.send``."""
    told_by = sender if sender is not None else cell.here.snapshot()[0]
    put: Put = await across(cell.core, lambda: cell.send(msg, timeout=timeout, sender=told_by))
    return put


def open_stream(
    cell: Cell, msg: Any, channel: Channel, timeout: float | None, *urgent: bool
) -> None:
    """See the native method; the items come back through this shard's inbox."""
    outflow = cross(channel, cell.here, cell.core)

    def open_there() -> None:
        outflow.cell = cell
        cell.open_stream(msg, outflow, timeout, *urgent)

    if not post_to(cell, open_there):
        channel.fail(ActorStopped(f"{cell.path} has stopped"))


def cancel_stream(cell: Cell, channel: Channel) -> bool:
    """The reader of a stream has left."""
    stop_it = getattr(channel.room, "stop", None)
    if stop_it is None:
        return False
    stop_it()
    return True


def methods(own: dict[str, Any]) -> dict[str, Any]:
    """The methods of a ref that look where they are called before they do anything."""
    return {
        name: _either(own.get(name) or getattr(_native.Cell, name), elsewhere)
        for name, elsewhere in (
            ("refusal", refusal),
            ("stop", stop),
            ("kill", kill),
            ("stopped", stopped),
            ("send", send),
            ("open_stream", open_stream),
            ("cancel_stream", cancel_stream),
        )
    }


def _either(home: Any, elsewhere: Any) -> Any:
    @wraps(home)
    def method(self: Cell, *args: Any, **kwargs: Any) -> Any:
        return (elsewhere if self.away else home)(self, *args, **kwargs)

    return method
