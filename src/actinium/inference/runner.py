"""The only seam between the runtime and a model, local or remote."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Literal, Protocol, runtime_checkable

import msgspec

from .chunk import Burst
from .request import EmbedRequest, Request

Progress = Callable[[float, str], None]
"""Called while loading with the fraction done (0..1) and what is being done."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a runner can do. ``context`` and ``output`` are limits in tokens (None: unknown).

    ``passthrough`` says that the runner hands ``Request.extra`` on to a server of the same
    wire; without it only those named in ``extras`` have an effect, and a gateway declares the
    others as ignored.
    ``native`` names the wire whose requests (``Request.native``) are sent on as they came.
    ``prefill`` says that a chat's answer may be begun for the model (``Request.prefill``).
    """

    chat: bool = True
    completion: bool = True
    embeddings: bool = False
    tools: bool = False
    logprobs: bool = False
    seed: bool = False
    json_schema: bool = False
    passthrough: bool = False
    extras: frozenset[str] = frozenset()
    native: str = ""
    prefill: bool = False
    n: int = 1
    context: int | None = None
    output: int | None = None
    batch: int = 1


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """Vectors in the order of the inputs, with the tokens they cost."""

    vectors: tuple[tuple[float, ...], ...]
    input_tokens: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether requests can be served now, and why not."""

    ok: bool
    reason: str = ""


@runtime_checkable
class ModelRunner(Protocol):
    """One loaded model.

    ``generate`` must take many calls at once; closing its generator (``aclose``) must stop
    the work behind it: a slot is free again at the engine's next step, a remote connection is
    closed. Errors are of :class:`actinium.errors.InferenceError`, raised before the first
    burst where that is possible.
    """

    transport: Literal["cpu", "gpu", "remote"]

    def capabilities(self) -> Capabilities: ...

    async def load(self, progress: Progress | None = None) -> None:
        """Makes the runner ready. Raises ConfigError, MissingExtra, ModelNotReady."""

    def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """The answer as bursts of chunks."""

    async def embed(self, request: EmbedRequest) -> Embedding:
        """Vectors of texts. Raises Unsupported where the model has none."""

    def count_tokens(self, request: Request) -> int | None:
        """Input tokens of a request, or None where only the upstream knows."""

    async def health(self) -> Health: ...

    async def close(self) -> None:
        """Stops all work and frees the model."""


@runtime_checkable
class WholeRunner(Protocol):
    """A runner with a shorter way to an answer that nobody reads as a stream.

    ``complete`` gives in one burst what ``generate`` gives in many, with the same errors;
    cancelling it stops the work. Runners without it are asked through ``generate``.
    """

    async def complete(self, request: Request) -> Burst: ...


@runtime_checkable
class TellsHeaders(Protocol):
    """A runner that shows the headers of its upstream's answers, names in lower case.

    ``on_headers`` is set by who wants them; None costs nothing. It returns whether headers of these
    names mean anything to it: where not, it need not be shown such again.
    """

    on_headers: Callable[[Mapping[bytes, bytes]], bool] | None


@runtime_checkable
class CountingRunner(Protocol):
    """A runner that asks its server for the number of input tokens."""

    async def count(self, request: Request) -> int: ...


@runtime_checkable
class DeclaringRunner(Protocol):
    """A runner of a wire that has no place for some fields it need not refuse.

    ``ignored`` names those of a request that have no effect, for the gateway to declare.
    """

    def ignored(self, request: Request) -> tuple[str, ...]: ...
