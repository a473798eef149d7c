"""The runner: a deployment of Gemini."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sized
from typing import Final, Literal

import msgspec

import actinium.errors as errors
from actinium.base.secret import Secret
from actinium.inference.chunk import Burst
from actinium.inference.deployment import Deployment
from actinium.inference.http import Connection, HttpClient, parse_endpoint
from actinium.inference.request import EmbedRequest, Request
from actinium.inference.runner import Capabilities, Embedding, Health, Progress

from .decode import StreamDecoder, decode_whole
from .door import find_door
from .encode import EXTRAS, encode_call, encode_embed, encode_predict
from .errors import from_answer
from .options import read_options
from .token import Tokens, find_tokens
from .wire import decode_predictions, decode_vectors

_KEYS: Final = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
_MAX_ANSWER: Final = 64 * 1024 * 1024
_MAX_ERROR: Final = 64 * 1024
_MAX_CANDIDATES: Final = 8
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class GeminiRunner:
    """Serves a deployment through ``generateContent`` and ``streamGenerateContent``.

    AI Studio takes a key (``deployment.credentials``, else GEMINI_API_KEY, else
    GOOGLE_API_KEY); Vertex takes a token of ``deployment.credentials``, which may be a
    ``command:`` or a ``file:`` that is asked again, else Google's application default
    credentials. At a ``base_url`` only credentials that are named as well are used, so that
    none go to a host they were not meant for (SC-1). Raises ConfigError for wrong settings,
    MissingCredentials, and MissingExtra.
    """

    transport: Literal["cpu", "gpu", "remote"] = "remote"

    def __init__(
        self, deployment: Deployment, environ: Mapping[str, str], *, vertex: bool = False
    ) -> None:
        self.deployment = deployment
        self._options = options = read_options(deployment.name, deployment.options, vertex=vertex)
        self._door = door = find_door(
            deployment.name, deployment.model, deployment.base_url, options, environ, vertex=vertex
        )
        self._endpoint = parse_endpoint(door.base, insecure=options.insecure)
        self._tokens = self._find_tokens(environ)
        self._stream = self._head(door.path("streamGenerateContent?alt=sse"))
        self._whole = self._head(door.path("generateContent"))
        self._embeddings = self._head(door.path("predict" if vertex else "batchEmbedContents"))
        self._client = HttpClient(
            self._endpoint,
            connect_seconds=deployment.timeouts.connect,
            tls=self._endpoint.context(options.ca_file),
        )

    def __repr__(self) -> str:
        return f"GeminiRunner({self.deployment.name!r}, {self._endpoint}{self._door.model})"

    def capabilities(self) -> Capabilities:
        """What the wire has; whether the model has it too only the server knows."""
        return Capabilities(
            completion=False,
            embeddings=True,
            tools=True,
            logprobs=True,
            seed=True,
            json_schema=True,
            extras=EXTRAS,
            n=_MAX_CANDIDATES,
            batch=self.deployment.max_concurrent,
        )

    async def load(self, progress: Progress | None = None) -> None:
        """Nothing to load: the server may be down now and up when a request comes."""
        if progress is not None:
            progress(1.0, f"remote at {self._endpoint}")

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """The model's answer; one burst per read of the socket.

        An empty burst is a sign of life. Closing the generator closes the connection, which
        stops the server's work. A server that answers whole though asked to stream gives one
        burst.
        """
        if not request.stream:
            yield await self.complete(request)
            return
        connection = await self._send(self._stream, self._body(request))
        ended = False
        try:
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
                if not ended:
                    ended = True
                    connection.done()
            else:
                burst = decode_whole(await connection.body(_MAX_ANSWER), request.n)
                ended = True
                connection.done()
                yield burst
        finally:
            if not ended:
                connection.abort()

    async def complete(self, request: Request) -> Burst:
        """The model's whole answer, asked for as such."""
        body = await self._ask(self._whole, self._body(request))
        return decode_whole(body, request.n)

    async def embed(self, request: EmbedRequest) -> Embedding:
        """Vectors by ``batchEmbedContents``, on Vertex by ``predict``."""
        if self._door.vertex:
            return await self._predict(request)
        model = self._door.model.removeprefix("/")
        raw = await self._ask(self._embeddings, encode_embed(request, model))
        try:
            answer = decode_vectors(raw)
        except _BROKEN as error:
            raise _no_vectors(error) from None
        vectors = tuple(v.values for v in answer.embeddings)
        _check_count(vectors, request.inputs)
        used = answer.usage_metadata
        return Embedding(
            vectors=vectors, input_tokens=(used.prompt_token_count or 0) if used is not None else 0
        )

    async def _predict(self, request: EmbedRequest) -> Embedding:
        """Gemini's embedding models take one text per call there, the older ones many."""
        step = 1 if "gemini" in self.deployment.model else 250
        vectors: tuple[tuple[float, ...], ...] = ()
        tokens = 0.0
        for at in range(0, len(request.inputs), step):
            inputs = request.inputs[at : at + step]
            raw = await self._ask(self._embeddings, encode_predict(inputs, request.dimensions))
            try:
                found = [p.embeddings for p in decode_predictions(raw).predictions]
            except _BROKEN as error:
                raise _no_vectors(error) from None
            _check_count(found, inputs)
            vectors += tuple(f.values for f in found)
            tokens += sum(f.statistics.token_count for f in found)
        return Embedding(vectors=vectors, input_tokens=round(tokens))

    def count_tokens(self, request: Request) -> int | None:
        """None: only the server knows."""
        return None

    async def health(self) -> Health:
        """Asks the server for the model: reachable, and the credentials accepted."""
        try:
            connection = await self._send(self._head(self._door.health, "GET"), None)
        except errors.InferenceError as error:
            return Health(ok=False, reason=str(error))
        status = connection.status
        connection.abort()
        if status in (401, 403) or status >= 500:
            path = f"{self._endpoint}{self._door.health}"
            return Health(ok=False, reason=f"{path} answers {status}")
        return Health(ok=True)

    def statistics(self) -> dict[str, int]:
        return self._client.statistics()

    async def close(self) -> None:
        if self._tokens is not None:
            await self._tokens.close()
        await self._client.close()

    def _body(self, request: Request) -> bytes:
        return encode_call(request, self.deployment.model, self._options, vertex=self._door.vertex)

    async def _send(self, head: bytes, body: bytes | None) -> Connection:
        """Sends a call. Where its token is refused and there is a newer one, once more.

        Nothing was done for a call that met a 401, so the second one repeats nothing.
        """
        if self._tokens is None:
            return await self._client.send(_message(head, None, body))
        secret = await self._tokens.secret()
        connection = await self._client.send(_message(head, secret, body))
        if connection.status != 401:
            return connection
        try:
            newer = await self._tokens.after_refusal(secret)
        except BaseException:
            connection.abort()
            raise
        if newer is None:
            return connection
        connection.abort()
        return await self._client.send(_message(head, newer, body))

    async def _ask(self, head: bytes, body: bytes) -> bytes:
        """The whole body of the answer to a call."""
        connection = await self._send(head, body)
        ended = False
        try:
            if connection.status != 200:
                raise await self._refusal(connection)
            whole = connection.whole()
            if whole is None:
                whole = await connection.body(_MAX_ANSWER)
            ended = True
            connection.done()
        finally:
            if not ended:
                connection.abort()
        return whole

    async def _refusal(self, connection: Connection) -> errors.InferenceError:
        """The typed error for a status that is not 200, with the key taken out of its text."""
        body = await connection.body(_MAX_ERROR)
        key = self._tokens.reveal().encode() if self._tokens is not None else b""
        return from_answer(
            connection.status, connection.headers, body.replace(key, b"***") if key else body
        )

    def _find_tokens(self, environ: Mapping[str, str]) -> Tokens | None:
        reference = self.deployment.credentials
        if reference is None and self.deployment.base_url is not None:
            return None
        if self._door.vertex:
            return find_tokens(reference, environ, self._options.token_seconds)
        if reference is None:
            name = next((n for n in _KEYS if environ.get(n)), _KEYS[0])
            reference = f"env:{name}"
        return find_tokens(reference, environ, None)

    def _head(self, path: str, method: str = "POST") -> bytes:
        """The head of every call to ``path``; it takes the secret and the length by ``%``."""
        lines = [
            f"{method} {self._endpoint.path}{path} HTTP/1.1",
            f"Host: {self._endpoint.authority}",
            "User-Agent: actinium",
            "Accept: application/json, text/event-stream",
            *(f"{name}: {value}" for name, value in self._options.headers.items()),
        ]
        fixed = "\r\n".join(lines).encode("ascii").replace(b"%", b"%%")
        if self._tokens is not None:
            named = b"Authorization: Bearer %b" if self._door.vertex else b"x-goog-api-key: %b"
            fixed += b"\r\n" + named
        if method == "GET":
            return fixed + b"\r\n\r\n"
        return fixed + b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def _message(head: bytes, secret: Secret | None, body: bytes | None) -> bytes:
    """A whole HTTP request."""
    key = () if secret is None else (secret.reveal().encode(),)
    if body is None:
        return head % key
    return head % (*key, len(body)) + body


def _check_count(found: Sized, inputs: Sized) -> None:
    if len(found) != len(inputs):
        raise errors.ProtocolError(
            f"the upstream gave {len(found)} vectors for {len(inputs)} inputs"
        )


def _no_vectors(error: Exception) -> errors.ProtocolError:
    return errors.ProtocolError(f"the upstream's embeddings are not its wire: {error}")
