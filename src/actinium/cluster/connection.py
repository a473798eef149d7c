"""One socket between two processes. A link outlives it; see ``session``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import msgspec

from actinium.wire import FrameReader, frame

if TYPE_CHECKING:
    from .link import Link

_log = logging.getLogger("actinium.cluster")

HELLO_BYTES = 4096
"""Longest frame of a process that has not said who it is."""

WRITE_AHEAD = 1024 * 1024
"""Bytes that wait in the socket's buffer before the link keeps its next frames to itself."""


class Connection(asyncio.BufferedProtocol):
    """Reads frames and gives them to its link, or to ``hello`` while it has none.

    ``strange``: nothing is known of the other side yet, so it may send little. ``made`` is
    called when the connection is there.
    """

    def __init__(
        self,
        hello: Callable[[Connection, int, Any], None],
        *,
        strange: bool,
        made: Callable[[Connection], None] = lambda connection: None,
    ) -> None:
        self._hello = hello
        self._made = made
        self._reader = FrameReader(HELLO_BYTES, 0) if strange else FrameReader()
        self.link: Link | None = None
        self.transport: asyncio.Transport
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_AHEAD)
        self._made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.space()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            for found in self._reader.took(nbytes):
                if self.link is None:
                    self._hello(self, found.kind, found.body)
                else:
                    self.link.arrived(self, found)
                if self.transport.is_closing():
                    return
        except Exception as error:  # noqa: BLE001 - whatever it is, the other side's words caused it
            _log.debug("what a process said could not be taken", exc_info=error)
            link, self.link = self.link, None
            self.transport.abort()
            if link is None:
                _log.warning("a connection was closed: %s", error)
            else:
                link.disgraced(self, error)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        link, self.link = self.link, None
        if link is not None:
            link.detached(self)

    def pause_writing(self) -> None:
        if self.link is not None:
            self.link.pause(True)

    def resume_writing(self) -> None:
        if self.link is not None:
            self.link.pause(False)

    def belong(self, link: Link) -> None:
        """The other side is known: frames go to this link from now on."""
        self._reader.widen()
        self.link = link

    def leave(self) -> None:
        """Closes at once, and the link hears nothing of it."""
        self.link = None
        self.transport.abort()

    def write(self, kind: int, body: Any) -> None:
        """Writes one frame that belongs to no session (the handshake, a pulse)."""
        self.transport.write(b"".join(frame(kind, msgspec.msgpack.encode(body))))
