"""Sends requests to one server over a pool of keep-alive connections."""

from __future__ import annotations

import asyncio
import ssl
from time import monotonic
from typing import Final

from actinium.base.cork import Cork
from actinium.base.trace import current, with_context
from actinium.errors import ModelNotReady, NetworkError, UpstreamTimeout

from .connection import Connection
from .endpoint import Endpoint

_IDLE_SECONDS: Final = 60.0
"""Shorter than the idle limit of the common servers and proxies (75 s and more)."""


class HttpClient:
    """Connections to one endpoint, the most recently used first.

    It holds as many as its callers use at once: who bounds the callers bounds the pool.
    Idle ones are closed after 60 s. :meth:`close` closes all.
    """

    def __init__(
        self, endpoint: Endpoint, *, connect_seconds: float, tls: ssl.SSLContext | None
    ) -> None:
        self.endpoint = endpoint
        self._connect_seconds = connect_seconds
        self._tls = tls
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._reaper: asyncio.TimerHandle | None = None
        self._closed = False
        self.cork = Cork()

    async def send(self, message: bytes) -> Connection:
        """Writes a whole request and waits for the head of its answer.

        The caller ends the exchange with ``done()`` or ``abort()``. A request is written a
        second time only if it went out on a kept connection that closed before any byte of an
        answer came: the server had closed it while it was idle. Raises NetworkError,
        ProtocolError and UpstreamTimeout(connect). Where the request is traced, the context of
        its span goes with it.
        """
        if (span := current.get()) is not None:
            message = with_context(message, span)
        connection = self._take()
        if connection is not None:
            try:
                connection.start(message)
                while not connection.headed:
                    await connection.event()
                return connection
            except NetworkError:
                connection.abort()
                if connection.answered:
                    raise
            except BaseException:
                connection.abort()
                raise
        connection = await self._connect()
        try:
            connection.start(message)
            await connection.head()
        except BaseException:
            connection.abort()
            raise
        return connection

    def statistics(self) -> dict[str, int]:
        """Connections that exist and those that are idle."""
        return {"connections": len(self._all), "idle": len(self._idle)}

    async def close(self) -> None:
        """Closes every connection; answers under way break off."""
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        for connection in list(self._all):
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # lets the transports report their end to the protocols

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        return None

    async def _connect(self) -> Connection:
        if self._closed:
            raise ModelNotReady("the connection to the upstream is closed for good")
        endpoint = self.endpoint
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_connection(
                    lambda: Connection(self),
                    endpoint.host,
                    endpoint.port,
                    ssl=self._tls,
                    server_hostname=endpoint.host if self._tls is not None else None,
                )
        except TimeoutError:
            raise UpstreamTimeout("connect", self._connect_seconds) from None
        except OSError as error:
            raise NetworkError(f"cannot connect to {endpoint}: {error}") from error
        self._all.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """A connection is free again."""
        if self._closed:
            connection.abort()
            return
        connection.idle_since = monotonic()
        self._idle.append(connection)
        if self._reaper is None:
            loop = asyncio.get_running_loop()
            self._reaper = loop.call_later(_IDLE_SECONDS, self._reap)

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self._all.discard(connection)

    def _reap(self) -> None:
        """Closes what has been idle too long; the oldest are at the front."""
        self._reaper = None
        loop = asyncio.get_running_loop()
        oldest = monotonic() - _IDLE_SECONDS
        kept: list[Connection] = []
        for connection in self._idle:
            if connection.idle_since > oldest and not connection.closed:
                kept.append(connection)
            else:
                connection.abort()
        self._idle = kept
        if kept:
            self._reaper = loop.call_later(_IDLE_SECONDS, self._reap)
