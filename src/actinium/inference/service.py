"""The door to all deployments of one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from actinium.base.measures import Reading, Registry
from actinium.errors import ConfigError, ModelNotFound, Unsupported

from .chunk import Burst
from .deployment import Deployment
from .measures import PathMeasures, ReplicaMeasures
from .replica import Replica, collected
from .request import EmbedRequest, Request
from .route import make_runner
from .runner import Capabilities, Embedding, Health, ModelRunner, Progress

RunnerFactory = Callable[[Deployment], ModelRunner]


class Sessions(Protocol):
    """Conversations that remember: the seam to ``actinium.inference.session``."""

    def turn(self, request: Request, replica: Replica) -> AsyncGenerator[Burst]:
        """One turn of ``request.session``: adds the history, generates, stores the answer."""


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One public name, as ``/v1/models`` shows it. ``created`` is Unix time in seconds."""

    id: str
    deployment: str
    created: int
    state: str
    capabilities: Capabilities


class Inference:
    """Owns one replica per deployment and leads each request to its own.

    Raises ConfigError where two deployments or aliases share a name. ``start`` loads the
    models; ``close`` ends everything. ``registry`` receives the measures.
    """

    def __init__(
        self,
        deployments: Sequence[Deployment],
        *,
        runner_factory: RunnerFactory = make_runner,
        sessions: Sessions | None = None,
        registry: Registry | None = None,
    ) -> None:
        self.registry = registry if registry is not None else Registry()
        self._sessions = sessions
        self._created = int(time.time())
        self._replicas: dict[str, Replica] = {}
        self._names: dict[str, Replica] = {}
        measures = PathMeasures(self.registry)
        for deployment in deployments:
            for name in (deployment.name, *deployment.aliases):
                if name in self._names:
                    other = self._names[name].deployment.name
                    raise ConfigError(
                        f"deployment {deployment.name!r}: the name {name!r} belongs to "
                        f"deployment {other!r} already; each name and alias must be unique"
                    )
                if name == deployment.name:
                    replica = Replica(
                        deployment,
                        runner_factory(deployment),
                        ReplicaMeasures(measures, deployment.name),
                    )
                    self._replicas[name] = replica
                self._names[name] = replica
        self._watch_state()

    async def start(self, progress: Progress | None = None) -> None:
        """Loads all models, one after the other.

        Raises the first error of a runner's ``load``; what was loaded before is closed then.
        """
        total = len(self._replicas)
        for index, replica in enumerate(self._replicas.values()):
            name = replica.deployment.name

            def share(fraction: float, text: str, index: int = index, name: str = name) -> None:
                if progress is not None:
                    progress((index + fraction) / total, f"{name}: {text}")

            try:
                await replica.load(share)
            except BaseException:
                await self.close(drain=0)
                raise

    def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """The answer to a request as bursts; close the generator to stop the work.

        Raises ModelNotFound and Unsupported at once, the rest while it runs; see
        :meth:`Replica.generate`.
        """
        replica = self.replica(request.model)
        _check(request, replica)
        if request.session is None:
            return replica.generate(request)
        if self._sessions is None:
            raise Unsupported(
                "this server keeps no sessions, but the request names one; leave the session "
                "out and send the whole conversation in messages",
                "session",
            )
        return self._sessions.turn(request, replica)

    def complete(self, request: Request) -> Awaitable[Burst]:
        """The whole answer to a request in one burst; raises as :meth:`generate` does."""
        if request.stream:
            request = msgspec.structs.replace(request, stream=False)
        if request.session is not None:
            return collected(self.generate(request))
        replica = self.replica(request.model)
        _check(request, replica)
        return replica.complete(request)

    async def embed(self, request: EmbedRequest) -> Embedding:
        """Vectors of texts. Raises ModelNotFound, Unsupported and what the replica raises."""
        replica = self.replica(request.model)
        if not replica.capabilities.embeddings:
            raise Unsupported(
                f"model {request.model!r} makes no embeddings; send this to a deployment of an "
                "embedding model",
                "model",
            )
        return await replica.embed(request)

    def replica(self, name: str) -> Replica:
        """The replica behind a public name. Raises ModelNotFound with the names there are."""
        found = self._names.get(name)
        if found is None:
            known = ", ".join(repr(n) for n in self._names) or "none"
            raise ModelNotFound(f"the model {name[:64]!r} does not exist here; there are: {known}")
        return found

    def models(self) -> tuple[ModelInfo, ...]:
        """All public names in the order of the configuration."""
        return tuple(
            ModelInfo(
                id=name,
                deployment=replica.deployment.name,
                created=self._created,
                state=replica.state,
                capabilities=replica.capabilities,
            )
            for name, replica in self._names.items()
        )

    def ready(self) -> Health:
        """Ready means: at least one deployment serves."""
        states = {r.deployment.name: r for r in self._replicas.values()}
        if any(r.state == "ready" for r in states.values()):
            return Health(ok=True)
        reasons = "; ".join(f"{name}: {r.reason}" for name, r in states.items())
        return Health(ok=False, reason=reasons or "there are no deployments")

    def statistics(self) -> dict[str, Any]:
        return {name: replica.statistics() for name, replica in self._replicas.items()}

    async def close(self, drain: float = 30.0) -> None:
        """Refuses new requests, lets those under way end for ``drain`` seconds, then stops."""
        await asyncio.gather(*(replica.close(drain) for replica in self._replicas.values()))

    def _watch_state(self) -> None:
        replicas = self._replicas

        def running() -> Iterable[Reading]:
            return [((name,), r.slots.used) for name, r in replicas.items()]

        def waiting() -> Iterable[Reading]:
            return [((name,), r.slots.waiting) for name, r in replicas.items()]

        def ready() -> Iterable[Reading]:
            return [((name,), float(r.state == "ready")) for name, r in replicas.items()]

        by = ("deployment",)
        self.registry.view("inflight", "Requests that hold a place.", by, running)
        self.registry.view("queue_depth", "Requests that wait for a place.", by, waiting)
        self.registry.view("deployment_ready", "1 where the deployment serves.", by, ready)


def _check(request: Request, replica: Replica) -> None:
    """Refuses what the runner cannot do before anything is spent. Raises Unsupported."""
    can = replica.capabilities
    if replica.versatile and request.n <= can.n:
        return
    name = replica.deployment.name
    sampling = request.sampling
    lacks: tuple[str, str] | None = None
    if request.prompt is None and not can.chat:
        lacks = "messages", "answers no chats"
    elif request.prompt is not None and not can.completion:
        lacks = "prompt", "does no plain completions; use /v1/chat/completions"
    elif request.n > can.n:
        lacks = "n", f"generates at most {can.n} choices, n is {request.n}"
    elif request.tools and not can.tools:
        lacks = "tools", "calls no tools"
    elif sampling.logprobs is not None and not can.logprobs:
        lacks = "logprobs", "gives no logprobs"
    elif sampling.seed is not None and not can.seed:
        lacks = "seed", "takes no seed"
    elif request.response_format is not None and not can.json_schema:
        kind = request.response_format.get("type")
        if kind != "text":
            lacks = "response_format", f"cannot hold an answer to the format {kind!r}"
    if lacks is not None:
        raise Unsupported(f"deployment {name!r} {lacks[1]}", lacks[0])
