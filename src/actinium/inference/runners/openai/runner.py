"""The runner: a deployment of any OpenAI-compatible server, Azure's included."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from actinium.errors import InferenceError, ProtocolError
from actinium.inference.chunk import Burst
from actinium.inference.deployment import Deployment
from actinium.inference.estimate import estimated_input
from actinium.inference.http import parse_endpoint
from actinium.inference.request import EmbedRequest, Request
from actinium.inference.runner import Capabilities, Embedding

from ..remote import BROKEN, Decoder, RemoteRunner
from .decode import StreamDecoder, decode_whole
from .door import azure_door, openai_door
from .encode import encode_call, encode_embed
from .errors import from_answer, from_event
from .options import read_options
from .responses.decode import ResponseDecoder, decode_response
from .responses.encode import EXTRAS, encode_response
from .wire import decode_vectors


class OpenAIRunner(RemoteRunner):
    """Serves a deployment through a server's ``/chat/completions`` and its siblings.

    See :mod:`.door` for where the server and the key come from. Raises ConfigError for wrong
    settings, and MissingCredentials.
    """

    def __init__(
        self, deployment: Deployment, environ: Mapping[str, str], *, azure: bool = False
    ) -> None:
        self._options = options = read_options(deployment.name, deployment.options)
        self._door = door = (azure_door if azure else openai_door)(deployment, options, environ)
        named = (("OpenAI-Organization", options.organization), ("OpenAI-Project", options.project))
        super().__init__(
            deployment,
            parse_endpoint(door.url, insecure=options.insecure),
            ca_file=options.ca_file,
            tokens=door.tokens,
            key_header=door.key_header,
            headers=[
                *((name, value) for name, value in named if value is not None),
                *options.headers.items(),
            ],
        )
        self._chat = self._head(door.path("/chat/completions"))
        self._completions = self._head(door.path("/completions"))
        self._embeddings = self._head(door.path("/embeddings"))
        self._responses = self._head(door.responses) if options.api == "responses" else b""

    def capabilities(self) -> Capabilities:
        """What the wire has; whether the model has it too only the server knows."""
        if self._responses:
            return Capabilities(
                embeddings=True,
                tools=True,
                logprobs=True,
                json_schema=True,
                extras=EXTRAS,
                batch=self.deployment.max_concurrent,
            )
        return Capabilities(
            embeddings=True,
            tools=True,
            logprobs=True,
            seed=True,
            json_schema=True,
            passthrough=True,
            prefill=self._options.prefill is not None,
            n=128,
            batch=self.deployment.max_concurrent,
        )

    async def embed(self, request: EmbedRequest) -> Embedding:
        """Vectors from the server's ``/embeddings``."""
        raw = await self._ask(self._embeddings, encode_embed(request, self._door.model))
        try:
            answer = decode_vectors(raw)
        except BROKEN as error:
            raise ProtocolError(f"the upstream's embeddings are not its wire: {error}") from None
        if answer.error is not None:
            raise from_event(answer.error)
        vectors = {v.index: v.embedding for v in answer.data}
        if sorted(vectors) != list(range(len(request.inputs))):
            raise ProtocolError(
                f"the upstream gave vectors {sorted(vectors)[:8]} for {len(request.inputs)} inputs"
            )
        return Embedding(
            vectors=tuple(vectors[i] for i in range(len(vectors))),
            input_tokens=answer.usage.prompt_tokens if answer.usage is not None else 0,
        )

    def _call(self, request: Request) -> tuple[bytes, bytes]:
        door = self._door
        if self._by_responses(request):
            return self._responses, encode_response(request, door.model)
        head = self._chat if request.prompt is None else self._completions
        return head, encode_call(request, door.model, self._options, openai=door.own)

    def _decoder(self, request: Request) -> Decoder:
        if self._by_responses(request):
            return ResponseDecoder()
        return StreamDecoder(request.n, partial(estimated_input, request))

    def _decode_whole(self, body: bytes, request: Request) -> Burst:
        if self._by_responses(request):
            return decode_response(body)
        return decode_whole(body, request.n, partial(estimated_input, request))

    def _by_responses(self, request: Request) -> bool:
        """Whether this is sent by /responses: chats are, plain completions have no place there."""
        return bool(self._responses) and request.prompt is None

    def _error(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> InferenceError:
        return from_answer(status, headers, body)

    @property
    def _health_path(self) -> str:
        return self._door.models
