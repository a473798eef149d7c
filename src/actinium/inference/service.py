"""The door to all deployments of one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from actinium.base.measures import Reading, Registry
from actinium.errors import ConfigError, ModelNotFound, Unsupported

from .answering import Answering
from .chunk import Burst
from .deployment import Deployment, wants_chain, wrong_fallback
from .fit import check, check_embed
from .limits.policy import Budget
from .measures import PathMeasures, ReplicaMeasures
from .replica import Replica, collected
from .request import EmbedRequest, Request
from .route import make_runner
from .runner import Capabilities, Embedding, Health, ModelRunner, Progress

if TYPE_CHECKING:
    from .guard import Chain, Guard
    from .limits.accounts import Accounts

RunnerFactory = Callable[[Deployment], ModelRunner]


class Sessions(Protocol):
    """Conversations that remember: the seam to ``actinium.inference.session``."""

    def serve(self, find: Callable[[str], Answering]) -> None:
        """Says what answers for the name of a model."""

    def turn(self, request: Request) -> AsyncGenerator[Burst]:
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
    models; ``close`` ends everything. ``registry`` receives the measures. ``budgets`` are those of
    tenants and keys (``{"tenant:acme": Budget(per_day=5)}``); ``accounts`` hold them, and count
    what each tenant and key used.
    """

    def __init__(
        self,
        deployments: Sequence[Deployment],
        *,
        runner_factory: RunnerFactory = make_runner,
        sessions: Sessions | None = None,
        registry: Registry | None = None,
        budgets: Mapping[str, Budget] | None = None,
        accounts: Accounts | None = None,
    ) -> None:
        self.registry = registry if registry is not None else Registry()
        self._sessions = sessions
        self._created = int(time.time())
        self._replicas: dict[str, Replica] = {}
        self._names: dict[str, Answering] = {}
        self._chains: dict[str, Chain] = {}
        measures = PathMeasures(self.registry)
        pools: dict[str, list[Replica]] = {}
        for deployment in deployments:
            for name in (deployment.name, *deployment.aliases):
                if name in self._names:
                    other = self._names[name].deployment.name
                    raise ConfigError(
                        f"deployment {deployment.name!r}: the name {name!r} belongs to "
                        f"deployment {other!r} already; each name and alias must be unique"
                    )
                if name == deployment.name:
                    made = ReplicaMeasures(measures, name)
                    pools[name] = [
                        Replica(one, runner_factory(one), made) for one in _each(deployment)
                    ]
                    self._replicas[name] = pools[name][0]
                    for at, further in enumerate(pools[name][1:], 2):
                        self._replicas[f"{name}#{at}"] = further
                self._names[name] = pools[deployment.name][0]
        wrong = wrong_fallback(deployments)
        if wrong is not None:
            raise ConfigError(wrong[1])
        if accounts is None and budgets:
            from .limits.accounts import Accounts

            accounts = Accounts()
        for scope, budget in (budgets or {}).items():
            assert accounts is not None
            accounts.open(scope, budget)
        self.accounts = accounts
        self._guard(deployments, pools)
        self._watch_state()
        if sessions is not None:
            sessions.serve(self.replica)

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

    def _guard(
        self,
        deployments: Sequence[Deployment],
        pools: Mapping[str, Sequence[Replica]],
    ) -> None:
        """Puts a chain where a deployment has limits or a fallback; others are left as they are,
        and nothing of it is loaded."""
        if self.accounts is None and not any(map(wants_chain, deployments)):
            return
        from .guard import build_chains

        self._chains = build_chains(deployments, pools, self.accounts, self.registry)
        for name, replica in self._names.items():
            self._names[name] = self._chains.get(replica.deployment.name, replica)

    def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """The answer to a request as bursts; close the generator to stop the work.

        Raises ModelNotFound and Unsupported at once, the rest while it runs; see
        :meth:`Replica.generate`.
        """
        replica = self.replica(request.model)
        check(request, replica)
        if request.session is None:
            return replica.generate(request)
        if self._sessions is None:
            raise Unsupported(
                "this server keeps no sessions, but the request names one; leave the session "
                "out and send the whole conversation in messages",
                "session",
            )
        return self._sessions.turn(request)

    def complete(self, request: Request) -> Awaitable[Burst]:
        """The whole answer to a request in one burst; raises as :meth:`generate` does."""
        if request.stream:
            request = msgspec.structs.replace(request, stream=False)
        if request.session is not None:
            return collected(self.generate(request))
        replica = self.replica(request.model)
        check(request, replica)
        return replica.complete(request)

    async def embed(self, request: EmbedRequest) -> Embedding:
        """Vectors of texts. Raises ModelNotFound, Unsupported and what the replica raises."""
        replica = self.replica(request.model)
        check_embed(request, replica)
        return await replica.embed(request)

    async def count(self, request: Request) -> int:
        """Input tokens of a request, exactly.

        Raises ModelNotFound, Unsupported where nobody knows it, and what the replica raises.
        """
        replica = self.replica(request.model)
        check(request, replica)
        return await replica.count(request)

    def guard(self, name: str) -> Guard | None:
        """Limits, breaker and rest of a deployment, for operators; None where it has none."""
        chain = self._chains.get(self.replica(name).deployment.name)
        return chain.guards[0] if chain is not None else None

    def unpriced(self) -> tuple[str, ...]:
        """The deployments whose price is not known, of those with a chain."""
        guards = (guard for chain in self._chains.values() for guard in chain.guards)
        return tuple(dict.fromkeys(guard.name for guard in guards if not guard.priced))

    def replica(self, name: str) -> Answering:
        """What answers for a public name. Raises ModelNotFound with the names there are."""
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
        found = {name: replica.statistics() for name, replica in self._replicas.items()}
        for name, chain in self._chains.items():
            found[name].update(chain.guards[0].statistics())
        return found

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


def _each(deployment: Deployment) -> list[Deployment]:
    """The deployment once for each of its servers."""
    further = [msgspec.structs.replace(deployment, base_url=url) for url in deployment.replicas]
    return [deployment, *further]
