"""The door of each process for the others: a listening socket, and the handshake on it.

The sockets have no place in the file system (Linux: abstract names), so that nothing is left
behind by a process that was killed. Anybody on the machine may connect to one; whoever is not
this user, or does not know the system's token, is turned away before anything is read of him.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from actinium.errors import DecodeError, Unavailable

from . import entries as e
from .connection import Connection
from .link import Link

if TYPE_CHECKING:
    from .node import Node

_log = logging.getLogger("actinium.cluster")

HANDSHAKE = 10.0
"""Seconds until somebody who connects has to have said who he is."""

STRANGERS = 64
"""Most connections at a time whose other side has not said who it is; the oldest give way."""


def address(name: str, index: int, incarnation: int) -> str:
    """Where a process listens."""
    return f"\0actinium-{name}-{index}-{incarnation}"


class Refused(Unavailable):
    """The other process does not take us."""


class Hub:
    """Listens for other processes of the system, and connects to them."""

    def __init__(self, node: Node, name: str, token: str) -> None:
        self._node = node
        self._name = name
        self._token = token
        self._server: asyncio.AbstractServer | None = None
        self._strangers: dict[Connection, None] = {}  # the oldest first
        self.refused = 0
        """Connections turned away: wrong token, wrong version, another user, too many."""
        self.peers: Callable[[int], list[tuple[int, int]]] = lambda index: []
        """Whom a process that connects has to connect to as well."""

    async def listen(self) -> None:
        """Opens the socket."""
        node = self._node
        here = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        here.setblocking(False)
        try:
            here.bind(address(self._name, node.index, node.incarnation))
            self._server = await node.loop.create_unix_server(self._stranger, sock=here)
        except BaseException:
            here.close()
            raise

    def _stranger(self) -> Connection:
        connection = Connection(self._hello, strange=True, made=self._look)
        self._strangers[connection] = None
        connection.closed.add_done_callback(lambda _: self._strangers.pop(connection, None))
        return connection

    def _look(self, connection: Connection) -> None:
        """Turns away at once whom we would not listen to."""
        peer = connection.transport.get_extra_info("socket")
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", raw)[1] != os.getuid():
            self._turn_away(connection, "it comes from another user")
            return
        self._node.loop.call_later(HANDSHAKE, self._too_slow, connection)
        if len(self._strangers) > STRANGERS:
            why = f"{STRANGERS} more came, and it has not said who it is"
            self._turn_away(next(iter(self._strangers)), why)

    def _turn_away(self, connection: Connection, why: str) -> None:
        self._strangers.pop(connection, None)
        self.refused += 1
        _log.warning("a connection was refused: %s", why)
        connection.leave()

    def _too_slow(self, connection: Connection) -> None:
        if connection in self._strangers:
            self._turn_away(connection, f"it said nothing for {HANDSHAKE:g} s")

    def _hello(self, connection: Connection, kind: int, body: Any) -> None:
        self._strangers.pop(connection, None)
        try:
            hello = msgspec.msgpack.decode(body, type=e.Hello) if kind == e.HELLO else None
        except msgspec.MsgspecError:
            hello = None
        why = self._objection(hello)
        if why or hello is None:
            self.refused += 1
            _log.warning("a connection was refused: %s", why)
            connection.write(e.REFUSED, why)
            connection.transport.close()
            return
        node = self._node
        link = node.links.get(hello.node)
        if link is not None and link.incarnation != hello.incarnation:
            node.drop(link)  # it has ended, and the word of it is on its way
            link = None
        if link is None:
            link = Link(node, hello.node, hello.incarnation)
        welcome = e.Welcome(
            node.index, node.incarnation, link.session.taken, self.peers(hello.node)
        )
        connection.write(e.WELCOME, welcome)
        link.attach(connection, hello.taken)
        node.joined(link)

    def _objection(self, hello: e.Hello | None) -> str:
        node = self._node
        if hello is None:
            return "expected a Hello as the first frame"
        if hello.version != e.VERSION:
            return f"expected protocol version {e.VERSION}, got {hello.version}"
        if not hmac.compare_digest(hello.token.encode(), self._token.encode()):
            return "the token is not the one of this system"
        if not 0 <= hello.node <= node.workers or hello.node == node.index:
            return f"no process of this system has the number {hello.node}"
        if not node.expects(hello.node, hello.incarnation):
            return f"{node.name_of(hello.node)} has no incarnation {hello.incarnation}"
        known = node.links.get(hello.node)
        if known is None or known.incarnation != hello.incarnation:
            return "" if hello.taken == 0 else "that link has ended"
        try:
            known.session.again(hello.taken)
        except DecodeError as error:
            return str(error)
        return ""

    async def connect(self, link: Link) -> e.Welcome:
        """Connects a link to its process, for the first time or again.

        Raises OSError if nobody listens there, Refused if it does not take us. A process that is
        busy answers when its event loop turns again; there is no limit to that here.
        """
        node = self._node
        answered: asyncio.Future[e.Welcome] = node.loop.create_future()

        def answer(connection: Connection, kind: int, body: Any) -> None:
            if kind != e.WELCOME:
                why = msgspec.msgpack.decode(body) if kind == e.REFUSED else f"frame {kind}"
                answered.set_exception(Refused(f"{node.name_of(link.index)} refused: {why}"))
                connection.leave()
                return
            welcome = msgspec.msgpack.decode(body, type=e.Welcome)
            if (link.index, link.incarnation) in node.gone_nodes:  # its last words
                answered.set_exception(Refused(f"{node.name_of(link.index)} has ended"))
                connection.leave()
                return
            link.dialled = True
            link.attach(connection, welcome.taken)
            node.joined(link)
            answered.set_result(welcome)

        there = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        there.setblocking(False)
        try:
            await node.loop.sock_connect(there, address(self._name, link.index, link.incarnation))
        except BaseException:
            there.close()
            raise
        _, connection = await node.loop.create_unix_connection(
            lambda: Connection(answer, strange=False), sock=there
        )
        hello = e.Hello(e.VERSION, self._token, node.index, node.incarnation, link.session.taken)
        connection.write(e.HELLO, hello)
        await asyncio.wait({answered, connection.closed}, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            raise ConnectionResetError(
                f"{node.name_of(link.index)} closed the connection without a word"
            )
        return answered.result()

    async def close(self) -> None:
        """Stops listening and closes what is open."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._strangers):
            connection.leave()
        for link in self._node.links.values():
            link.close()
        self._strangers.clear()
