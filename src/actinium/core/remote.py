"""Refs to actors of other processes, as far as the core knows them.

A ``RemoteRef`` is a cell without a mailbox: the native core refuses every message for it, and
instead hands it to the cell's ``Remote``, which a higher layer implements. So everything that
takes a ref takes this one too (a handler's sender, timers, watches, deadlines of asks), and the
hot path knows nothing of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from actinium import _native

from .actor import Actor
from .extra import Extra
from .ref import LocalRef

if TYPE_CHECKING:
    from .put import Put
    from .ref import A_co
    from .stream import Channel

    _Local = LocalRef[A_co]

    def _native_class(cls: type[Any]) -> type[Any]: ...

else:
    _Local = object

    def _native_class(cls):
        names = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")}
        return _native.new_ref_type(names, LocalRef)


class Remote(Extra):
    """Where a remote ref leads. Lives in the ``extra`` of its cell; ``cell`` is that ref."""

    __slots__ = ()

    def path(self) -> str:
        """Where the actor lives in the tree of its process, as far as it is known here."""
        raise NotImplementedError

    def forward(self, cell: Any, msg: Any, sender: Any, extra: Any, lane: int) -> Put:
        """Sends a message on; ``extra`` is the Reply of an ask or the Envelope of a stream,
        ``lane`` the level of its priority."""
        raise NotImplementedError

    def refusal(self) -> int | None:
        """Why a message could not be sent on now (``_native.FULL``, ``CLOSED``); None if it could.

        What the mailbox at the other end refuses later is a dead letter there.
        """
        raise NotImplementedError

    def want_room(self, cell: Any) -> None:
        """Somebody waits in ``senders`` until a message could be sent on."""
        raise NotImplementedError

    async def send(self, cell: Any, msg: Any, timeout: float, sender: Any) -> Put:
        """Sends a message on and waits until its mailbox took it."""
        raise NotImplementedError

    def end(self, how: str) -> None:
        """Stops the actor: ``stop``, ``drain`` or ``kill``."""
        raise NotImplementedError

    async def ended(self) -> str:
        """Waits until the actor has stopped; returns the reason."""
        raise NotImplementedError

    def is_alive(self) -> bool:
        """False once it is known here that the actor takes no more messages."""
        raise NotImplementedError

    def watched(self, cell: Any) -> None:
        """Somebody here watches the actor: deliver one ``Terminated`` when it has stopped."""
        raise NotImplementedError

    def cancel_stream(self, channel: Channel) -> bool:
        """The reader of this stream has left."""
        raise NotImplementedError


class Elsewhere(Actor):
    """Stands for the class of an actor that is in another process."""


@_native_class
class RemoteRef(_Local):  # type: ignore[type-arg]
    """A ref to an actor of another process; it offers what every ref does.

    To a type checker it is the ``LocalRef[Counter]`` that ``spawn`` promised.
    """

    __slots__ = ()

    @property
    def path(self) -> str:
        """Where the actor lives in the tree of its process, as far as it is known here."""
        answer: str = self.extra.path()
        return answer

    @property
    def alive(self) -> bool:
        """False once it is known here that the actor takes no more messages."""
        answer: bool = self.extra.is_alive()
        return answer

    def refusal(self, msg: Any, sender: Any, /) -> int | None:
        code: int | None = self.extra.refusal()
        return code

    def set_waiters(self, on: bool, /) -> None:
        if on:
            self.extra.want_room(self)

    async def send(
        self, msg: Any, *, timeout: float = 5.0, sender: LocalRef[Any] | None = None
    ) -> Put:
        """Hands a message over and waits until its mailbox took it, up to ``timeout`` seconds."""
        put: Put = await self.extra.send(self, msg, timeout, sender)
        return put

    def stop(self, *, drain: bool = False) -> None:
        """Stops the actor after its current message, or (``drain``) after all that wait."""
        self.extra.end("drain" if drain else "stop")

    def kill(self) -> None:
        """Stops the actor now: a handler that awaits is cancelled."""
        self.extra.end("kill")

    async def stopped(self) -> str:
        """Waits until the actor has stopped; returns the reason."""
        reason: str = await self.extra.ended()
        return reason

    def children(self) -> list[LocalRef[Any]]:
        """Children are known in the actor's own process only: none here."""
        return []

    def cancel_stream(self, stream: Any) -> bool:
        answer: bool = self.extra.cancel_stream(stream)
        return answer

    def __repr__(self) -> str:
        return f"<RemoteRef {self.path}{'' if self.alive else ' stopped'}>"


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the messages in other processes, for the report of a system's end."""

    accepted: int = 0
    handled: int = 0
    dead_lettered: int = 0
    withdrawn: int = 0
    forced: int = 0
    lost: int = 0


NOTHING = Ledger()


class WorkerPool(Protocol):
    """The worker processes of a system; the plug ``workers`` makes them from (system, settings)."""

    async def start(self) -> None:
        """Starts the processes and waits until they serve."""

    def spawn(self, cls: type[Any], /, *args: Any, **kwargs: Any) -> LocalRef[Any]:
        """Starts an actor where ``place`` says."""

    def entity(self, cls: type[Any], key: str) -> LocalRef[Any] | None:
        """A ref to the entity of a key, or None where it belongs to this process."""

    def lookup(self, path: str) -> LocalRef[Any] | None:
        """The actor of this path in another process, if it is known here."""

    def states(self) -> tuple[Any, ...]:
        """How each worker is."""

    async def quiet(self) -> None:
        """Waits until no message is under way in any process or between them."""

    async def end(self, limit: float) -> Ledger:
        """Lets the workers finish for up to ``limit`` seconds and ends their processes."""
