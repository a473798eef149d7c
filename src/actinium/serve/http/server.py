"""Listens, keeps the connections and their clock, and ends them in order."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from actinium.base.tls import ServerTls
from actinium.errors import Unavailable

from .app import Application
from .connection import LINGER_SECONDS, Connections, ServerConnection
from .limits import Limits

_BACKLOG: Final = 1024


class HttpServer:
    """Serves an application on one address, over TLS where ``tls`` is given.

    :meth:`start` raises Unavailable where the address cannot be bound. :meth:`drain` stops
    listening and waits for the answers under way; :meth:`close` ends what is left. With ``shared``
    other processes of the same user may listen on the address as well (SO_REUSEPORT).
    """

    def __init__(
        self,
        app: Application,
        host: str,
        port: int,
        limits: Limits,
        tls: ServerTls | None = None,
        *,
        shared: bool = False,
    ) -> None:
        self._tls = tls
        self._handshake = limits.head_seconds if tls is not None else None
        self._host = host
        self._shared = shared
        self._port = port
        self._connections = Connections(app, limits, tls)
        self._server: asyncio.Server | None = None
        self._clock: asyncio.TimerHandle | None = None
        seconds = (
            limits.head_seconds,
            limits.body_seconds,
            limits.idle_seconds,
            limits.stall_seconds,
            limits.alive_seconds,
        )
        self._tick = min(1.0, min(seconds) / 4)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that are bound; port 0 is resolved after :meth:`start`."""
        return self._host, self._port

    @property
    def url(self) -> str:
        """What clients begin their URLs with."""
        scheme = "http" if self._tls is None else "https"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self._port}"

    @property
    def connections(self) -> int:
        return len(self._connections.open)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        connections = self._connections
        try:
            self._server = await loop.create_server(
                lambda: ServerConnection(connections),
                self._host,
                self._port,
                backlog=_BACKLOG,
                reuse_address=True,
                ssl=self._tls.context if self._tls is not None else None,
                ssl_handshake_timeout=self._handshake,
                ssl_shutdown_timeout=LINGER_SECONDS if self._tls is not None else None,
                reuse_port=self._shared,
            )
        except (OSError, socket.gaierror) as error:
            raise Unavailable(
                f"cannot listen on {self._host}:{self._port}: {error.strerror or error}; "
                "is another server running there? choose another port"
            ) from error
        self._port = self._server.sockets[0].getsockname()[1]
        self._clock = loop.call_later(self._tick, self._check)

    async def drain(self, seconds: float) -> bool:
        """Takes no new connections, closes idle ones, waits for answers; True if all ended."""
        self._connections.closing = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections.open):
            if connection.phase == "idle":
                connection.hang_up()
        tasks = [c.task for c in self._connections.open if c.task is not None]
        if not tasks:
            return True
        _, late = await asyncio.wait(tasks, timeout=seconds)
        return not late

    async def close(self) -> None:
        """Ends all connections and waits until nothing of them is left."""
        self._connections.closing = True
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        if self._server is not None:
            self._server.close()
        tasks = [c.task for c in self._connections.open if c.task is not None]
        for connection in list(self._connections.open):
            connection.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._connections.open):
            connection.check(now)
        self._clock = loop.call_later(self._tick, self._check)
