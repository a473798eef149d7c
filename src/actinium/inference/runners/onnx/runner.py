"""A ModelRunner on ONNX Runtime: requests in, bursts of chunks out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from actinium.errors import (
    ConfigError,
    ContextLengthExceeded,
    MissingExtra,
    ModelNotReady,
    RequestDeadline,
    Unsupported,
)

from ...chunk import Burst
from ...deployment import Deployment
from ...request import EmbedRequest, Request
from ...runner import Capabilities, Embedding, Health, Progress
from .counters import Counters
from .folder import ModelFolder
from .inbox import Inbox
from .options import OnnxOptions
from .plan import check, plan

if TYPE_CHECKING:
    from .decoder import Decoder
    from .engine import Engine
    from .job import Job
    from .prompt import Prompter
    from .sampling import Sampler

_HEAVY = frozenset({"jinja2", "numpy", "onnxruntime", "tokenizers"})


class OnnxRunner:
    """Serves one model folder; ``deployment.model`` is ``"embedded"`` or the folder's path.

    At most ``options["slots"]`` choices run in one batch; further requests wait, first in,
    first out. A seeded request gives the same text alone and beside others. Where a request is
    silent the temperature is 0.3, the seed random and the output ends with the context.
    ``Usage.output`` counts every token drawn, with the one that ends an answer. A tool call
    names one of the tools offered; its arguments are what the model wrote. Fields of
    ``Request.extra``, ``user`` and ``session`` have no effect on the answer.

    ``sampler`` chooses the tokens instead of this package's own code (`sampling.choose`).

    Raises ConfigError where the folder or an option is wrong.
    """

    transport: Literal["cpu", "gpu", "remote"] = "cpu"

    def __init__(self, deployment: Deployment, sampler: Sampler | None = None) -> None:
        self.deployment = deployment
        self._sampler = sampler
        self.options = OnnxOptions.of(deployment.options, deployment.name)
        self.folder = ModelFolder.of(deployment.model)
        config = self.folder.config
        self.context = self.options.context or config.max_context
        if self.context > config.max_context:
            raise ConfigError(
                f"deployment {deployment.name!r}: options: context {self.context} is above the "
                f"model's {config.max_context}"
            )
        self._engine: Engine | None = None
        self._prompter: Prompter | None = None
        self._loading = asyncio.Lock()

    def capabilities(self) -> Capabilities:
        """Known from the folder, before anything is loaded."""
        return Capabilities(
            tools=self.folder.config.call_id is not None,
            logprobs=True,
            seed=True,
            prefill=True,
            n=self.options.slots,
            context=self.context,
            output=self.context - 1,
            batch=self.options.slots,
        )

    async def load(self, progress: Progress | None = None) -> None:
        """Checks the file's hash, loads the graph and runs it once in every batch size.

        Does nothing where the model is loaded. Raises ConfigError and MissingExtra.
        """
        async with self._loading:
            if self._engine is None:
                await self._load(progress or _silent)

    async def _load(self, progress: Progress) -> None:
        progress(0.0, "checking the model file")
        await asyncio.to_thread(self.folder.verify)
        try:
            progress(0.1, "importing onnxruntime")
            decoder_type, engine_type, prompter_type = await asyncio.to_thread(_machinery)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] in _HEAVY:
                raise MissingExtra("embedded", "the onnx runner") from error
            raise
        progress(0.3, "loading the tokenizer")
        prompter = await asyncio.to_thread(prompter_type, self.folder)
        progress(0.4, "loading the graph")
        options = self.options
        decoder = await asyncio.to_thread(
            decoder_type, self.folder, options.slots, self.context, options.thread_count()
        )
        progress(0.7, "warming up")
        await asyncio.to_thread(decoder.calibrate)
        own = {} if self._sampler is None else {"sampler": self._sampler}
        self._engine = engine_type(decoder, prompter.vocabulary, options.prefill_chunk, **own)
        self._prompter = prompter
        self._engine.start()
        progress(1.0, "ready")

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """The answer as bursts, one or more engine steps each; the last chunk has the usage.

        Closing the generator frees its slots before the engine's next step. Raises BadRequest,
        Unsupported, ContextLengthExceeded and ModelNotReady before the first burst; ServerError
        where a step fails, ModelNotReady where the runner is closed meanwhile, RequestDeadline
        where ``request.deadline`` passes.
        """
        engine, prompter = self._ready()
        loop = asyncio.get_running_loop()
        inbox = Inbox(loop)
        if request.deadline is not None and loop.time() >= request.deadline:
            raise RequestDeadline("the deadline of the request passed before it began")
        job = self._job(request, prompter, inbox)
        engine.submit(job)
        timer = None
        if request.deadline is not None:
            late = RequestDeadline("the deadline of the request passed before its answer ended")
            timer = loop.call_at(request.deadline, inbox.fail, late)
        try:
            while (burst := await inbox.take()) is not None:
                yield burst
        finally:
            if timer is not None:
                timer.cancel()
            if job.running:
                engine.cancel(job)

    async def embed(self, request: EmbedRequest) -> Embedding:
        """Raises Unsupported: the model is a decoder without an embedding head."""
        raise Unsupported(
            f"the model {self.folder.config.name!r} makes no embeddings; send this request to "
            "a deployment of an embedding model",
            "model",
        )

    def count_tokens(self, request: Request) -> int:
        """Input tokens of a request, exactly. Raises ModelNotReady before :meth:`load`."""
        _, prompter = self._ready()
        return prompter.count(request)

    async def health(self) -> Health:
        """Ready once loaded, until closed or until steps of the model keep failing."""
        if self._engine is None:
            return Health(ok=False, reason="the model is not loaded")
        if self._engine.broken is not None:
            return Health(ok=False, reason=self._engine.broken)
        return Health(ok=True)

    def statistics(self) -> dict[str, int]:
        """Choices ``active``, requests ``waiting``, slots ``free``, and :class:`Counters`."""
        engine = self._engine
        done = asdict(Counters() if engine is None else engine.counters)
        if engine is None:
            return {"active": 0, "waiting": 0, "free": 0, **done}
        scheduler = engine.scheduler
        return {
            "active": len(scheduler.active),
            "waiting": engine.waiting,
            "free": scheduler.free,
            **done,
        }

    async def close(self) -> None:
        """Stops after the running step and frees the model; open answers fail typed."""
        async with self._loading:
            engine, self._engine, self._prompter = self._engine, None, None
            if engine is not None:
                await asyncio.to_thread(engine.stop)

    def _ready(self) -> tuple[Engine, Prompter]:
        if self._engine is None or self._prompter is None:
            raise ModelNotReady(f"the model of deployment {self.deployment.name!r} is not loaded")
        return self._engine, self._prompter

    def _job(self, request: Request, prompter: Prompter, inbox: Inbox) -> Job:
        from .job import Job

        check(request, self.options.slots)
        chosen = plan(request.sampling, self.folder.config.vocab_size)
        prompt = prompter.encode(request, self.context)
        needed = len(prompt.ids) + (chosen.max_tokens or 1)
        if needed > self.context:
            raise ContextLengthExceeded(needed, self.context)
        limit = chosen.max_tokens or self.context - len(prompt.ids)
        one_call = request.parallel_tool_calls is False
        return Job(prompt, chosen, request.n, limit, one_call, inbox)


def _machinery() -> tuple[type[Decoder], type[Engine], type[Prompter]]:
    """The parts that import onnxruntime, numpy, tokenizers and jinja2."""
    from .decoder import Decoder
    from .engine import Engine
    from .prompt import Prompter

    return Decoder, Engine, Prompter


def _silent(fraction: float, doing: str) -> None:
    """Progress that nobody asked for."""
