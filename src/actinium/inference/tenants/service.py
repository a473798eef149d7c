"""What one key sees of the inference service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from fnmatch import fnmatchcase
from typing import Any, Protocol

import msgspec

from actinium.errors import InferenceError, ModelNotFound

from ..answering import Answering
from ..chunk import Burst
from ..estimate import Expected, Tally, need_of
from ..limits.limiter import Charge, Need
from ..limits.verdict import costs_nothing
from ..request import EmbedRequest, Request
from ..runner import Embedding, Health
from ..service import Inference, ModelInfo
from .gauge import NOTHING, Gauge
from .record import KeyRecord


class Service(Protocol):
    """What doors need of :class:`Inference`; :class:`KeyedInference` is the same for one key."""

    @property
    def generation(self) -> int:
        """Changes with the deployments."""

    def generate(self, request: Request) -> AsyncGenerator[Burst]: ...

    def complete(self, request: Request) -> Awaitable[Burst]: ...

    async def embed(self, request: EmbedRequest) -> Embedding: ...

    async def count(self, request: Request) -> int: ...

    @property
    def keeps_sessions(self) -> bool: ...

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
        gauges: tuple[Gauge, ...],
    ) -> None:  # fmt: skip
        self._inference = inference
        self._id = record.id
        self._tenant = record.spec.tenant
        self._priority = record.spec.priority
        self._models = [patterns for patterns in models if "*" not in patterns]
        self._gauges = gauges
        self._counts = any(gauge.counts_tokens for gauge in gauges)
        self._shares = inference.sharing is not None
        self._expected = Expected()

    @property
    def generation(self) -> int:
        return self._inference.generation

    @property
    def keeps_sessions(self) -> bool:
        """See :attr:`Inference.keeps_sessions`."""
        return self._inference.keeps_sessions

    def replica(self, name: str) -> Answering:
        """See :meth:`Inference.replica`: a model of others is as unknown as one that is not."""
        if self._allows(name):
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
        return tuple(model for model in self._inference.models() if self._allows(model.id))

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
        return self._metered(request, replica, source) if self._gauges else source

    def complete(self, request: Request) -> Awaitable[Burst]:
        """See :meth:`Inference.complete`; raises TenantLimited when it is awaited."""
        replica = self.replica(request.model)
        request = self._named(request)
        answer = self._inference.complete
        return self._whole(request, replica) if self._gauges else answer(request)

    async def embed(self, request: EmbedRequest) -> Embedding:
        """See :meth:`Inference.embed`; raises TenantLimited."""
        replica = self.replica(request.model)
        request = msgspec.structs.replace(request, tenant=self._tenant, key=self._id)
        need = self._need(request, replica)
        charges = await self._taken(need)
        real = need
        try:
            answer = await self._inference.embed(request)
            real = Need(answer.input_tokens, 0)
            return answer
        except InferenceError as error:
            if costs_nothing(error):
                real = NOTHING
            raise
        finally:
            self._settle(charges, real)

    async def count(self, request: Request) -> int:
        """See :meth:`Inference.count`; raises TenantLimited."""
        self.replica(request.model)
        charges = await self._taken(NOTHING)
        try:
            return await self._inference.count(self._named(request))
        finally:
            self._settle(charges, NOTHING)

    def _allows(self, name: str) -> bool:
        return not self._models or all(
            any(fnmatchcase(name, pattern) for pattern in patterns) for patterns in self._models
        )

    def _named(self, request: Request) -> Request:
        session = request.session
        return msgspec.structs.replace(
            request, tenant=self._tenant, key=self._id, priority=self._priority,
            session=f"{self._tenant}:{session}" if session is not None else None,
        )  # fmt: skip

    async def _metered(
        self, request: Request, replica: Answering, source: AsyncGenerator[Burst]
    ) -> AsyncGenerator[Burst]:
        async with aclosing(source):
            need = self._need(request, replica)
            charges = await self._taken(need)
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
                self._end(charges, need, tally, failure)

    async def _whole(self, request: Request, replica: Answering) -> Burst:
        need = self._need(request, replica)
        charges = await self._taken(need)
        tally = None
        failure: BaseException | None = None
        try:
            burst = await self._inference.complete(request)
            tally = Tally()
            tally.add(burst)
            return burst
        except BaseException as error:
            failure = error
            raise
        finally:
            self._end(charges, need, tally, failure)

    def _need(self, request: Request | EmbedRequest, replica: Answering) -> Need:
        """What to reserve of tokens, where they are limited."""
        if not self._counts:
            return NOTHING
        return need_of(request, replica.runner, self._expected)

    async def _taken(self, need: Need) -> list[Charge]:
        """The charges of a request; see :meth:`Gauge.borrow`."""
        if self._shares:
            for gauge in self._gauges:
                await gauge.borrow(asyncio.get_running_loop().time(), need)
        return self._take(need)

    def _take(self, need: Need) -> list[Charge]:
        """All charges or none: nothing else runs between the questions and the taking."""
        now = asyncio.get_running_loop().time()
        for gauge in self._gauges:
            refusal = gauge.refusal(now, need)
            if refusal is not None:
                raise refusal
        return [gauge.take(now, need) for gauge in self._gauges]

    def _end(
        self, charges: list[Charge], need: Need, tally: Tally | None,
        failure: BaseException | None,
    ) -> None:  # fmt: skip
        """What was used: who leaves before the first word has used its input all the same."""
        real = NOTHING
        for_nothing = tally is None and failure is not None and costs_nothing(failure)
        if self._counts and not for_nothing:
            usage = (tally or Tally()).of(need)
            if failure is None:
                self._expected.saw(usage.output)
            real = Need(usage.input, usage.output)
        self._settle(charges, real)

    def _settle(self, charges: list[Charge], real: Need) -> None:
        now = asyncio.get_running_loop().time()
        for gauge, charge in zip(self._gauges, charges, strict=True):
            gauge.settle(now, charge, real)
