"""References: the only way to reach an actor."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

from actinium import _native

from .away import methods
from .extra import Extra, extra_of
from .interrupt import interrupt
from .lifestate import LifeState, life_state_of
from .put import Put
from .refusal import gave_up, put_for, refusal_error
from .room import room_of
from .shardcore import THREADS
from .stream import BYTES, Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

A_co = TypeVar("A_co", covariant=True)
C = TypeVar("C")


@runtime_checkable
class Ref(Protocol):
    """What every reference offers, wherever its actor lives.

    ``tell`` hands a message over and never waits, ``tell_many`` many at once; ``ask`` awaits
    one answer; ``stream`` opens a flow of items; ``send`` waits for room in a full mailbox.
    """

    @property
    def path(self) -> str: ...

    def tell(self, msg: Any, /) -> Put: ...

    def tell_many(self, messages: Iterable[Any], /) -> int: ...

    def ask(self, msg: Any, timeout: float | None = None, /) -> Awaitable[Any]: ...

    def stream(self, msg: Any, *, items: int = 64, timeout: float | None = None) -> Stream[Any]: ...

    async def send(self, msg: Any, *, timeout: float = 5.0) -> Put: ...


if TYPE_CHECKING:

    class _Cell(_native.Cell, Generic[A_co]):
        pass

    def _native_class(cls: type[C]) -> type[C]: ...

else:
    _Cell = Generic
    _OF_THE_CLASS_ITSELF = frozenset(
        ("__dict__", "__weakref__", "__slots__", "__orig_bases__", "__parameters__")
    )

    def _native_class(cls):
        """A class with these methods that is made, and sized, natively."""
        names = {k: v for k, v in vars(cls).items() if k not in _OF_THE_CLASS_ITSELF}
        if THREADS:
            names |= methods(names)
        return _native.new_ref_type(names)


@_native_class
class LocalRef(_Cell[A_co]):
    """A ref to an actor of this process; ``LocalRef[Counter]`` to a type checker.

    It stays valid through restarts and is dead for ever once the actor has stopped: a later
    actor of the same name is another one (MS-5).
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def tell(  # type: ignore[override]  # the runtime's own keywords are nobody else's
            self,
            msg: Any,
            /,
            *,
            priority: str | None = None,
            deadline: float | None = None,
            sender: Any = None,
        ) -> Put:
            """Hands a message over and never waits; what is refused becomes a dead letter.

            ``priority`` (critical, high, normal, low) matters in a mailbox with 4 lanes.
            After ``deadline`` seconds the message is not handled any more but a dead letter.
            Raises NotAMessage for what may not be sent. Safe from any thread.
            """

        def tell_many(self, messages: Iterable[Any], /) -> int:
            """Hands many messages over in one call; returns how many were taken.

            Like as many ``tell``: in order, and what is refused becomes a dead letter. An error
            from the iterable, or NotAMessage, leaves those before it sent. Safe from any thread.
            """

        def forward(self, msg: Any = None, /) -> Put:
            """Hands the current message on, or ``msg`` in its place; within a handler only.

            Sender, deadline and the reply stay with it: this actor answers the first asker.
            What the handler returns is then ignored. Raises UsageError outside of a handler and
            for the request of a stream.
            """

        def children(self) -> list[LocalRef[Any]]:
            """The children that are alive, oldest first."""

    @property
    def path(self) -> str:
        """Where the actor lives in the tree, as ``/user/parent/child``."""
        names: list[str] = []
        cell, parent = self, self.parent
        while parent is not None:  # a tree may be deeper than Python's stack
            extra: Extra | None = cell.extra
            if extra is not None and extra.entity is not None:
                return "/".join((extra.entity.path, *reversed(names)))
            name = extra.name if extra is not None else None
            names.append(name if name is not None else f"${cell.uid}")
            cell, parent = parent, parent.parent
        return "/" + "/".join(reversed(names))

    @property
    def alive(self) -> bool:
        """False once the actor takes no more messages."""
        return not self.closed_flag

    @property
    def life_state(self) -> LifeState:
        """Where the actor is in its life: ``active``, ``suspended``, ``stopped`` ..."""
        return life_state_of(self)

    def try_tell(
        self, msg: Any, *, sender: LocalRef[Any] | None = None, deadline: float | None = None
    ) -> Put:
        """Like ``tell``, but a refused message stays with the caller: no dead letter is made."""
        code = self.refusal(msg, sender)
        held = extra_of(self).quarantine if code == _native.HELD else None
        if code is not None and not (held is not None and held.wants_one(self)):
            return put_for(self, sender, code)
        if sender is None and deadline is None:
            return self.tell(msg)
        return self.tell(msg, sender=sender, deadline=deadline)

    async def send(
        self, msg: Any, *, timeout: float = 5.0, sender: LocalRef[Any] | None = None
    ) -> Put:
        """Hands a message over, waiting up to ``timeout`` seconds until it is taken.

        Raises MailboxFull, RateExceeded or MemoryLimit when that did not come in time (the
        message stays with the caller), ActorStopped when the actor is gone, NotAccepted and
        MessageTooLarge for what it never takes.
        """
        code = self.refusal(msg, sender)
        if code is None:
            return self.tell(msg, sender=sender) if sender is not None else self.tell(msg)
        loop = asyncio.get_running_loop()
        give_up = loop.time() + timeout
        while code is not None:
            try:
                async with asyncio.timeout_at(give_up):
                    await self._room(code, sender)
            except TimeoutError:
                raise gave_up(self, put_for(self, sender, code), timeout) from None
            code = self.refusal(msg, sender)
        return self.tell(msg, sender=sender) if sender is not None else self.tell(msg)

    async def _room(self, code: int, sender: LocalRef[Any] | None) -> None:
        """Waits until a message that was refused so may be offered again."""
        if code in (_native.CLOSED, _native.NOT_ACCEPTED, _native.TOO_LARGE):
            raise refusal_error(self, put_for(self, sender, code))
        if code in (_native.RATE_LIMITED, _native.NO_MEMORY):
            await asyncio.sleep(self.retry_after(code, sender))
            return
        room = room_of(self)
        try:
            await room
        finally:
            room.cancel()

    def stream(
        self,
        msg: Any,
        *,
        items: int = 64,
        timeout: float | None = None,
        max_bytes: int = BYTES,
        idle: float | None = None,
    ) -> Stream[Any]:
        """Opens a stream: the items an async-generator handler yields for this message.

        At most ``items`` items and ``max_bytes`` bytes of texts and buffers wait unread; then the
        producer waits. Leaving the ``async with`` block (or ``aclose``) cancels the producer.
        ``timeout`` is for the whole stream; with ``idle`` it ends with StreamIdle after so many
        seconds (up to a quarter more) in which nothing was produced or read.

        >>> async with ref.stream(Count(3)) as numbers:
        ...     async for n in numbers: ...
        """
        return Stream(self, msg, items, timeout, max_bytes, idle)

    def stop(self, *, drain: bool = False) -> None:
        """Stops the actor after its current message, or (``drain``) after all that wait."""
        self.signal(_native.SYS_DRAIN if drain else _native.SYS_STOP)

    def kill(self) -> None:
        """Stops the actor and all below it now: a handler that awaits is cancelled.

        One that ignores its cancellation is abandoned after 5 seconds.
        """
        if self.stopped_flag:
            return
        extra = extra_of(self)
        extra.killed = True
        extra.reason = "killed"
        interrupt(self)
        self.signal(_native.SYS_STOP)

    async def stopped(self) -> str:
        """Waits until the actor has stopped; returns the reason."""
        if self.stopped_flag:
            extra: Extra | None = self.extra
            return (extra.reason if extra is not None else None) or "stopped"
        extra = extra_of(self)
        if extra.stopped is None:
            extra.stopped = []
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        extra.stopped.append(done)
        return await done

    def __repr__(self) -> str:
        state = "stopped" if self.stopped_flag else f"incarnation {self.incarnation}"
        return f"<Ref {self.path} {self.cls.__qualname__} {state}>"
