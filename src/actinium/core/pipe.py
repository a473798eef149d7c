"""``ctx.pipe``: the result of a coroutine as a message to the actor itself.

The coroutine runs beside the mailbox, so the actor goes on meanwhile; what comes of it enters
the actor like any message, so its state is never touched from two places at once.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from .extra import Extra, extra_of

if TYPE_CHECKING:
    from .failure import Supervisor
    from .ref import LocalRef

Made = Callable[[Any], Any] | None


def pipe(
    supervisor: Supervisor, cell: LocalRef[Any], awaited: Awaitable[Any], ok: Made, err: Made
) -> asyncio.Task[None]:
    """Starts it; the task ends once the message was told."""
    extra = extra_of(cell)
    if extra.pipes is None:
        extra.pipes = set()
    task = cell.core.loop.create_task(
        _run(supervisor, cell, extra, awaited, ok, err), name=f"pipe of {cell.path}"
    )
    extra.pipes.add(task)
    if inspect.iscoroutine(awaited):  # one that is cancelled before its first step is not left over
        task.add_done_callback(lambda _: awaited.close())
    return task


async def _run(
    supervisor: Supervisor,
    cell: LocalRef[Any],
    extra: Extra,
    awaited: Awaitable[Any],
    ok: Made,
    err: Made,
) -> None:
    task = asyncio.current_task()
    try:
        value = await awaited
        message = ok(value) if ok is not None else value
        cell.tell(message, sender=cell)
    except BaseException as failure:
        if extra.pipes is None or task not in extra.pipes:
            raise  # it was cancelled, with its actor
        _failed(supervisor, cell, failure, err)
        if not isinstance(failure, Exception) and not isinstance(failure, asyncio.CancelledError):
            raise
    finally:
        if extra.pipes is not None:
            extra.pipes.discard(task)


def _failed(supervisor: Supervisor, cell: LocalRef[Any], failure: BaseException, err: Made) -> None:
    if err is None:
        supervisor.failed_beside(cell, failure)
        return
    try:
        cell.tell(err(failure), sender=cell)
    except Exception as second:  # noqa: BLE001 - a failure of the actor, like one in a handler
        supervisor.failed_beside(cell, second)


def cancel_pipes(extra: Extra) -> None:
    """Ends what a failed or stopped instance has started."""
    pipes, extra.pipes = extra.pipes, None
    for task in pipes or ():
        task.cancel()
