"""Starting, failing, restarting and stopping: what the core asks Python to decide.

The core calls these hooks with the cell whose turn it is; none of them runs while a user
message of that actor is being handled. Slow paths only: a message that is handled without
trouble never comes here.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections.abc import AsyncGenerator, Coroutine
from typing import TYPE_CHECKING, Any

from actinium import _native
from actinium.errors import (
    ActorNotFound,
    ActorRestarted,
    ActorStopped,
    AskCycle,
    AskTimeout,
    ChildFailed,
    DeadlineExceeded,
    HandlerError,
    MailboxFull,
    NameTaken,
    SpawnError,
    Unhandled,
    UsageError,
)

from .deadletters import DeadLetters, Reason
from .extra import Extra, extra_of
from .message import is_message
from .names import Names, check_name
from .put import ACCEPTED, Put
from .ref import LocalRef
from .signals import Stop, Terminated
from .stream import Channel, drive
from .supervision import OneForOne, RestartWindow

if TYPE_CHECKING:
    from .actor import Actor

_log = logging.getLogger("actinium.supervision")

HOOK_SECONDS = 5.0
"""How long ``started``, ``stopping`` and ``restarting`` may take."""

_CODES: dict[int, Any] = {
    _native.FULL: "rejected",
    _native.FULL_DROP_NEW: "dropped_new",
    _native.FULL_DROP_OLD: "dropped_old",
    _native.CLOSED: "closed",
}

Cell = LocalRef[Any]


class Lifecycle:
    """The hooks of one core."""

    accepted = ACCEPTED

    def __init__(self, supervise: OneForOne, dead_letters_limit: int, seed: int) -> None:
        self.default_supervise = supervise
        self.names = Names()
        self.random = random.Random(seed or None)
        self.core: _native.Core
        self.fatal: BaseException | None = None
        self.fatal_event: asyncio.Event | None = None
        self.idle_waiters: list[asyncio.Future[None]] = []
        self.undelivered = 0
        self.restarts = 0
        self._limit = dead_letters_limit

    def bind(self, core: _native.Core) -> None:
        """Takes the core these hooks serve."""
        self.core = core
        self.dead_letters = DeadLetters(core.tick, self._limit)
        core.set_hooks(self)

    # -- messages that reach no handler

    def is_message(self, cls: type) -> bool:
        return is_message(cls)

    def refused(self, cell: Cell, msg: Any, sender: Cell | None, extra: Any, code: int) -> Put:
        taken = code == _native.FULL_DROP_OLD  # the new message is in, the oldest one is out
        put = Put(ok=taken, code=_CODES[code], depth=cell.depth, capacity=cell.capacity)
        if code == _native.CLOSED:
            error: Exception = ActorStopped(f"{cell.path} has stopped")
            reason: Reason = "actor_stopped" if cell.stopped_flag else "mailbox_closed"
        else:
            error = MailboxFull(f"the mailbox of {cell.path} is full ({cell.capacity} messages)")
            reason = "mailbox_full"
        if not self._tell_asker(extra, error):
            self.dead_letters.record(reason, cell, sender, msg)
        return put

    def _tell_asker(self, extra: Any, error: BaseException) -> bool:
        """Lets whoever waits for an answer know; False when nobody does."""
        if isinstance(extra, _native.Reply):
            if not extra.done():
                extra.reject(error)
            return True
        if isinstance(extra, _native.Envelope) and isinstance(extra.stream, Channel):
            extra.stream.fail(error)
            return True
        return False

    def _undeliverable(
        self,
        reason: Reason,
        cell: Cell,
        msg: Any,
        sender: Cell | None,
        extra: Any,
        error: BaseException,
    ) -> None:
        self.undelivered += 1
        self._tell_asker(extra, error)
        self.dead_letters.record(reason, cell, sender, msg, error)

    def unhandled(self, cell: Cell, msg: Any, sender: Cell | None, extra: Any) -> None:
        cls: type[Actor] = cell.cls
        known = sorted(t.__qualname__ for t in cls._handlers)
        handler = next((h for t in type(msg).__mro__ if (h := cls._handlers.get(t))), None)
        if handler is not None:
            streams = inspect.isasyncgenfunction(handler)
            advice = (
                f"{handler.__qualname__} is a stream: use ref.stream(...)"
                if streams
                else f"{handler.__qualname__} is no stream: use ref.tell(...) or ref.ask(...)"
            )
        else:
            advice = f"it handles {', '.join(known) or 'nothing'}"
        error = Unhandled(f"{cls.__qualname__} cannot take a {type(msg).__qualname__}: {advice}")
        self._undeliverable("unhandled", cell, msg, sender, extra, error)

    def expired(self, cell: Cell, msg: Any, sender: Cell | None, extra: Any) -> None:
        error = DeadlineExceeded(f"the message to {cell.path} expired before it was handled")
        self._undeliverable("expired", cell, msg, sender, extra, error)

    def closed(self, cell: Cell, msg: Any, sender: Cell | None, extra: Any) -> None:
        known: Extra | None = cell.extra
        forced = known is not None and known.killed
        error = ActorStopped(f"{cell.path} stopped before it handled the message")
        self._undeliverable(
            "forced_stop" if forced else "actor_stopped", cell, msg, sender, extra, error
        )

    def timeout(self, reply: _native.Reply) -> Exception:
        path = reply.target.path
        if reply.inherited:
            return DeadlineExceeded(f"the deadline of the outer ask passed while asking {path}")
        return AskTimeout(f"{path} did not answer in time")

    def cycle(self, asker: Cell, target: Cell) -> AskCycle:
        return AskCycle(
            f"{asker.path} asks {target.path}, which waits for {asker.path} already; "
            "use tell, or give one of the classes concurrent=2"
        )

    def room(self, cell: Cell) -> None:
        senders = extra_of(cell).senders
        while senders:
            waiter = senders.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        cell.set_waiters(False)

    def idle(self) -> None:
        waiters, self.idle_waiters = self.idle_waiters, []
        self.core.want_idle(False)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def stream(
        self, cell: Cell, generator: AsyncGenerator[Any], channel: Channel
    ) -> Coroutine[Any, Any, None]:
        return drive(cell, generator, channel)

    # -- spawning with options, or a spawn that failed

    def spawn(
        self,
        parent: Cell,
        cls: type[Actor],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        failure: BaseException | None,
    ) -> Cell:
        options = dict(kwargs or {})
        name = options.pop("name", None)
        mailbox = options.pop("mailbox", None)
        supervise = options.pop("supervise", None)
        if failure is not None:
            raise _spawn_error(cls, args, options, failure) from failure
        if name is not None:
            check_name(name)
            if self.names.get(parent, name) is not None:
                raise NameTaken(f"{parent.path} has a child named {name!r} already")
        try:
            cell: Cell = self.core.spawn_plain(parent, cls, args, options or None)
        except Exception as e:
            raise _spawn_error(cls, args, options, e) from e
        if mailbox is not None:
            cell.set_mailbox(mailbox.capacity, mailbox.policy, mailbox.lanes)
        if name is not None or supervise is not None:
            extra = extra_of(cell)
            extra.supervise = supervise
            extra.name = name
            if name is not None:
                self.names.add(parent, name, cell)
        return cell

    # -- failure

    def failed(
        self,
        cell: Cell,
        msg: Any,
        sender: Cell | None,
        extra: Any,
        handler: _native.Handler | None,
        failure: BaseException,
    ) -> bool:
        """True when the exception was a declared answer or was caused by the runtime."""
        if handler is not None and handler.raises and isinstance(failure, handler.raises):
            self._tell_asker(extra, failure)
            return True
        if isinstance(failure, asyncio.CancelledError) and self._asked_for(cell, extra):
            known: Extra | None = cell.extra
            stopping = cell.closed_flag or known is None or known.failure is None
            self._tell_asker(
                extra,
                ActorStopped(f"{cell.path} was stopped")
                if stopping
                else ActorRestarted(f"{cell.path} was restarted while it handled the ask"),
            )
            return True
        if isinstance(failure, Stop):
            self._tell_asker(extra, ActorStopped(f"{cell.path} has stopped"))
            cell.stop()
            return True
        if msg is not None:
            where = handler.name if handler is not None else cell.cls.__qualname__
            error = HandlerError(f"{where} failed: {type(failure).__name__}: {failure}", failure)
            error.__cause__ = failure
            self._tell_asker(extra, error)
            self.undelivered += 1
            self.dead_letters.record("handler_failed", cell, sender, msg, failure)
        self._decide(cell, failure)
        return False

    def _asked_for(self, cell: Cell, extra: Any) -> bool:
        known: Extra | None = cell.extra
        if known is not None and (known.killed or known.failure is not None):
            return True
        if isinstance(extra, _native.Reply):
            return extra.done()
        stream = extra.stream if isinstance(extra, _native.Envelope) else None
        return isinstance(stream, Channel) and stream.cancelled

    def _policy(self, cell: Cell) -> OneForOne:
        extra: Extra | None = cell.extra
        if extra is not None and extra.supervise is not None:
            return extra.supervise
        parent = cell.parent
        own: OneForOne | None = parent.cls._supervise if parent is not None else None
        return own if own is not None else self.default_supervise

    def _decide(self, cell: Cell, failure: BaseException) -> None:
        if isinstance(failure, (KeyboardInterrupt, SystemExit)):
            self._fatal(failure)
            return
        if cell.stopped_flag:
            return
        policy = self._policy(cell)
        directive = policy.directive(failure)
        _log.log(
            logging.WARNING if directive != "resume" else logging.INFO,
            "%s failed (%s: %s): %s", cell.path, type(failure).__name__, failure, directive,
            exc_info=failure,
        )  # fmt: skip
        if directive == "resume":
            if cell.instance is not None:
                cell.unpause()
                return
            directive = "restart"
        extra = extra_of(cell)
        extra.failure = failure
        if directive == "restart":
            if extra.window is None:
                extra.window = RestartWindow(self.random)
            delay = extra.window.next_delay(policy, self.core.now())
            if delay is not None:
                self._restart_after(cell, delay)
                return
            directive = policy.on_limit
        cell.pause()
        if directive == "stop":
            extra.reason = f"failed: {type(failure).__name__}: {failure}"
            cell.cancel_running()
            cell.stop()
        else:
            self._escalate(cell, failure)

    def _restart_after(self, cell: Cell, delay: float) -> None:
        cell.pause()
        cell.cancel_running()
        if delay == 0:
            cell.signal(_native.SYS_RESTART)
        else:
            self.core.schedule(delay, lambda: cell.signal(_native.SYS_RESTART))

    def _escalate(self, cell: Cell, failure: BaseException) -> None:
        """The parent fails in turn; its own supervisor decides (SV-5)."""
        parent = cell.parent
        if parent is None or parent.cls.__actinium_guardian__:
            self._fatal(failure)
            return
        error = ChildFailed(f"{cell.path} failed: {failure}", failure)
        error.__cause__ = failure
        before = self.restarts
        self._decide(parent, error)
        kept = not parent.paused_flag and not parent.closed_flag and before == self.restarts
        if kept:  # the parent goes on as it is, and so does the child, as a new instance
            self._restart_after(cell, 0.0)

    def _fatal(self, failure: BaseException) -> None:
        if self.fatal is None:
            self.fatal = failure
        if self.fatal_event is not None:
            self.fatal_event.set()

    # -- start, restart, stop

    def system(self, cell: Cell, flags: int) -> Coroutine[Any, Any, None] | None:
        due = _native.SYS_START | _native.SYS_RESTART
        if flags & _native.SYS_DRAIN and flags & due and not flags & _native.SYS_STOP:
            # What waits shall still be handled, and for that the actor has to start first.
            flags &= ~_native.SYS_DRAIN
            cell.signal(_native.SYS_DRAIN)
        if flags & (_native.SYS_STOP | _native.SYS_DRAIN):
            return self._stop(cell, drain=not flags & _native.SYS_STOP)
        if flags & _native.SYS_RESTART:
            return self._restart(cell)
        outcome = cell.instance.started()
        if inspect.isawaitable(outcome):
            return self._finish_start(cell, outcome)
        cell.unpause()
        return None

    async def _finish_start(self, cell: Cell, hook: Any) -> None:
        await _bounded(hook)
        cell.unpause()

    async def _restart(self, cell: Cell) -> None:
        extra = extra_of(cell)
        failure = extra.failure or HandlerError("restart was asked for")
        extra.failure = None
        self.restarts += 1
        instance = cell.instance
        if instance is not None:
            try:
                await _bounded(instance.restarting(failure))
            except BaseException as e:  # noqa: BLE001 - nor may a hook keep it from restarting
                self._hook_failed(cell, "restarting", e)
        self._cancel_timers(extra)
        await self._stop_children(cell, drain=False)
        del instance
        if cell.stopped_flag:  # by force, while it waited for the above
            return
        cell.rebuild()
        await _bounded(cell.instance.started())
        cell.unpause()

    def _stop(self, cell: Cell, *, drain: bool) -> Coroutine[Any, Any, None] | None:
        """Children first (LC-2), then the hook, then the cell itself."""
        if cell.children() or inspect.iscoroutinefunction(cell.cls.stopping):
            return self._stop_slowly(cell, drain=drain)
        self._finish(cell, self._call_stopping(cell))
        return None

    def _call_stopping(self, cell: Cell) -> Any:
        if cell.instance is None:
            return None
        known: Extra | None = cell.extra
        reason = (known.reason if known is not None else None) or "stopped"
        try:
            return cell.instance.stopping(reason)
        except BaseException as e:  # noqa: BLE001 - a hook must not keep its actor from stopping
            self._hook_failed(cell, "stopping", e)
            return None

    def _hook_failed(self, cell: Cell, hook: str, failure: BaseException) -> None:
        _log.error("%s: the %s hook failed", cell.path, hook, exc_info=failure)
        if isinstance(failure, (KeyboardInterrupt, SystemExit)):
            self._fatal(failure)

    async def _stop_slowly(self, cell: Cell, *, drain: bool) -> None:
        try:
            await self._stop_children(cell, drain=drain)
            await _bounded(self._call_stopping(cell))
        except BaseException as e:  # noqa: BLE001 - as above
            self._hook_failed(cell, "stopping", e)
        finally:
            self._finish(cell, None)

    async def _stop_children(self, cell: Cell, *, drain: bool) -> None:
        cell.signal_children(_native.SYS_DRAIN if drain else _native.SYS_STOP)
        if not cell.await_orphans():
            extra = extra_of(cell)
            extra.orphans = asyncio.get_running_loop().create_future()
            await extra.orphans

    def orphans(self, cell: Cell) -> None:
        waiter = extra_of(cell).orphans
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _cancel_timers(self, extra: Extra) -> None:
        for timer in (extra.timers or {}).values():
            timer.cancel()
        extra.timers = None

    def _finish(self, cell: Cell, late: Any) -> None:
        if inspect.isawaitable(late):
            raise UsageError(
                f"{cell.cls.__qualname__}.stopping returned an awaitable; use async def"
            )
        extra: Extra | None = cell.extra
        cell.finish()
        if extra is None:
            return
        extra.reason = extra.reason or "stopped"
        self._cancel_timers(extra)
        if extra.name is not None:
            self.names.remove(cell.parent, extra.name)
        for target in extra.watching or ():
            watchers = extra_of(target).watchers
            if watchers is not None:
                watchers.pop(cell, None)
        for watcher in extra.watchers or ():
            watcher.deliver(Terminated(cell, extra.reason))
        for waiter in extra.senders or ():
            if not waiter.done():
                waiter.set_result(None)  # it looks again and finds the actor closed
        for done in extra.stopped or ():
            if not done.done():
                done.set_result(extra.reason)
        extra.watchers = extra.watching = extra.stopped = extra.senders = None

    # -- death watch

    def watch(self, watcher: Cell, target: Cell) -> None:
        here = extra_of(watcher)
        if here.watching is None:
            here.watching = {}
        here.watching[target] = None
        if target.stopped_flag:
            known: Extra | None = target.extra
            reason = (known.reason if known is not None else None) or "stopped"
            watcher.deliver(Terminated(target, reason))
            return
        there = extra_of(target)
        if there.watchers is None:
            there.watchers = {}
        there.watchers[watcher] = None

    def noticed(self, watcher: Cell, notice: Terminated) -> bool:
        """Whether the watch that a notice answers was not taken back meanwhile."""
        watching = extra_of(watcher).watching
        if watching is None or notice.ref not in watching:
            return False
        del watching[notice.ref]
        return True

    def unwatch(self, watcher: Cell, target: Cell) -> None:
        for known, other in ((extra_of(target).watchers, watcher),
                             (extra_of(watcher).watching, target)):  # fmt: skip
            if known is not None:
                known.pop(other, None)

    # -- looking up

    def lookup(self, root: Cell, path: str) -> Cell:
        """The living actor at a path; raises ActorNotFound."""
        cell = root
        for name in [part for part in path.split("/") if part]:
            found = self.names.get(cell, name)
            if found is None and name.startswith("$"):
                found = next((k for k in cell.children() if f"${k.uid}" == name), None)
            if found is None:
                raise ActorNotFound(f"no actor lives at {path!r}: {cell.path!r} has no {name!r}")
            cell = found
        return cell


async def _bounded(hook: Any) -> None:
    if inspect.isawaitable(hook):
        async with asyncio.timeout(HOOK_SECONDS):
            await hook


def _spawn_error(
    cls: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any], failure: BaseException
) -> BaseException:
    if isinstance(failure, (SpawnError, NameTaken)) or not isinstance(failure, Exception):
        return failure
    if not (isinstance(cls, type) and issubclass(cls, _native.ActorBase)):
        return UsageError(f"spawn() takes an actor class (a subclass of ac.Actor), got {cls!r}")
    shown = [repr(a) for a in args] + [f"{k}={v!r}" for k, v in kwargs.items()]
    return SpawnError(
        f"{cls.__qualname__}({', '.join(shown)}) could not be made: "
        f"{type(failure).__name__}: {failure}"
    )
