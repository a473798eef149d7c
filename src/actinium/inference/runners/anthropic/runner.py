"""The runner: a deployment of Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from actinium.errors import InferenceError, ProtocolError, Unsupported
from actinium.inference.chunk import Burst
from actinium.inference.deployment import Deployment
from actinium.inference.http import parse_endpoint
from actinium.inference.request import EmbedRequest, Request
from actinium.inference.runner import Capabilities, Embedding

from ..remote import BROKEN, Decoder, RemoteRunner
from ..token import Tokens, find_tokens, reference_of
from .decode import StreamDecoder, decode_whole
from .encode import EXTRAS, encode_call, encode_count, ignored
from .errors import from_answer
from .options import Options, read_options
from .wire import decode_count

_PUBLIC: Final = "https://api.anthropic.com"


class AnthropicRunner(RemoteRunner):
    """Serves a deployment through a server's ``/v1/messages``.

    The server is ``deployment.base_url`` (with or without ``/v1``), else
    ``ANTHROPIC_BASE_URL``, else Anthropic's own. The key comes from ``deployment.credentials``,
    else from ``ANTHROPIC_API_KEY``, else as a Bearer token from ``ANTHROPIC_AUTH_TOKEN``; a
    server named by ``base_url`` gets a key only if that is named as well (SC-1). Raises
    ConfigError for wrong settings, and MissingCredentials.
    """

    def __init__(self, deployment: Deployment, environ: Mapping[str, str]) -> None:
        self._options = options = read_options(deployment.name, deployment.options)
        url = deployment.base_url or environ.get("ANTHROPIC_BASE_URL") or _PUBLIC
        tokens, bearer = _find_key(deployment, options, environ)
        super().__init__(
            deployment,
            parse_endpoint(url, insecure=options.insecure),
            ca_file=options.ca_file,
            tokens=tokens,
            key_header=b"Authorization: Bearer " if bearer else b"x-api-key: ",
            headers=[("anthropic-version", options.version), *options.headers.items()],
        )
        self._base = "" if self.endpoint.path.endswith("/v1") else "/v1"
        self._beta = ",".join(options.beta)
        self._messages = self._head(f"{self._base}/messages")
        self._count = self._head(f"{self._base}/messages/count_tokens")

    def capabilities(self) -> Capabilities:
        """What the wire has; whether the model has it too only the server knows."""
        return Capabilities(
            completion=False,
            tools=True,
            json_schema=True,
            extras=EXTRAS,
            native="anthropic",
            prefill=True,
            batch=self.deployment.max_concurrent,
        )

    async def embed(self, request: EmbedRequest) -> Embedding:
        """Raises Unsupported: this wire has no embeddings."""
        raise Unsupported(
            "Anthropic's API makes no embeddings; send this request to a deployment of an "
            "embedding model",
            "model",
        )

    async def count(self, request: Request) -> int:
        """Input tokens of a request, from the server's ``/v1/messages/count_tokens``."""
        body = encode_count(request, self.deployment.model, self._options)
        raw = await self._ask(self._count, body, self._lines(request))
        try:
            return decode_count(raw).input_tokens
        except BROKEN as error:
            raise ProtocolError(f"the upstream's count is not its wire: {error}") from None

    def ignored(self, request: Request) -> tuple[str, ...]:
        """The fields of messages that this wire has no place for."""
        return ignored(request)

    def _call(self, request: Request) -> tuple[bytes, bytes]:
        return self._messages, encode_call(request, self.deployment.model, self._options)

    def _decoder(self, request: Request) -> Decoder:
        return StreamDecoder()

    def _decode_whole(self, body: bytes, request: Request) -> Burst:
        return decode_whole(body)

    def _error(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> InferenceError:
        return from_answer(status, headers, body)

    def _lines(self, request: Request) -> bytes:
        beta = self._beta
        if request.native is not None and request.native.beta:
            beta = f"{beta},{request.native.beta}" if beta else request.native.beta
        return f"anthropic-beta: {beta}\r\n".encode("ascii") if beta else b""

    @property
    def _health_path(self) -> str:
        return f"{self._base}/models"


def _find_key(
    deployment: Deployment, options: Options, environ: Mapping[str, str]
) -> tuple[Tokens | None, bool]:
    """The key, and whether it goes as a Bearer token."""
    bearer = options.auth == "bearer"
    reference = reference_of(deployment)
    if reference is None:
        if deployment.base_url is not None:
            return None, bearer
        reference = "env:ANTHROPIC_API_KEY"
        if not environ.get("ANTHROPIC_API_KEY") and environ.get("ANTHROPIC_AUTH_TOKEN"):
            reference, bearer = "env:ANTHROPIC_AUTH_TOKEN", options.auth != "x-api-key"
    return find_tokens(reference, environ), bearer
