"""The runner: a deployment of any OpenAI-compatible server."""

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
from .encode import encode_call, encode_embed
from .errors import from_answer, from_event
from .options import read_options
from .wire import decode_vectors

_PUBLIC: Final = "https://api.openai.com/v1"
_MAX_ANSWER: Final = 64 * 1024 * 1024
_MAX_ERROR: Final = 64 * 1024


class OpenAIRunner:
    """Serves a deployment through a server's ``/chat/completions`` and its siblings.

    The server is ``deployment.base_url``, else ``OPENAI_BASE_URL``, else OpenAI's own. The key
    comes from ``deployment.credentials``, else from ``OPENAI_API_KEY`` where the server is not
    set by ``base_url``: a server named there gets a key only if that is named as well, so
    that none goes to a host it was not meant for (SC-1). Raises ConfigError for
    wrong settings, and MissingCredentials.
    """

    transport: Literal["cpu", "gpu", "remote"] = "remote"

    def __init__(self, deployment: Deployment, environ: Mapping[str, str]) -> None:
        self.deployment = deployment
        self.on_headers: Callable[[Mapping[bytes, bytes]], None] | None = None
        self._options = options = read_options(deployment.name, deployment.options)
        url = deployment.base_url
        if url is None:
            url = environ.get("OPENAI_BASE_URL") or _PUBLIC
        self._endpoint = parse_endpoint(url, insecure=options.insecure)
        self._openai = self._endpoint.host == "api.openai.com"
        self._key = self._find_key(environ, custom=deployment.base_url is not None)
        self._chat = self._head("/chat/completions")
        self._completions = self._head("/completions")
        self._embeddings = self._head("/embeddings")
        self._client = HttpClient(
            self._endpoint,
            connect_seconds=deployment.timeouts.connect,
            tls=self._endpoint.context(options.ca_file),
        )

    def __repr__(self) -> str:
        return f"OpenAIRunner({self.deployment.name!r}, {self._endpoint})"

    def capabilities(self) -> Capabilities:
        """What the wire has; whether the model has it too only the server knows."""
        return Capabilities(
            embeddings=True,
            tools=True,
            logprobs=True,
            seed=True,
            json_schema=True,
            passthrough=True,
            n=128,
            batch=self.deployment.max_concurrent,
        )

    async def load(self, progress: Progress | None = None) -> None:
        """Nothing to load: the server may be down now and up when a request comes."""
        if progress is not None:
            progress(1.0, f"remote at {self._endpoint}")

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """The server's answer; one burst per read of the socket.

        An empty burst is a sign of life. Closing the generator closes the connection, which
        stops the server's work. A server that answers whole though asked to stream gives one
        burst.
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
                decoder = StreamDecoder(request.n)
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
                burst = decode_whole(await connection.body(_MAX_ANSWER), request.n)
                ended = True
                connection.done()
                yield burst
        finally:
            if not ended:
                connection.abort()

    async def complete(self, request: Request) -> Burst:
        """The server's whole answer, asked for as such."""
        connection = await self._client.send(self._message(request))
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
        finally:
            if not ended:
                connection.abort()
        return decode_whole(body, request.n)

    async def embed(self, request: EmbedRequest) -> Embedding:
        """Vectors from the server's ``/embeddings``."""
        body = encode_embed(request, self.deployment.model)
        connection = await self._client.send(self._embeddings % len(body) + body)
        ended = False
        try:
            if self.on_headers is not None:
                self.on_headers(connection.headers)
            if connection.status != 200:
                raise await self._refusal(connection)
            raw = await connection.body(_MAX_ANSWER)
            ended = True
            connection.done()
        finally:
            if not ended:
                connection.abort()
        try:
            answer = decode_vectors(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.ProtocolError(
                f"the upstream's embeddings are not its wire: {error}"
            ) from None
        if answer.error is not None:
            raise from_event(answer.error)
        vectors = {v.index: v.embedding for v in answer.data}
        if sorted(vectors) != list(range(len(request.inputs))):
            raise errors.ProtocolError(
                f"the upstream gave vectors {sorted(vectors)[:8]} for {len(request.inputs)} inputs"
            )
        return Embedding(
            vectors=tuple(vectors[i] for i in range(len(vectors))),
            input_tokens=answer.usage.prompt_tokens if answer.usage is not None else 0,
        )

    def count_tokens(self, request: Request) -> int | None:
        """None: only the server knows."""
        return None

    async def health(self) -> Health:
        """Asks the server for its models: reachable, and the key accepted."""
        message = self._head("/models", method="GET")
        try:
            connection = await self._client.send(message)
        except errors.InferenceError as error:
            return Health(ok=False, reason=str(error))
        status = connection.status
        connection.abort()
        if status in (401, 403) or status >= 500:
            return Health(ok=False, reason=f"{self._endpoint}/models answers {status}")
        return Health(ok=True)

    def statistics(self) -> dict[str, int]:
        return self._client.statistics()

    async def close(self) -> None:
        await self._client.close()

    def _message(self, request: Request) -> bytes:
        """The whole HTTP request for a generation."""
        body = encode_call(request, self.deployment.model, self._options, openai=self._openai)
        head = self._chat if request.prompt is None else self._completions
        return head % len(body) + body

    async def _refusal(self, connection: Connection) -> errors.InferenceError:
        """The typed error for a status that is not 200, with the key taken out of its text."""
        body = await connection.body(_MAX_ERROR)
        return from_answer(connection.status, connection.headers, self._clean(body))

    def _clean(self, body: bytes) -> bytes:
        key = self._key.reveal().encode() if self._key is not None else b""
        return body.replace(key, b"***") if key else body

    def _find_key(self, environ: Mapping[str, str], *, custom: bool) -> Secret | None:
        reference = self.deployment.credentials
        if reference is None:
            if custom or not (self._openai or environ.get("OPENAI_API_KEY")):
                return None
            reference = "env:OPENAI_API_KEY"
        return read_secret(reference, environ)

    def _head(self, path: str, method: str = "POST") -> bytes:
        """The head of every call to ``path``; that of a POST takes its length by ``%``."""
        options = self._options
        lines = [
            f"{method} {self._endpoint.path}{path} HTTP/1.1",
            f"Host: {self._endpoint.authority}",
            "User-Agent: actinium",
            "Accept: application/json, text/event-stream",
        ]
        if self._key is not None:
            lines.append(f"Authorization: Bearer {self._key.reveal()}")
        if options.organization is not None:
            lines.append(f"OpenAI-Organization: {options.organization}")
        if options.project is not None:
            lines.append(f"OpenAI-Project: {options.project}")
        lines += [f"{name}: {value}" for name, value in options.headers.items()]
        fixed = "\r\n".join(lines).encode("ascii")
        if method == "GET":
            return fixed + b"\r\n\r\n"
        return (
            fixed.replace(b"%", b"%%")
            + b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )
