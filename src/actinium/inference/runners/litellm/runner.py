"""The runner: any model of any provider that the library ``litellm`` knows."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
from collections.abc import AsyncGenerator, Awaitable, Mapping
from functools import partial
from typing import Any, Final, Literal, TypeVar

import msgspec

from actinium.base.secret import read_secret
from actinium.errors import (
    InferenceError,
    MissingExtra,
    ModelNotReady,
    ProtocolError,
    Unsupported,
)
from actinium.inference.chunk import Burst
from actinium.inference.deployment import Deployment
from actinium.inference.estimate import estimated_input
from actinium.inference.http import parse_endpoint
from actinium.inference.request import EmbedRequest, Request
from actinium.inference.runner import Capabilities, Embedding, Health, Progress

from ..openai import Options
from ..openai.decode import EventReader, whole_of
from ..openai.encode import encode_call
from ..openai.wire import Answer, Vectors
from ..token import reference_of
from .errors import from_exception
from .options import read_library_options

EXTRAS: Final = frozenset(
    ("reasoning_effort", "thinking", "service_tier", "modalities", "verbosity", "prediction",
     "safety_identifier", "prompt_cache_key", "web_search_options")
)  # fmt: skip
"""Fields of ``Request.extra`` that go on: never those by which a client could choose the server
or the key of a call."""

_MARKS: Final = Options(marks=True)

T = TypeVar("T")


class LiteLLMRunner:
    """Serves a deployment by ``litellm.acompletion``; ``model`` is ``provider/model``.

    The key is that of ``credentials``, else what the provider's own variables say, and with
    ``base_url`` none but the first (SC-1). One attempt is made: retries are the chain's. Raises
    ConfigError, MissingCredentials, and MissingExtra with the line to install it.
    """

    transport: Literal["cpu", "gpu", "remote"] = "remote"

    def __init__(self, deployment: Deployment, environ: Mapping[str, str]) -> None:
        if importlib.util.find_spec("litellm") is None:
            raise MissingExtra("litellm", f"deployment {deployment.name!r} (runtime 'litellm')")
        self.deployment = deployment
        options = read_library_options(deployment.name, deployment.options)
        self._fixed: dict[str, Any] = {**options.params, "num_retries": 0, "max_retries": 0}
        if options.api_version is not None:
            self._fixed["api_version"] = options.api_version
        reference = reference_of(deployment)
        self._secret = read_secret(reference, environ) if reference is not None else None
        if deployment.base_url is not None:
            parse_endpoint(deployment.base_url, insecure=False)
            self._fixed["api_base"] = deployment.base_url
        self._library: Any = None
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def __repr__(self) -> str:
        return f"LiteLLMRunner({self.deployment.name!r}, {self.deployment.model!r})"

    def capabilities(self) -> Capabilities:
        """What the library can ask for; what the provider has not is refused by its name."""
        return Capabilities(
            completion=False,
            embeddings=True,
            tools=True,
            logprobs=True,
            seed=True,
            json_schema=True,
            extras=EXTRAS,
            n=128,
            batch=self.deployment.max_concurrent,
        )

    async def load(self, progress: Progress | None = None) -> None:
        """Imports the library, which takes seconds, beside the event loop."""
        if progress is not None:
            progress(0.0, "importing litellm")
        self._library = await asyncio.to_thread(_import)
        if progress is not None:
            progress(1.0, f"LiteLLM for {self.deployment.model}")

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """The provider's answer, a burst for each piece of the library's.

        Several choices come whole: the library's streams keep the end of one only.
        """
        if not request.stream or request.n > 1:
            yield await self.complete(request)
            return
        library = self._ready()
        stream = await self._call(library.acompletion(**self._arguments(request)))
        reader = EventReader(request.n, partial(estimated_input, request))
        try:
            pieces = aiter(stream)
            while True:
                self._ready()
                try:
                    piece = await self._call(anext(pieces))
                except StopAsyncIteration:
                    break
                burst: Burst = []
                reader.take(_converted(piece, Answer), burst)
                reader.count(burst)
                yield burst
            missing = reader.missing_finish()
            if missing is not None:
                raise missing
            if last := reader.last():
                yield last
        finally:
            await stream.aclose()

    async def complete(self, request: Request) -> Burst:
        """The provider's whole answer."""
        if request.stream:
            request = msgspec.structs.replace(request, stream=False)
        library = self._ready()
        answer = await self._call(library.acompletion(**self._arguments(request)))
        return whole_of(_converted(answer, Answer), request.n, partial(estimated_input, request))

    async def embed(self, request: EmbedRequest) -> Embedding:
        """Vectors by ``litellm.aembedding``."""
        library = self._ready()
        asked: dict[str, Any] = {"model": self.deployment.model, "input": list(request.inputs)}
        if request.dimensions is not None:
            asked["dimensions"] = request.dimensions
        made = await self._call(
            library.aembedding(**asked, encoding_format="float", **self._common())
        )
        answer = _converted(made, Vectors)
        vectors = {v.index: v.embedding for v in answer.data}
        if sorted(vectors) != list(range(len(request.inputs))):
            raise ProtocolError(
                f"the upstream gave vectors {sorted(vectors)[:8]} for {len(request.inputs)} inputs"
            )
        tokens = answer.usage.prompt_tokens if answer.usage is not None else 0
        return Embedding(
            vectors=tuple(vectors[i] for i in range(len(vectors))), input_tokens=tokens
        )

    def count_tokens(self, request: Request) -> int | None:
        """None: the library's own counts are guesses for most providers."""
        return None

    async def health(self) -> Health:
        """Loaded and not closed; a provider is asked only by a request, since that costs."""
        if self._closed or self._library is None:
            return Health(ok=False, reason="closed" if self._closed else "not loaded")
        return Health(ok=True)

    async def close(self) -> None:
        """Ends the calls under way."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ready(self) -> Any:
        if self._closed or self._library is None:
            raise ModelNotReady(f"{self!r} is {'closed' if self._closed else 'not loaded'}")
        return self._library

    def _arguments(self, request: Request) -> dict[str, Any]:
        """The request as the library's arguments, which are the fields of OpenAI's wire."""
        for at, tool in enumerate(request.tools):
            if tool.get("type", "function") != "function":  # the library would run some itself
                raise Unsupported(
                    f"a tool of type {str(tool.get('type'))[:40]!r} - at `$.tools[{at}]`; this "
                    "runner takes functions",
                    f"tools[{at}].type",
                )
        extra = {name: value for name, value in request.extra.items() if name in EXTRAS}
        plain = msgspec.structs.replace(request, extra=extra)
        body: dict[str, Any] = msgspec.json.decode(
            encode_call(plain, self.deployment.model, _MARKS, openai=False)
        )
        return {**body, **self._common()}

    def _common(self) -> dict[str, Any]:
        found = {**self._fixed, "timeout": self.deployment.timeouts.total}
        if self._secret is not None:
            found["api_key"] = self._secret.reveal()
        elif self.deployment.base_url is not None:
            found["api_key"] = "none"  # else the library sends the provider's own key there
        return found

    async def _call(self, call: Awaitable[T]) -> T:
        """Waits for the library in a task of its own, so that closing can end it."""
        task = asyncio.ensure_future(call)
        self._tasks.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if self._closed and not _cancelled():
                raise ModelNotReady("the deployment was closed during the answer") from None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        except (InferenceError, StopAsyncIteration):
            raise
        except Exception as error:  # noqa: BLE001 - the library's tree has no one root
            raise self._clean(from_exception(error)) from None
        finally:
            self._tasks.discard(task)

    def _clean(self, error: InferenceError) -> InferenceError:
        """The error without the key, which some providers repeat."""
        if self._secret is not None and error.args:
            error.args = (str(error.args[0]).replace(self._secret.reveal(), "***"),)
        return error


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _converted(made: Any, kind: type[T]) -> T:
    """An object of the library as a struct of our wire."""
    try:
        return msgspec.convert(made.model_dump(), kind, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ProtocolError(f"LiteLLM's answer is not the wire it stands for: {error}") from None


def _import() -> Any:
    """The library, told to keep to itself: no table of prices from the net, no log lines."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    library = importlib.import_module("litellm")
    library.telemetry = False  # type: ignore[attr-defined]
    library.suppress_debug_info = True  # type: ignore[attr-defined]
    return library
