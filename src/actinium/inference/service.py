"""The door to all deployments of one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from actinium.base.measures import Reading, Registry
from actinium.errors import (
    Conflict,
    ModelNotFound,
    SessionUnavailable,
    StoreError,
    Unsupported,
)

from .answering import Answering
from .chunk import Burst
from .deployment import Deployment
from .fit import check, check_embed
from .limits.policy import Budget
from .measures import PathMeasures, ReplicaMeasures
from .replica import Replica, collected
from .request import EmbedRequest, Request
from .route import make_runner
from .runner import Capabilities, Embedding, Health, ModelRunner, Progress
from .table import Table

if TYPE_CHECKING:
    from .guard import Chains, Guard
    from .limits.accounts import Accounts
    from .limits.sharing import Sharing
    from .session.window import Turn

RunnerFactory = Callable[[Deployment], ModelRunner]


class Sessions(Protocol):
    """Conversations that remember: the seam to ``actinium.inference.session``."""

    def serve(self, find: Callable[[str], Answering]) -> None:
        """Says what answers for the name of a model."""

    def turn(self, request: Request) -> AsyncGenerator[Burst]:
        """One turn of ``request.session``: adds the history, generates, stores the answer."""

    async def kept(self, session: str) -> tuple[Turn | None, ...]:
        """The turns of a session, None in place of erased ones; none where there is none."""

    async def erase(self, session: str, turn: int) -> None:
        """Erases the answer of a turn, from 1 on. Raises SessionNotFound."""


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
    what each tenant and key used. ``sharing`` is this process's part in the limits and budgets,
    where several processes have them together.
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
        sharing: Sharing | None = None,
    ) -> None:
        self.registry = registry if registry is not None else Registry()
        self._sessions = sessions
        self._created = int(time.time())
        self._factory = runner_factory
        self._path = PathMeasures(self.registry)
        self._chains: Chains | None = None
        self._applying = asyncio.Lock()
        self._leaving: dict[asyncio.Future[int], Replica] = {}
        self.generation = 1
        if accounts is None and budgets:
            from .limits.accounts import Accounts

            accounts = Accounts()
        for scope, budget in (budgets or {}).items():
            assert accounts is not None
            accounts.open(scope, budget)
        self.accounts = accounts
        self.sharing = sharing
        if sharing is not None and accounts is not None:
            for scope, purse in accounts.purses.items():
                sharing.purse(scope, purse)
        self._adopt(self._made(deployments, None))
        self._watch_state()
        if sessions is not None:
            sessions.serve(self.replica)

    async def start(self, progress: Progress | None = None) -> None:
        """Loads all models, one after the other.

        Raises the first error of a runner's ``load``; what was loaded before is closed then.
        """
        total = len(self._table.replicas)
        for index, replica in enumerate(self._table.replicas.values()):
            name = replica.deployment.name

            def share(fraction: float, text: str, index: int = index, name: str = name) -> None:
                if progress is not None:
                    progress((index + fraction) / total, f"{name}: {text}")

            try:
                await replica.load(share)
            except BaseException:
                await self.close(drain=0)
                raise

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        """What is served now, in the order of the configuration."""
        return self._table.deployments

    async def apply(
        self, deployments: Sequence[Deployment], *, drain: float = 30.0,
        generation: int | None = None,
    ) -> int:  # fmt: skip
        """Serves these deployments from now on and returns the new generation.

        Those that are new or differ are loaded first; then all names change at once; then those
        that are gone or differ drain for ``drain`` seconds, behind the scenes. One that is just as
        before keeps its replicas, unless it was drained: then it is made anew. Spent money and a
        budget's period go on. Raises ConfigError, or what loading raises, and then nothing has
        changed; Conflict where ``generation`` is given and is not that of now.
        """
        async with self._applying:
            if generation is not None and generation != self.generation:
                raise Conflict(
                    f"the deployments are those of generation {self.generation}, and not "
                    f"{generation}: somebody else has changed them; look at them again"
                )
            before = self._table
            table = self._made(deployments, before)
            old, new = set(before.replicas.values()), list(table.replicas.values())
            fresh = [replica for replica in new if replica not in old]
            try:
                for replica in fresh:
                    await replica.load(None)
            except BaseException:
                await asyncio.gather(*(replica.close(0) for replica in fresh))
                raise
            self._adopt(table)
            self.generation += 1
            for replica in old - set(new):
                task = asyncio.ensure_future(_leave(before, replica, drain))
                self._leaving[task] = replica
                task.add_done_callback(self._leaving.pop)
            return self.generation

    async def drain(self, name: str, seconds: float = 30.0) -> int:
        """Takes a deployment out of service: it refuses new requests (a fallback takes them),
        those under way may end for ``seconds``. Returns how many did not.

        :meth:`apply` brings it back. Raises ModelNotFound.
        """
        deployment = self.replica(name).deployment.name
        return await _close(self._table.pools[deployment], seconds)

    def _adopt(self, table: Table) -> None:
        self._table = table
        if self._chains is not None:
            self._chains.adopt(table.chains)

    def _made(self, deployments: Sequence[Deployment], before: Table | None) -> Table:
        def replica(one: Deployment) -> Replica:
            return Replica(one, self._factory(one), ReplicaMeasures(self._path, one.name))

        def chains() -> Chains:
            if self._chains is None:
                from .guard import Chains

                self._chains = Chains(self.accounts, self.registry, sharing=self.sharing)
            return self._chains

        table = Table(deployments, replica, before)
        table.guard(chains, always=self.accounts is not None)
        return table

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

    def sees(self, name: str) -> bool:
        """Whether who asks may know of a public name."""
        return True

    @property
    def keeps_sessions(self) -> bool:
        """Whether a request may name a session."""
        return self._sessions is not None

    async def kept(self, session: str) -> tuple[Turn | None, ...]:
        """The turns of a session, None in place of those whose answers were erased.

        Raises Unsupported where no sessions are kept, SessionUnavailable where the store cannot be
        read.
        """
        try:
            return await self._keeping().kept(session)
        except StoreError as error:
            raise SessionUnavailable(f"session {session!r} could not be read: {error}") from error

    async def erase(self, session: str, turn: int) -> None:
        """Erases the answer of a turn, from 1 on: nobody is shown it or goes on after it.

        Raises Unsupported where no sessions are kept, SessionNotFound where there is no such
        answer, SessionUnavailable where the store does not do it.
        """
        try:
            await self._keeping().erase(session, turn)
        except StoreError as error:
            raise SessionUnavailable(f"session {session!r} could not be erased: {error}") from error

    def _keeping(self) -> Sessions:
        if self._sessions is None:
            raise Unsupported(
                "this server keeps no answers: there is none to be had again; start it with a store"
            )
        return self._sessions

    def guard(self, name: str) -> Guard | None:
        """Limits, breaker and rest of a deployment, for operators; None where it has none."""
        chain = self._table.chains.get(self.replica(name).deployment.name)
        return chain.guards[0] if chain is not None else None

    def unpriced(self) -> tuple[str, ...]:
        """The deployments whose price is not known, of those with a chain."""
        guards = (guard for chain in self._table.chains.values() for guard in chain.guards)
        return tuple(dict.fromkeys(guard.name for guard in guards if not guard.priced))

    def replica(self, name: str) -> Answering:
        """What answers for a public name. Raises ModelNotFound with the names there are."""
        found = self._table.names.get(name)
        if found is None:
            known = ", ".join(repr(n) for n in self._table.names) or "none"
            raise ModelNotFound(f"the model {name[:64]!r} does not exist here; there are: {known}")
        return found

    def behind(self, name: str) -> tuple[Answering, ...]:
        """Who may answer for a public name: its own, and those it falls back to. Raises
        ModelNotFound."""
        first = self.replica(name)
        return (first, *map(self.replica, first.deployment.fallback))

    def deployment_of(self, name: str) -> str | None:
        """The deployment behind a public name, or None."""
        found = self._table.names.get(name)
        return found.deployment.name if found is not None else None

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
            for name, replica in self._table.names.items()
        )

    def ready(self) -> Health:
        """Ready means: at least one deployment serves."""
        states = {r.deployment.name: r for r in self._table.replicas.values()}
        if any(r.state == "ready" for r in states.values()):
            return Health(ok=True)
        reasons = "; ".join(f"{name}: {r.reason}" for name, r in states.items())
        return Health(ok=False, reason=reasons or "there are no deployments")

    def statistics(self) -> dict[str, Any]:
        found = {name: replica.statistics() for name, replica in self._table.replicas.items()}
        for name, chain in self._table.chains.items():
            found[name].update(chain.guards[0].statistics())
        return found

    async def close(self, drain: float = 30.0) -> None:
        """Refuses new requests, lets those under way end for ``drain`` seconds, then stops."""
        leaving = dict(self._leaving)
        await _close((*self._table.replicas.values(), *leaving.values()), drain)
        await asyncio.gather(*leaving)
        if self._chains is not None:
            await self._chains.close()

    def _watch_state(self) -> None:
        def running() -> Iterable[Reading]:
            return [((name,), r.slots.used) for name, r in self._table.replicas.items()]

        def waiting() -> Iterable[Reading]:
            return [((name,), r.slots.waiting) for name, r in self._table.replicas.items()]

        def ready() -> Iterable[Reading]:
            replicas = self._table.replicas.items()
            return [((name,), float(r.state == "ready")) for name, r in replicas]

        by = ("deployment",)
        self.registry.view("inflight", "Requests that hold a place.", by, running)
        self.registry.view("queue_depth", "Requests that wait for a place.", by, waiting)
        self.registry.view("deployment_ready", "1 where the deployment serves.", by, ready)


async def _leave(table: Table, replica: Replica, drain: float) -> int:
    """Drains and closes a replica that new requests do not find any more, those first who wait
    for a limit of its deployment."""
    chain = table.chains.get(replica.deployment.name)
    if chain is not None and not chain.guards[0].gate.empty.is_set():
        loop = asyncio.get_running_loop()
        until = loop.time() + drain
        either = {
            asyncio.ensure_future(chain.guards[0].gate.empty.wait()),
            asyncio.ensure_future(replica.ended()),
        }
        _, pending = await asyncio.wait(either, timeout=drain, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        drain = max(0.0, until - loop.time())
    return await replica.close(drain)


async def _close(replicas: Iterable[Replica], drain: float) -> int:
    """Drains and closes; how many requests were cut off."""
    replicas = list(replicas)
    left = 0

    async def one(replica: Replica) -> None:
        nonlocal left
        left += await replica.close(drain)

    await asyncio.gather(*map(one, replicas))
    return left
