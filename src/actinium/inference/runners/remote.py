"""What all runners of remote servers do alike: send, pump a stream, end the exchange, fail typed.

A provider is its own encoding, decoding, error table and heads of calls; see the folders beside.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Final, Literal, Protocol

import msgspec

from actinium.base.secret import Secret
from actinium.errors import InferenceError
from actinium.inference.chunk import Burst
from actinium.inference.deployment import Deployment
from actinium.inference.http import Connection, Endpoint, HttpClient
from actinium.inference.request import EmbedRequest, Request
from actinium.inference.runner import Capabilities, Embedding, Health, Progress

from .token import Tokens

MAX_ANSWER: Final = 64 * 1024 * 1024
_MAX_ERROR: Final = 64 * 1024
_MOST_DULL: Final = 64

BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding bytes raises that are not the wire's."""


class Decoder(Protocol):
    """Bytes of one stream -> bursts, without I/O.

    After each :meth:`feed` the pump looks at ``error`` (raised once the burst is delivered) and at
    ``done``; at the end of the bytes it calls :meth:`end`, which gives what is left to say
    and raises where the answer is not whole.
    """

    @property
    def done(self) -> bool: ...

    @property
    def error(self) -> InferenceError | None: ...

    def feed(self, piece: bytes) -> Burst: ...

    def end(self) -> Burst: ...


class RemoteRunner(ABC):
    """The base of a runner: a deployment, its server, its key, its connections.

    ``tokens`` give the key for ``key_header`` (``b"x-api-key: "``); None: there is no key. A key
    that never changes stands in the heads of the calls; another is asked for at each call, and
    once more where the server refuses it.
    """

    transport: Literal["cpu", "gpu", "remote"] = "remote"

    def __init__(
        self, deployment: Deployment, endpoint: Endpoint, *, ca_file: str | None,
        tokens: Tokens | None, key_header: bytes = b"Authorization: Bearer ",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:  # fmt: skip
        self.deployment = deployment
        self.on_headers: Callable[[Mapping[bytes, bytes]], bool] | None = None
        self._dull: set[tuple[bytes, ...]] = set()  # names of headers that tell nobody anything
        self.endpoint = endpoint
        self._tokens = tokens
        self._key_header = key_header
        self._renewed = tokens if tokens is not None and tokens.fixed is None else None
        self._headers = tuple(headers)
        self._client = HttpClient(
            endpoint,
            connect_seconds=deployment.timeouts.connect,
            tls=endpoint.context(ca_file),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.deployment.name!r}, {self.endpoint})"

    # What a provider says.

    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What the wire has; whether the model has it too only the server knows."""

    @abstractmethod
    async def embed(self, request: EmbedRequest) -> Embedding:
        """Vectors of texts. Raises Unsupported where the wire has none."""

    @abstractmethod
    def _call(self, request: Request) -> tuple[bytes, bytes]:
        """The head (of :meth:`_head`) and the body of a generation, as ``request.stream`` says."""

    @abstractmethod
    def _decoder(self, request: Request) -> Decoder:
        """What reads a stream."""

    @abstractmethod
    def _decode_whole(self, body: bytes, request: Request) -> Burst:
        """What reads a whole answer. Raises InferenceError."""

    @abstractmethod
    def _error(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> InferenceError:
        """The typed error for a status that is not 200."""

    @property
    @abstractmethod
    def _health_path(self) -> str:
        """What is asked for to see that the server is there and takes the key."""

    def _lines(self, request: Request) -> bytes:
        """Further header lines of this request's call, each with its line end."""
        return b""

    # What the runtime calls.

    async def load(self, progress: Progress | None = None) -> None:
        """Nothing to load: the server may be down now and up when a request comes."""
        if progress is not None:
            progress(1.0, f"remote at {self.endpoint}")

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """The server's answer; one burst per read of the socket.

        An empty burst is a sign of life. Closing the generator closes the connection, which
        stops the server's work. A server that answers whole though asked to stream gives one
        burst.
        """
        if not request.stream:
            yield await self.complete(request)
            return
        head, body = self._call(request)
        connection = await self._send(head, body, self._lines(request))
        ended = False
        try:
            await self._check(connection)
            if b"event-stream" in connection.headers.get(b"content-type", b""):
                decoder = self._decoder(request)
                while not decoder.done:
                    piece = await connection.read()
                    if not piece:
                        if last := decoder.end():
                            yield last
                        break
                    burst = decoder.feed(piece)
                    if decoder.done and decoder.error is None:
                        ended = True
                        connection.done()
                    yield burst
                    if decoder.error is not None:
                        raise decoder.error
                if not ended:
                    ended = True
                    connection.done()
            else:
                whole = await connection.body(MAX_ANSWER)
                ended = True
                connection.done()
                yield self._decode_whole(whole, request)
        finally:
            if not ended:
                connection.abort()

    async def complete(self, request: Request) -> Burst:
        """The server's whole answer, asked for as such."""
        if request.stream:
            request = msgspec.structs.replace(request, stream=False)
        head, body = self._call(request)
        return self._decode_whole(await self._ask(head, body, self._lines(request)), request)

    def count_tokens(self, request: Request) -> int | None:
        """None: only the server knows."""
        return None

    async def health(self) -> Health:
        """Asks the server for what costs nothing: reachable, and the key accepted."""
        path = self._health_path
        try:
            connection = await self._send(self._head(path, "GET"), None)
        except InferenceError as error:
            return Health(ok=False, reason=str(error))
        status = connection.status
        connection.abort()
        if status in (401, 403) or status >= 500:
            return Health(ok=False, reason=f"{self.endpoint}{path} answers {status}")
        return Health(ok=True)

    def statistics(self) -> dict[str, int]:
        return self._client.statistics()

    async def close(self) -> None:
        if self._tokens is not None:
            await self._tokens.close()
        await self._client.close()

    # What a provider builds on.

    def _head(self, path: str, method: str = "POST", *more: str) -> bytes:
        """The head of every call to ``path`` with ``more`` header lines.

        It takes the key (where that may change) and a POST the length by ``%``; the empty line at
        its end is missing, since a call may have lines of its own.
        """
        lines = [
            f"{method} {self.endpoint.path}{path} HTTP/1.1",
            f"Host: {self.endpoint.authority}",
            "User-Agent: actinium",
            "Accept: application/json, text/event-stream",
            *more,
            *(f"{name}: {value}" for name, value in self._headers),
        ]
        head = "\r\n".join(lines).encode("ascii").replace(b"%", b"%%") + b"\r\n"
        if self._tokens is not None:
            fixed = self._tokens.fixed
            key = b"%b" if fixed is None else fixed.reveal().encode().replace(b"%", b"%%")
            head += self._key_header + key + b"\r\n"
        if method == "POST":
            head += b"Content-Type: application/json\r\nContent-Length: %d\r\n"
        return head

    async def _send(self, head: bytes, body: bytes | None, lines: bytes = b"") -> Connection:
        """Sends a call. Where its key is refused and there is a newer one, once more.

        Nothing was done for a call that met a 401, so the second one repeats nothing.
        """
        tokens = self._renewed
        if tokens is None:
            return await self._client.send(_message(head, body, lines))
        secret = await tokens.secret()
        connection = await self._client.send(_message(head, body, lines, secret))
        if connection.status != 401:
            return connection
        try:
            newer = await tokens.after_refusal(secret)
        except BaseException:
            connection.abort()
            raise
        if newer is None:
            return connection
        connection.abort()
        return await self._client.send(_message(head, body, lines, newer))

    async def _ask(self, head: bytes, body: bytes, lines: bytes = b"") -> bytes:
        """The whole body of the answer to a call. Raises the typed error of another status."""
        connection = await self._send(head, body, lines)
        ended = False
        try:
            await self._check(connection)
            whole = connection.whole()
            if whole is None:
                whole = await connection.body(MAX_ANSWER)
            ended = True
            connection.done()
        finally:
            if not ended:
                connection.abort()
        return whole

    async def _check(self, connection: Connection) -> None:
        """Shows the headers to who wants them; raises the error of a status that is not 200.

        Who stops waiting for the rest of a refusal knows by the status already that it is one:
        the refusal is the cause of that cancellation.
        """
        if self.on_headers is not None and (names := connection.names) not in self._dull:
            told = self.on_headers(connection.headers)
            if not told and len(self._dull) < _MOST_DULL:
                self._dull.add(names)
        if connection.status == 200:
            return
        try:
            body = await connection.body(_MAX_ERROR)
        except asyncio.CancelledError as left:
            raise left from self._error(connection.status, connection.headers, b"")
        key = self._tokens.reveal().encode() if self._tokens is not None else b""
        clean = body.replace(key, b"***") if key else body
        raise self._error(connection.status, connection.headers, clean)


def _message(head: bytes, body: bytes | None, lines: bytes, secret: Secret | None = None) -> bytes:
    """A whole HTTP request."""
    key = () if secret is None else (secret.reveal().encode(),)
    if body is None:
        return head % key + lines + b"\r\n"
    return head % (*key, len(body)) + lines + b"\r\n" + body
