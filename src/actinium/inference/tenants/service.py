"""What one key sees of the inference service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from actinium._native import Charge
from actinium.errors import InferenceError, ModelNotFound

from ..answering import Answering
from ..chunk import Burst, Usage
from ..estimate import Expected, Tally, estimated_input, need_of
from ..limits.limiter import Need
from ..limits.verdict import costs_nothing
from ..request import EmbedRequest, Request
from ..runner import Embedding, Health
from ..service import Inference, ModelInfo
from .gauge import NOTHING, Gauges
from .record import KeyRecord

if TYPE_CHECKING:
    from ..session.window import Turn


class Service(Protocol):
    """What doors need of :class:`Inference`; :class:`KeyedInference` is the same for one key."""

    @property
    def generation(self) -> int:
        """Changes with the deployments."""

    def generate(self, request: Request) -> AsyncGenerator[Burst]: ...

    def complete(self, request: Request) -> Awaitable[Burst]: ...

    async def embed(self, request: EmbedRequest) -> Embedding: ...

    async def count(self, request: Request) -> int: ...

    def sees(self, name: str) -> bool: ...

    @property
    def keeps_sessions(self) -> bool: ...

    async def kept(self, session: str) -> tuple[Turn | None, ...]: ...

    async def erase(self, session: str, turn: int) -> None: ...

    def replica(self, name: str) -> Answering: ...

    def behind(self, name: str) -> tuple[Answering, ...]: ...

    def models(self) -> tuple[ModelInfo, ...]: ...

    def ready(self) -> Health: ...

    def statistics(self) -> dict[str, Any]: ...


class KeyedInference:
    """The service as the holder of a key may use it (GW-1).

    Other models than those of key and tenant do not exist here, so that nobody learns of them.
    Requests carry tenant, key and priority of the key, whatever door they came through; sessions
    are those of the tenant. What is over a limit raises TenantLimited before anything is done.
    """

    def __init__(
        self, inference: Inference, record: KeyRecord, models: Sequence[Sequence[str]],
        gauges: Gauges | None,
    ) -> None:  # fmt: skip
        self._inference = inference
        self._id = record.id
        self._tenant = record.spec.tenant
        self._priority = record.spec.priority
        self._models = [patterns for patterns in models if "*" not in patterns]
        self._gauges = gauges
        self._counts = gauges is not None and gauges.counts_tokens
        self._shares = inference.sharing is not None
        self._expected = Expected()

    @property
    def generation(self) -> int:
        return self._inference.generation

    @property
    def keeps_sessions(self) -> bool:
        """See :attr:`Inference.keeps_sessions`."""
        return self._inference.keeps_sessions

    async def kept(self, session: str) -> tuple[Turn | None, ...]:
        """See :meth:`Inference.kept`, of this tenant's sessions."""
        return await self._inference.kept(f"{self._tenant}:{session}")

    async def erase(self, session: str, turn: int) -> None:
        """See :meth:`Inference.erase`, of this tenant's sessions."""
        await self._inference.erase(f"{self._tenant}:{session}", turn)

    def replica(self, name: str) -> Answering:
        """See :meth:`Inference.replica`: a model of others is as unknown as one that is not."""
        if not self._models or self.sees(name):
            try:
                return self._inference.replica(name)
            except ModelNotFound:
                pass
        known = ", ".join(repr(model.id) for model in self.models()) or "none"
        raise ModelNotFound(
            f"the model {name[:64]!r} does not exist for this key; there are: {known}"
        )

    def behind(self, name: str) -> tuple[Answering, ...]:
        """See :meth:`Inference.behind`: a fallback answers whatever the key may ask for."""
        self.replica(name)
        return self._inference.behind(name)

    def models(self) -> tuple[ModelInfo, ...]:
        """The public names that the key may use."""
        return tuple(model for model in self._inference.models() if self.sees(model.id))

    def ready(self) -> Health:
        return self._inference.ready()

    def statistics(self) -> dict[str, Any]:
        """Nothing: it is the operator's."""
        return {}

    def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """See :meth:`Inference.generate`; raises TenantLimited while it runs."""
        replica = self.replica(request.model)
        request = self._named(request)
        source = self._inference.generate(request)
        return self._metered(request, replica, source) if self._gauges is not None else source

    def complete(self, request: Request) -> Awaitable[Burst]:
        """See :meth:`Inference.complete`; raises TenantLimited when it is awaited."""
        replica = self.replica(request.model)
        request = self._named(request)
        answer = self._inference.complete
        return self._whole(request, replica) if self._gauges is not None else answer(request)

    async def embed(self, request: EmbedRequest) -> Embedding:
        """See :meth:`Inference.embed`; raises TenantLimited."""
        replica = self.replica(request.model)
        request = msgspec.structs.replace(request, tenant=self._tenant, key=self._id)
        need = self._need(request, replica)
        charge = await self._taken(need)
        used = need.input
        try:
            answer = await self._inference.embed(request)
            used = answer.input_tokens
            return answer
        except InferenceError as error:
            if costs_nothing(error):
                used = 0
            raise
        finally:
            _settle(charge, used, 0)

    async def count(self, request: Request) -> int:
        """See :meth:`Inference.count`; raises TenantLimited."""
        self.replica(request.model)
        charge = await self._taken(NOTHING)
        try:
            return await self._inference.count(self._named(request))
        finally:
            _settle(charge, 0, 0)

    def sees(self, name: str) -> bool:
        """Whether a model exists for this key (GW-1)."""
        return not self._models or all(
            any(fnmatchcase(name, pattern) for pattern in patterns) for patterns in self._models
        )

    def _named(self, request: Request) -> Request:
        session = request.session
        return msgspec.structs.replace(
            request, tenant=self._tenant, key=self._id, priority=self._priority,
            session=f"{self._tenant}:{session}" if session is not None else None,
            estimate=estimated_input(request) if self._counts else None,
        )  # fmt: skip

    async def _metered(
        self, request: Request, replica: Answering, source: AsyncGenerator[Burst]
    ) -> AsyncGenerator[Burst]:
        async with aclosing(source):
            need = self._need(request, replica)
            charge = await self._taken(need)
            tally: Tally | None = None
            failure: BaseException | None = None
            try:
                async for burst in source:
                    if tally is None:
                        tally = Tally()
                    tally.add(burst)
                    yield burst
            except BaseException as error:
                failure = error
                raise
            finally:
                self._end(charge, need, tally, failure)

    async def _whole(self, request: Request, replica: Answering) -> Burst:
        need = need_of(request, replica.runner, self._expected) if self._counts else NOTHING
        charge = await self._taken(need) if self._shares else self._take(need)
        try:
            burst = await self._inference.complete(request)
        except BaseException as error:
            self._end(charge, need, None, error)
            raise
        usage = burst[-1].usage if burst else None
        if usage is None:
            tally = Tally()
            tally.add(burst)
            usage = tally.of(need)
        self._used(charge, usage)
        return burst

    def _need(self, request: Request | EmbedRequest, replica: Answering) -> Need:
        """What to reserve of tokens, where they are limited."""
        if not self._counts:
            return NOTHING
        return need_of(request, replica.runner, self._expected)

    async def _taken(self, need: Need) -> Charge | None:
        """What a request is charged; see :meth:`Gauge.borrow`. Raises TenantLimited."""
        if self._shares and self._gauges is not None:
            await self._gauges.borrow(need)
        return self._take(need)

    def _take(self, need: Need) -> Charge | None:
        """The same of what this process has."""
        if self._gauges is None:
            return None
        now = asyncio.get_running_loop().time()
        return self._gauges.take(now, need, shared=self._shares)

    def _end(
        self, charge: Charge | None, need: Need, tally: Tally | None,
        failure: BaseException | None,
    ) -> None:  # fmt: skip
        """What was used: who leaves before the first word has used its input all the same."""
        if not self._counts or (tally is None and failure is not None and costs_nothing(failure)):
            _settle(charge, 0, 0)
            return
        usage = (tally or Tally()).of(need)
        if failure is None:
            self._used(charge, usage)
        else:
            _settle(charge, usage.input, usage.output)

    def _used(self, charge: Charge | None, usage: Usage) -> None:
        """A whole answer used so much."""
        if self._counts:
            self._expected.saw(usage.output)
            _settle(charge, usage.input, usage.output)
        else:
            _settle(charge, 0, 0)


def _settle(charge: Charge | None, input: int, output: int) -> None:
    if charge is not None:
        charge.settle(asyncio.get_running_loop().time(), 1, input + output, input, output)
