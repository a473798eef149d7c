"""The runner: a deployment of Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Final, Literal

import msgspec

import actinium.errors as errors
from actinium.base.secret import Secret, read_secret
from actinium.inference.chunk import Burst
from actinium.inference.deployment import Deployment
from actinium.inference.http import Connection, HttpClient, parse_endpoint
from actinium.inference.request import EmbedRequest, Request
from actinium.inference.runner import Capabilities, Embedding, Health, Progress

from .decode import StreamDecoder, decode_whole
from .encode import EXTRAS, encode_call, encode_count, ignored
from .errors import from_answer
from .options import read_options
from .wire import decode_count

_PUBLIC: Final = "https://api.anthropic.com"
_MAX_ANSWER: Final = 64 * 1024 * 1024
_MAX_ERROR: Final = 64 * 1024


class AnthropicRunner:
    """Serves a deployment through a server's ``/v1/messages``.

    The server is ``deployment.base_url`` (with or without ``/v1``), else
    ``ANTHROPIC_BASE_URL``, else Anthropic's own. The key comes from ``deployment.credentials``,
    else from ``ANTHROPIC_API_KEY``, else as a Bearer token from ``ANTHROPIC_AUTH_TOKEN``; a
    server named by ``base_url`` gets a key only if that is named as well (SC-1). Raises
    ConfigError for wrong settings, and MissingCredentials.
    """

    transport: Literal["cpu", "gpu", "remote"] = "remote"

    def __init__(self, deployment: Deployment, environ: Mapping[str, str]) -> None:
        self.deployment = deployment
        self.on_headers: Callable[[Mapping[bytes, bytes]], None] | None = None
        self._options = options = read_options(deployment.name, deployment.options)
        url = deployment.base_url or environ.get("ANTHROPIC_BASE_URL") or _PUBLIC
        self._endpoint = parse_endpoint(url, insecure=options.insecure)
        self._bearer = options.auth == "bearer"
        self._key = self._find_key(environ)
        self._client = HttpClient(
            self._endpoint,
            connect_seconds=deployment.timeouts.connect,
            tls=self._endpoint.context(options.ca_file),
        )
        path = self._endpoint.path
        self._base = path if path.endswith("/v1") else f"{path}/v1"

    def __repr__(self) -> str:
        return f"AnthropicRunner({self.deployment.name!r}, {self._endpoint})"

    def capabilities(self) -> Capabilities:
        """What the wire has; whether the model has it too only the server knows."""
        return Capabilities(
            completion=False,
            tools=True,
            json_schema=True,
            extras=EXTRAS,
            native="anthropic",
            batch=self.deployment.max_concurrent,
        )

    async def load(self, progress: Progress | None = None) -> None:
        """Nothing to load: the server may be down now and up when a request comes."""
        if progress is not None:
            progress(1.0, f"remote at {self._endpoint}")

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """The server's answer; one burst per read of the socket.

        An empty burst is a sign of life, such as a ping. Closing the generator closes the
        connection, which stops the server's work.
        """
        if not request.stream:
            yield await self.complete(request)
            return
        connection = await self._client.send(self._message(request))
        ended = False
        try:
            if self.on_headers is not None:
                self.on_headers(connection.headers)
            if connection.status != 200:
                raise await self._refusal(connection)
            if b"event-stream" in connection.headers.get(b"content-type", b""):
                decoder = StreamDecoder()
                while not decoder.done:
                    piece = await connection.read()
                    if not piece:
                        decoder.end()
                        break
                    burst = decoder.feed(piece)
                    if decoder.done and decoder.error is None:
                        ended = True
                        connection.done()
                    yield burst
                    if decoder.error is not None:
                        raise decoder.error
            else:
                burst = decode_whole(await connection.body(_MAX_ANSWER))
                ended = True
                connection.done()
                yield burst
        finally:
            if not ended:
                connection.abort()

    async def complete(self, request: Request) -> Burst:
        """The server's whole answer, asked for as such."""
        if request.stream:
            request = msgspec.structs.replace(request, stream=False)
        return decode_whole(await self._exchange(self._message(request)))

    async def embed(self, request: EmbedRequest) -> Embedding:
        """Raises Unsupported: this wire has no embeddings."""
        raise errors.Unsupported(
            "Anthropic's API makes no embeddings; send this request to a deployment of an "
            "embedding model",
            "model",
        )

    def count_tokens(self, request: Request) -> int | None:
        """None: only the server knows; see :meth:`count`."""
        return None

    async def count(self, request: Request) -> int:
        """Input tokens of a request, from the server's ``/v1/messages/count_tokens``."""
        body = encode_count(request, self.deployment.model, self._options)
        raw = await self._exchange(self._post("/messages/count_tokens", body, request))
        try:
            return decode_count(raw).input_tokens
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.ProtocolError(f"the upstream's count is not its wire: {error}") from None

    def ignored(self, request: Request) -> tuple[str, ...]:
        """The fields of messages that this wire has no place for."""
        return ignored(request)

    async def health(self) -> Health:
        """Asks the server for its models: reachable, and the key accepted."""
        try:
            connection = await self._client.send(self._head("GET", "/models") + b"\r\n\r\n")
        except errors.InferenceError as error:
            return Health(ok=False, reason=str(error))
        status = connection.status
        connection.abort()
        if status in (401, 403) or status >= 500:
            return Health(ok=False, reason=f"{self._endpoint}: /models answers {status}")
        return Health(ok=True)

    def statistics(self) -> dict[str, int]:
        return self._client.statistics()

    async def close(self) -> None:
        await self._client.close()

    async def _exchange(self, message: bytes) -> bytes:
        """The body of a whole answer of status 200."""
        connection = await self._client.send(message)
        ended = False
        try:
            if self.on_headers is not None:
                self.on_headers(connection.headers)
            if connection.status != 200:
                raise await self._refusal(connection)
            body = connection.whole()
            if body is None:
                body = await connection.body(_MAX_ANSWER)
            ended = True
            connection.done()
            return body
        finally:
            if not ended:
                connection.abort()

    def _message(self, request: Request) -> bytes:
        """The whole HTTP request for a generation."""
        body = encode_call(request, self.deployment.model, self._options)
        return self._post("/messages", body, request)

    async def _refusal(self, connection: Connection) -> errors.InferenceError:
        """The typed error for a status that is not 200, with the key taken out of its text."""
        body = await connection.body(_MAX_ERROR)
        key = self._key.reveal().encode() if self._key is not None else b""
        clean = body.replace(key, b"***") if key else body
        return from_answer(connection.status, connection.headers, clean)

    def _find_key(self, environ: Mapping[str, str]) -> Secret | None:
        reference = self.deployment.credentials
        if reference is not None:
            return read_secret(reference, environ)
        if self.deployment.base_url is not None:
            return None
        if not environ.get("ANTHROPIC_API_KEY") and environ.get("ANTHROPIC_AUTH_TOKEN"):
            self._bearer = self._options.auth != "x-api-key"
            return read_secret("env:ANTHROPIC_AUTH_TOKEN", environ)
        return read_secret("env:ANTHROPIC_API_KEY", environ)

    def _post(self, path: str, body: bytes, request: Request) -> bytes:
        beta = list(self._options.beta)
        if request.native is not None and request.native.beta:
            beta.append(request.native.beta)
        lines = self._head("POST", path)
        if beta:
            lines += f"\r\nanthropic-beta: {','.join(beta)}".encode("ascii")
        return lines + (
            b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )

    def _head(self, method: str, path: str) -> bytes:
        """The lines of every call, without a line end after the last one."""
        lines = [
            f"{method} {self._base}{path} HTTP/1.1",
            f"Host: {self._endpoint.authority}",
            "User-Agent: actinium",
            "Accept: application/json, text/event-stream",
            f"anthropic-version: {self._options.version}",
        ]
        if self._key is not None:
            name = "Authorization: Bearer" if self._bearer else "x-api-key:"
            lines.append(f"{name} {self._key.reveal()}")
        lines += [f"{name}: {value}" for name, value in self._options.headers.items()]
        return "\r\n".join(lines).encode("ascii")
