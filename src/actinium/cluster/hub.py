"""The door of each process for the others: a listening socket, and the handshake on it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from actinium.errors import Unavailable

from . import entries as e
from .link import Link

if TYPE_CHECKING:
    from .node import Node

_log = logging.getLogger("actinium.cluster")

HANDSHAKE = 10.0
"""Seconds until a connection has to have said who it is."""


def socket_path(folder: str, index: int, incarnation: int) -> str:
    """Where a process listens."""
    return str(Path(folder) / f"{index}-{incarnation}")


class Hub:
    """Listens for other processes of the system, and connects to them."""

    def __init__(self, node: Node, folder: str, token: str) -> None:
        self._node = node
        self._folder = folder
        self._token = token
        self._server: asyncio.AbstractServer | None = None
        self._strangers: set[Link] = set()
        self.refused = 0
        """Connections turned away: wrong token, wrong version, another user."""
        self.welcome: Callable[[Link], e.Welcome] = lambda link: e.Welcome(
            node.index, node.incarnation
        )

    async def listen(self) -> None:
        """Opens the socket; only this user can reach its folder."""
        node = self._node
        path = socket_path(self._folder, node.index, node.incarnation)
        self._server = await node.loop.create_unix_server(self._stranger, path)
        os.chmod(path, 0o600)

    def _stranger(self) -> Link:
        link = Link(self._node, self._hello)
        self._strangers.add(link)
        self._node.loop.call_later(HANDSHAKE, self._too_slow, link)
        return link

    def _too_slow(self, link: Link) -> None:
        if link in self._strangers:
            self._strangers.discard(link)
            self.refused += 1
            link.abort()

    def _hello(self, link: Link, kind: int, body: Any) -> None:
        self._strangers.discard(link)
        try:
            hello = msgspec.msgpack.decode(body, type=e.Hello) if kind == e.HELLO else None
        except msgspec.MsgspecError:
            hello = None
        why = self._objection(link, hello)
        if why or hello is None:
            self.refused += 1
            _log.warning("a connection was refused: %s", why)
            link.write(e.REFUSED, why)
            link.transport.close()
            return
        link.index, link.incarnation = hello.node, hello.incarnation
        link.write(e.WELCOME, self.welcome(link))
        link.up = True
        self._node.joined(link)

    def _objection(self, link: Link, hello: e.Hello | None) -> str:
        if hello is None:
            return "expected a Hello as the first frame"
        if hello.version != e.VERSION:
            return f"expected protocol version {e.VERSION}, got {hello.version}"
        if not hmac.compare_digest(hello.token.encode(), self._token.encode()):
            return "the token is not the one of this system"
        peer = link.transport.get_extra_info("socket")
        if peer is not None and hasattr(socket, "SO_PEERCRED"):
            raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            if struct.unpack("3i", raw)[1] != os.getuid():
                return "the connection comes from another user"
        if not 0 <= hello.node <= self._node.workers or hello.node == self._node.index:
            return f"no process of this system has the number {hello.node}"
        known = self._node.links.get(hello.node)
        if known is not None and known.up:
            return f"{self._node.name_of(hello.node)} is connected already"
        return ""

    async def connect(self, index: int, incarnation: int) -> tuple[Link, e.Welcome]:
        """Connects to another process; raises Unavailable if it does not take us."""
        node = self._node
        answered: asyncio.Future[e.Welcome] = node.loop.create_future()

        def answer(link: Link, kind: int, body: Any) -> None:
            if answered.done():
                return
            if kind == e.WELCOME:
                link.index, link.incarnation = index, incarnation
                link.up = True
                node.joined(link)
                answered.set_result(msgspec.msgpack.decode(body, type=e.Welcome))
            else:
                why = msgspec.msgpack.decode(body) if kind == e.REFUSED else f"frame {kind}"
                answered.set_exception(Unavailable(f"{node.name_of(index)} refused: {why}"))
                link.abort()

        path = socket_path(self._folder, index, incarnation)
        _, link = await node.loop.create_unix_connection(lambda: Link(node, answer), path)
        link.write(e.HELLO, e.Hello(e.VERSION, self._token, node.index, node.incarnation))
        async with asyncio.timeout(HANDSHAKE):
            await asyncio.wait({answered, link.closed}, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            raise Unavailable(f"{node.name_of(index)} closed the connection without a word")
        return link, answered.result()

    async def close(self) -> None:
        """Stops listening and closes what is open."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(OSError):
                os.unlink(socket_path(self._folder, self._node.index, self._node.incarnation))
        for link in [*self._strangers, *self._node.links.values()]:
            link.up = False
            link.close()
        self._strangers.clear()
