"""What a remote ref does: it asks its node."""

from __future__ import annotations

import asyncio
from threading import get_ident
from typing import TYPE_CHECKING, Any

import msgspec

from actinium import _native
from actinium.core.put import ACCEPTED, Put
from actinium.core.remote import Remote
from actinium.core.room import wake_next
from actinium.errors import ActorStopped, MailboxFull

from .address import is_placed
from .letter import NORMAL, Letter
from .link import FLUSH

if TYPE_CHECKING:
    from actinium.core.stream import Channel

    from .entries import To
    from .link import Link
    from .node import Node


class Way(Remote):
    """The way to one actor of another process.

    ``node_index`` and ``node_incarnation`` say where it is as far as this process knows; for an
    actor that can move they are the latest it heard. ``reason`` is set once it has stopped.
    """

    __slots__ = (
        "_head",
        "_offer",
        "asked_gone",
        "known_path",
        "link",
        "node",
        "node_incarnation",
        "node_index",
        "stopping",
        "to",
        "waiting_for_end",
    )

    def __init__(self, node: Node, index: int, incarnation: int, to: To, path: str) -> None:
        super().__init__()
        self.node = node
        self.node_index = index
        self.node_incarnation = incarnation
        self.to = to
        self.known_path = path
        self.link: Link | None = None
        """Where the last message went, while nothing has changed since."""
        self._head = b"\x95\0" + msgspec.msgpack.encode(to)  # of a Post of five parts, tag first
        self.asked_gone = False
        self.stopping = ""
        """How it was told to end."""
        self.waiting_for_end: list[asyncio.Future[str]] = []
        self._offer: asyncio.Future[Put] | None = None

    @property
    def known(self) -> Any:
        """What is one actor in one process for good, or one actor that can move."""
        if isinstance(self.to, tuple) or is_placed(self.to):
            return self.to
        return (self.node_index, self.node_incarnation, self.to)

    def path(self) -> str:
        if self.known_path:
            return self.known_path
        if isinstance(self.to, tuple):
            return f"/entity/{self.to[0].rpartition(':')[2]}/{self.to[1]}"
        if is_placed(self.to):
            return f"/user/$placed-{self.to & ((1 << 54) - 1):x}"
        return f"/worker/{self.node_index}/${self.to}"

    def error(self) -> BaseException:
        """Why nothing reaches the actor any more."""
        if self.failure is not None:
            return self.failure
        return ActorStopped(f"{self.path()} has stopped")

    def forward(self, cell: Any, msg: Any, sender: Any, extra: Any, lane: int) -> Put:
        node = self.node
        link = self.link
        if link is not None and extra is None and link.credit > 0 and link.credit_bytes > 0:
            # The common case in one place: nothing but the message, to where the last one went.
            number = link.type_bytes.get(type(msg))
            origin = node.id_bytes.get(sender)
            if number is not None and origin is not None and get_ident() == node.thread:
                try:
                    entry = self._head + origin + number + node.encode(msg)
                except Exception:  # noqa: BLE001 - the long way finds out what is wrong
                    return node.sending.send(Letter(self, cell, msg, sender, extra, None, lane))
                size = len(entry)
                if size < 4096 and self._offer is None and lane == NORMAL:
                    link.credit -= 1
                    link.credit_bytes -= size
                    link.batch.append(entry)
                    if not link.scheduled:
                        link.schedule()
                    elif len(link.batch) >= FLUSH:
                        link.flush()
                    return ACCEPTED
        if get_ident() != node.thread:
            node.codec.pack(msg)  # what cannot travel is refused where it is told
            letter = Letter(self, cell, msg, sender, extra, None, lane)
            node.loop.call_soon_threadsafe(node.sending.send_again, letter)
            return ACCEPTED
        offer, self._offer = self._offer, None
        return node.sending.send(Letter(self, cell, msg, sender, extra, offer, lane))

    def refusal(self) -> int | None:
        if self.reason is not None:
            return _native.CLOSED
        link = self.node.link_for(self)
        return _native.FULL if link is not None and not link.has_room() else None

    def want_room(self, cell: Any) -> None:
        link = self.node.link_for(self)
        room = link.room() if link is not None and not link.has_room() else None
        if room is None:
            self.node.loop.call_soon(wake_next, cell)
        else:
            room.add_done_callback(lambda _: wake_next(cell))

    async def send(self, cell: Any, msg: Any, timeout: float, sender: Any) -> Put:
        link = self.node.link_for(self)
        loop = asyncio.get_running_loop()
        give_up = loop.time() + timeout
        try:
            async with asyncio.timeout_at(give_up):
                while link is not None and not link.has_room():
                    await link.room()
                    link = self.node.link_for(self)
        except TimeoutError:
            raise MailboxFull(f"the link to {self.path()} had no room for {timeout:g} s") from None
        answer: asyncio.Future[Put] = loop.create_future()
        self._offer = answer
        try:
            put = cell.tell(msg, deadline=max(0.0, give_up - loop.time()), sender=sender)
        finally:
            self._offer = None
        if not put.ok:
            raise (
                self.error()
                if put.code == "closed"
                else MailboxFull(f"the link to {self.path()} is full")
            )
        return await answer

    def end(self, how: str) -> None:
        self.node.endings.stop(self, how)

    async def ended(self) -> str:
        if self.reason is not None:
            return self.reason
        waiter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.waiting_for_end.append(waiter)
        self.node.endings.want_gone(self)
        return await waiter

    def is_alive(self) -> bool:
        return self.reason is None

    def watched(self, cell: Any) -> None:
        self.node.endings.watch(self, cell)

    def cancel_stream(self, channel: Channel) -> bool:
        return self.node.asked.cancel_stream(channel)
