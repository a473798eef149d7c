"""The runner: a deployment of Gemini."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Final

from actinium.errors import InferenceError, ProtocolError
from actinium.inference.chunk import Burst
from actinium.inference.deployment import Deployment
from actinium.inference.http import parse_endpoint
from actinium.inference.request import EmbedRequest, Request
from actinium.inference.runner import Capabilities, Embedding

from ..remote import BROKEN, Decoder, RemoteRunner
from ..token import Tokens, find_tokens, reference_of
from .adc import ADC, default_tokens
from .decode import StreamDecoder, decode_whole
from .door import find_door
from .encode import EXTRAS, encode_call, encode_embed, encode_predict
from .errors import from_answer
from .options import Options, read_options
from .wire import decode_predictions, decode_vectors

_KEYS: Final = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
_MAX_CANDIDATES: Final = 8


class GeminiRunner(RemoteRunner):
    """Serves a deployment through ``generateContent`` and ``streamGenerateContent``.

    AI Studio takes a key (``deployment.credentials``, else GEMINI_API_KEY, else
    GOOGLE_API_KEY); Vertex takes a token of ``deployment.credentials``, which may be a
    ``command:`` or a ``file:`` that is asked again, else Google's application default
    credentials. At a ``base_url`` only credentials that are named as well are used, so that
    none go to a host they were not meant for (SC-1). Raises ConfigError for wrong settings,
    MissingCredentials, and MissingExtra.
    """

    def __init__(
        self, deployment: Deployment, environ: Mapping[str, str], *, vertex: bool = False
    ) -> None:
        self._options = options = read_options(deployment.name, deployment.options, vertex=vertex)
        self._door = door = find_door(
            deployment.name, deployment.model, deployment.base_url, options, environ, vertex=vertex
        )
        super().__init__(
            deployment,
            parse_endpoint(door.base, insecure=options.insecure),
            ca_file=options.ca_file,
            tokens=_find_tokens(deployment, options, environ, vertex=vertex),
            key_header=b"Authorization: Bearer " if vertex else b"x-goog-api-key: ",
            headers=options.headers.items(),
        )
        self._stream = self._head(door.path("streamGenerateContent?alt=sse"))
        self._whole = self._head(door.path("generateContent"))
        self._embeddings = self._head(door.path("predict" if vertex else "batchEmbedContents"))

    def __repr__(self) -> str:
        return f"GeminiRunner({self.deployment.name!r}, {self.endpoint}{self._door.model})"

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

    async def embed(self, request: EmbedRequest) -> Embedding:
        """Vectors by ``batchEmbedContents``, on Vertex by ``predict``."""
        if self._door.vertex:
            return await self._predict(request)
        model = self._door.model.removeprefix("/")
        raw = await self._ask(self._embeddings, encode_embed(request, model))
        try:
            answer = decode_vectors(raw)
        except BROKEN as error:
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
            except BROKEN as error:
                raise _no_vectors(error) from None
            _check_count(found, inputs)
            vectors += tuple(f.values for f in found)
            tokens += sum(f.statistics.token_count for f in found)
        return Embedding(vectors=vectors, input_tokens=round(tokens))

    def _call(self, request: Request) -> tuple[bytes, bytes]:
        door = self._door
        body = encode_call(request, self.deployment.model, self._options, vertex=door.vertex)
        return self._stream if request.stream else self._whole, body

    def _decoder(self, request: Request) -> Decoder:
        return StreamDecoder(request.n)

    def _decode_whole(self, body: bytes, request: Request) -> Burst:
        return decode_whole(body, request.n)

    def _error(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> InferenceError:
        return from_answer(status, headers, body)

    @property
    def _health_path(self) -> str:
        return self._door.health


def _find_tokens(
    deployment: Deployment, options: Options, environ: Mapping[str, str], *, vertex: bool
) -> Tokens | None:
    reference = reference_of(deployment)
    if reference is None:
        if deployment.base_url is not None:
            return None
        if not vertex:
            reference = "env:" + next((n for n in _KEYS if environ.get(n)), _KEYS[0])
    if vertex and reference in (None, ADC):
        return default_tokens()
    assert reference is not None, "a key has a reference"
    return find_tokens(reference, environ, options.token_seconds)


def _check_count(found: Sized, inputs: Sized) -> None:
    if len(found) != len(inputs):
        raise ProtocolError(f"the upstream gave {len(found)} vectors for {len(inputs)} inputs")


def _no_vectors(error: Exception) -> ProtocolError:
    return ProtocolError(f"the upstream's embeddings are not its wire: {error}")
