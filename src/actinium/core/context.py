"""``self.ctx``: what an actor can do within its system."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from actinium import _native
from actinium.errors import UsageError

from . import deathwatch
from .cancellation import Cancellation, cancellation_of
from .extra import extra_of
from .idle import IdleWatch
from .pipe import pipe
from .stash import stash, unstash
from .states import become, state_of, unbecome

if TYPE_CHECKING:
    from .actor import Actor
    from .ref import LocalRef
    from .system import System

    A = TypeVar("A", bound=Actor)


_IDLE = "ac.idle"


class ReplyToken:
    """A reply that is owed: give it with ``reply`` or ``fail``, from any handler, once."""

    __slots__ = ("_reply",)

    def __init__(self, reply: _native.Reply) -> None:
        self._reply = reply

    def reply(self, value: Any) -> bool:
        """Answers the ask; False if its asker no longer waits."""
        return self._reply.resolve(value)

    def fail(self, error: BaseException) -> bool:
        """Fails the ask; False if its asker no longer waits."""
        return self._reply.reject(error)

    def __del__(self) -> None:
        if not self._reply.done():
            from actinium.errors import HandlerError

            self._reply.reject(HandlerError("no reply: the token was dropped without one"))


def _check_free(cell: LocalRef[Any]) -> None:
    if cell.cls._moves_itself:
        raise UsageError(
            f"{cell.cls.__qualname__} is a state machine, which moves by what its handlers "
            "return; write `return self.goto(...)`"
        )


class Context(_native.ContextBase):
    """Made anew for each use; keep refs, not contexts.

    ``remaining`` are the seconds left until the current message's deadline, or None.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def self_ref(self) -> LocalRef[Any]:
            """The actor's own ref."""

        @property
        def sender(self) -> LocalRef[Any] | None:
            """The actor that sent the current message; None from outside."""

        def spawn(self, cls: type[A], /, *args: Any, **kwargs: Any) -> LocalRef[A]:
            """Starts a child; see :meth:`System.spawn`."""

        def sleep(self, seconds: float, /) -> _native.Reply:
            """``await ctx.sleep(0.5)``: like ``asyncio.sleep``, on the system's own timers.

            Never early and at most a millisecond late; several times cheaper where thousands
            of actors wait at once.
            """

    @property
    def system(self) -> System:
        """The system this actor lives in."""
        return self._shard.whole

    @property
    def _shard(self) -> System:
        from .system import system_of

        return system_of(self.self_ref)

    @property
    def path(self) -> str:
        """The actor's own path."""
        return self.self_ref.path

    @property
    def children(self) -> list[LocalRef[Any]]:
        """Refs of the children that are alive, oldest first."""
        return self.self_ref.children()

    def stop(self, ref: LocalRef[Any] | None = None, *, drain: bool = False) -> None:
        """Stops this actor after the current message, or another one."""
        (ref if ref is not None else self.self_ref).stop(drain=drain)

    def watch(self, ref: LocalRef[Any], *, restarts: bool = False) -> None:
        """Asks for one ``ac.Terminated`` when that actor stops; at once if it has (WD-1).

        With ``restarts`` also for an ``ac.Restarted`` each time it gets a new instance.
        """
        deathwatch.watch(self.self_ref, ref, restarts=restarts)

    def unwatch(self, ref: LocalRef[Any]) -> None:
        """Takes a watch back: no notice of it comes after this returns."""
        deathwatch.unwatch(self.self_ref, ref)

    def link(self, ref: LocalRef[Any]) -> None:
        """Couples the fates of this actor and that one, both ways.

        If one of them is killed or fails for good, the other fails with LinkedExit, which stops
        it unless its supervisor decides otherwise; a class with ``trap_exit=True`` gets
        ``ac.Exited`` instead. A normal end just removes the link.
        """
        self._shard._life.links.link(self.self_ref, ref)

    def unlink(self, ref: LocalRef[Any]) -> None:
        """Takes a link back, for both."""
        self._shard._life.links.unlink(self.self_ref, ref)

    def schedule(
        self,
        delay: float,
        msg: Any,
        *,
        every: float | None = None,
        drift: Literal["rate", "delay"] = "rate",
        name: str | None = None,
        to: LocalRef[Any] | None = None,
    ) -> _native.Timer:
        """Sends ``msg`` after ``delay`` seconds, then ``every`` so many.

        Periods count from the due time (``drift="rate"``: a late one does not move the others)
        or from the sending (``"delay"``: never less than a period between two). Periods that
        were missed, or came while the last message still waited in the mailbox, send nothing;
        ``timer.missed`` counts them. The timer belongs to this incarnation: restart and stop
        cancel it. A timer of the same ``name`` is replaced, and its message can no longer
        arrive (TM-2).
        """
        if drift not in ("rate", "delay"):
            raise UsageError(f"schedule() takes drift='rate' or drift='delay', got {drift!r}")
        if delay < 0 or (every is not None and every <= 0):
            raise UsageError(
                f"schedule() needs delay >= 0 and every > 0 seconds, got {delay!r}, {every!r}"
            )
        own = self.self_ref
        extra = extra_of(own)
        timers = extra.timers
        if timers is None:
            timers = extra.timers = {}
        key: Any = name
        if name is not None and name in timers:
            timers.pop(name).cancel()
        target = to if to is not None else own
        timer = own.core.schedule(delay, msg, target, every or 0.0, drift == "delay")
        if name is None:
            key = timer
            if len(timers) >= 64:
                for old in [k for k, t in timers.items() if not t.active]:
                    del timers[old]
        timers[key] = timer
        return timer

    def cancel(self, name: str) -> bool:
        """Cancels the timer of that name; True if its message would still have come."""
        timers = extra_of(self.self_ref).timers
        timer = timers.pop(name, None) if timers else None
        return timer.cancel() if timer is not None else False

    def idle_after(self, seconds: float) -> None:
        """Sends this actor ``ac.Idle`` whenever no message came for ``seconds``.

        The notice comes up to a quarter of that time late. Another call replaces the time;
        restart and stop end it.
        """
        if seconds <= 0:
            raise UsageError(f"idle_after() needs more than 0 seconds, got {seconds!r}")
        extra = extra_of(self.self_ref)
        if extra.timers is None:
            extra.timers = {}
        self.cancel(_IDLE)
        extra.timers[_IDLE] = IdleWatch(self.self_ref, seconds).timer

    @property
    def state(self) -> str | None:
        """The state whose handlers take messages now; None for those without a state."""
        return state_of(self.self_ref)

    def become(self, name: str, *, push: bool = False) -> None:
        """From the next message on, the handlers marked ``@ac.on(state=name)`` come first.

        Those without a state take what these do not. With ``push`` the present state is kept
        below, for ``unbecome``. A restart begins again with the class's ``initial``. Raises
        UsageError for a state the class does not have; a literal one is refused when the class
        is made.
        """
        _check_free(self.self_ref)
        become(self.self_ref, name, push=push)

    def unbecome(self) -> None:
        """Back to the state below the one pushed last, or to the one it began with."""
        _check_free(self.self_ref)
        unbecome(self.self_ref)

    def stash(self) -> bool:
        """Sets the current message aside, with its sender, deadline and the reply it is owed.

        The handler's return value is then ignored. False if the stash was full (256 messages,
        or the class's ``stash=``): the message is a dead letter ``stash_full`` and its asker
        gets StashFull. Deadlines go on running. A restart puts the stash back into the mailbox;
        a stop makes dead letters of it.
        """
        return stash(self, self._shard._life.undelivered)

    def unstash_all(self) -> int:
        """Puts what was stashed before all that waits, oldest first; returns how many."""
        return unstash(self.self_ref)

    @property
    def stashed(self) -> int:
        """Messages set aside now."""
        extra = self.self_ref.extra
        return len(extra.stash or ()) if extra is not None else 0

    def pipe(
        self,
        awaitable: Awaitable[Any],
        *,
        ok: Callable[[Any], Any] | None = None,
        err: Callable[[BaseException], Any] | None = None,
    ) -> asyncio.Task[None]:
        """Awaits something beside the mailbox and tells this actor what came of it.

        The message is ``ok(value)``, or the value itself without ``ok``; after a failure
        ``err(failure)``, without which the failure is the actor's own and goes to its
        supervisor. Restart and stop cancel it.
        """
        return pipe(self._shard._life.supervisor, self.self_ref, awaitable, ok, err)

    @property
    def cancellation(self) -> Cancellation:
        """Whether the current message is still wanted, to be asked later or by other threads."""
        return cancellation_of(self)

    @property
    def cancelled(self) -> bool:
        """Whether this handler should give up: its deadline has passed, its asker has gone ..."""
        return cancellation_of(self).cancelled

    def check(self) -> None:
        """Raises ``asyncio.CancelledError`` if this handler should give up, which is no failure.

        For a handler that computes: call it now and then. What it looks at is said at
        ``ac.Cancellation``; in a loop of many short rounds take ``self.ctx.cancellation`` once.
        """
        cancellation_of(self).check()

    def reply(self, value: Any) -> None:
        """Answers the current message: its ask, or with a tell to its sender."""
        current = self.current
        if current is None:
            raise UsageError("ctx.reply() belongs in a handler, while its message is current")
        _, sender, extra = current
        if isinstance(extra, _native.Reply):
            extra.resolve(value)
        elif sender is not None:
            sender.tell(value)
        else:
            raise UsageError("nobody waits for a reply: the message was told from outside")

    def defer(self) -> ReplyToken:
        """Takes the reply of the current ask, to be given later; the return value is ignored."""
        reply = self.take_reply()
        if reply is None:
            raise UsageError("ctx.defer() needs a message that was asked, not told")
        return ReplyToken(reply)
