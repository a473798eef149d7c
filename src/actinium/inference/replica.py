"""One runner with admission, deadlines and bookkeeping around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from time import monotonic, monotonic_ns
from typing import Any, Literal

from actinium.base.attributes import QUEUE_SPAN
from actinium.base.trace import Span, current
from actinium.errors import (
    ConfigError,
    EngineOverloaded,
    ModelNotReady,
    StreamInterrupted,
    Unsupported,
    UpstreamTimeout,
)

from .admission import Slots
from .chunk import Burst, Usage
from .deployment import Deployment
from .estimate import Expected, need_of
from .limits.fair import Ticket as FairTicket
from .limits.limiter import Need
from .limits.line import Place, Waiter
from .measures import ReplicaMeasures
from .request import EmbedRequest, Request
from .runner import (
    CountingRunner,
    DeclaringRunner,
    Embedding,
    ModelRunner,
    Progress,
    WholeRunner,
)
from .spans import AttemptSpan, Described, begun
from .watch import Watch, Watches

Ticket = FairTicket[Waiter[None]] | None
"""Of a request that had to wait for its place."""

State = Literal["new", "loading", "ready", "failed", "draining", "closed"]


class Replica:
    """Serves one deployment.

    Every request that gets a place gives it back exactly once, whatever ends it: the end of
    the answer, an error, a limit, a cancellation or ``aclose`` (RQ-1, RQ-2). Nothing is ever
    generated twice; a failure after the first content becomes StreamInterrupted (RQ-4).
    """

    def __init__(
        self, deployment: Deployment, runner: ModelRunner, measures: ReplicaMeasures
    ) -> None:
        self.deployment = deployment
        self.runner = runner
        self._learn()
        self.state: State = "new"
        self.reason = "not started"
        self.slots = Slots(deployment.max_concurrent, deployment.queue)
        self._measures = measures
        self._watches = Watches()
        self._closed = asyncio.Event()
        # A runner without a shorter way gives its whole answer by its bursts.
        self._whole = runner.complete if isinstance(runner, WholeRunner) else self._collect
        self._declares = runner if isinstance(runner, DeclaringRunner) else None
        self._service_seconds = 0.0
        self._expected = Expected()
        limits = deployment.timeouts
        self._late_first = _timeout("first_byte", limits.first_byte)
        self._late_next = _timeout("inter_chunk", limits.inter_chunk)
        self._described: Described | None = None

    @property
    def inflight(self) -> int:
        """Requests accepted and not ended, waiting ones included."""
        return len(self._watches)

    async def load(self, progress: Progress | None = None) -> None:
        """Loads the runner. Raises what it raises; the state tells."""
        self.state, self.reason = "loading", "the model is loading"
        try:
            await self.runner.load(progress)
        except BaseException as error:
            self.state, self.reason = "failed", f"loading failed: {error}"
            raise
        self._learn()
        self.state, self.reason = "ready", ""

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """The answer as bursts.

        Raises ModelNotReady, EngineOverloaded, UpstreamTimeout, RequestDeadline and what the
        runner raises; after the first content only StreamInterrupted.
        """
        measures = self._measures
        began = monotonic_ns()
        last = started = began * 1e-9
        failure: BaseException | None = None
        usage: Usage | None = None
        delivered = 0
        ticket = None
        watch = self._accept(request)
        answered = request.answered
        answered.attempts += 1
        parent = current.get()
        span = None if parent is None else self._span(parent, request, began)
        try:
            if not self.slots.take_nowait():
                ticket = await self._queue_up(watch, request)
            try:
                limits = self.deployment.timeouts
                seconds, late = limits.first_byte, self._late_first
                source = self.runner.generate(request)
                try:
                    while True:
                        watch.enter(seconds, late)
                        try:
                            burst = await anext(source)
                        except StopAsyncIteration:
                            break
                        except asyncio.CancelledError:
                            self._explain(watch)
                            raise
                        watch.leave()
                        seconds, late = limits.inter_chunk, self._late_next
                        if not burst:
                            continue  # a sign of life without content
                        now = monotonic()
                        if delivered:
                            measures.gap.observe(now - last)
                        else:
                            measures.ttft.observe(now - last)
                            answered.deployment = answered.deployment or self.deployment.name
                            started = now
                            if span is not None:
                                span.first_token()
                        if span is not None:
                            span.saw(burst)
                        last = now
                        delivered += len(burst)
                        usage = burst[-1].usage or usage
                        yield burst
                finally:
                    watch.leave()
                    await source.aclose()
            finally:
                self.slots.free()
        except Exception as error:
            if delivered and not isinstance(error, StreamInterrupted):
                failure = StreamInterrupted(error, delivered)
                raise failure from error
            failure = error
            raise
        except BaseException as left:
            failure = left
            raise
        finally:
            if usage is not None and last > started:
                measures.speed.observe(usage.output / (last - started))
            ended = self._end(watch, began, failure, usage, request.tenant, ticket)
            if span is not None:
                span.over(failure, usage, ended)

    async def complete(self, request: Request) -> Burst:
        """The whole answer at once; the same as all of :meth:`generate`, and cheaper."""
        began = monotonic_ns()
        failure: BaseException | None = None
        usage: Usage | None = None
        ticket = None
        watch = self._accept(request)
        answered = request.answered
        answered.attempts += 1
        parent = current.get()
        span = None if parent is None else self._span(parent, request, began)
        try:
            if not self.slots.take_nowait():
                ticket = await self._queue_up(watch, request)
            try:
                watch.enter(self.deployment.timeouts.total, self._late_first)
                burst = await self._whole(request)
                watch.leave()
                answered.deployment = answered.deployment or self.deployment.name
                usage = burst[-1].usage if burst else None
                if span is not None:
                    span.saw(burst)
                return burst
            except asyncio.CancelledError:
                self._explain(watch)
                raise
            finally:
                self.slots.free()
        except BaseException as error:
            failure = error
            raise
        finally:
            ended = self._end(watch, began, failure, usage, request.tenant, ticket)
            if span is not None:
                span.over(failure, usage, ended)

    async def embed(self, request: EmbedRequest) -> Embedding:
        """Vectors, under the same admission and deadlines."""
        began = monotonic_ns()
        failure: BaseException | None = None
        usage: Usage | None = None
        ticket = None
        watch = self._accept(None)
        answered = request.answered
        answered.attempts += 1
        parent = current.get()
        span = None if parent is None else self._span(parent, request, began)
        try:
            if not self.slots.take_nowait():
                ticket = await self._queue_up(watch, request)
            try:
                watch.enter(self.deployment.timeouts.total, self._late_first)
                answer = await self.runner.embed(request)
                watch.leave()
                answered.deployment = answered.deployment or self.deployment.name
                usage = Usage(input=answer.input_tokens)
                return answer
            except asyncio.CancelledError:
                self._explain(watch)
                raise
            finally:
                self.slots.free()
        except BaseException as error:
            failure = error
            raise
        finally:
            ended = self._end(watch, began, failure, usage, request.tenant, ticket)
            if span is not None:
                span.over(failure, usage, ended)

    async def count(self, request: Request) -> int:
        """Input tokens of a request, exactly.

        It takes no place: no engine works for it. Raises Unsupported where the number cannot be
        known before an answer is made.
        """
        runner = self.runner
        watch = self._accept(request)
        try:
            if not isinstance(runner, CountingRunner):
                known = runner.count_tokens(request)
                if known is None:
                    raise Unsupported(
                        f"deployment {self.deployment.name!r}: only its server knows how many "
                        "tokens a prompt has, and has no call that tells",
                        "model",
                    )
                return known
            watch.enter(self.deployment.timeouts.total, self._late_first)
            try:
                return await runner.count(request)
            except asyncio.CancelledError:
                self._explain(watch)
                raise
        finally:
            self._watches.close(watch)

    def ignored(self, request: Request) -> tuple[str, ...]:
        """The fields of a request that have no effect on this deployment."""
        declared = () if self._declares is None else self._declares.ignored(request)
        if not request.extra:
            return declared
        can = self.capabilities
        if can.passthrough:
            return declared
        # Metadata is the client's own note; it has no effect anywhere.
        extra = (name for name in request.extra if name != "metadata" and name not in can.extras)
        return (*extra, *declared)

    def place(self, id: str) -> Place | None:
        """Where the request of this id stands in the queue; None where it does not wait."""
        return self.slots.place(id)

    def statistics(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "reason": self.reason,
            "running": self.slots.used,
            "waiting": self.slots.waiting,
            "max_concurrent": self.slots.size,
            "queue": self.slots.queue,
        }

    async def close(self, drain: float) -> int:
        """Takes no more requests, lets those under way end for ``drain`` seconds, then stops.

        Returns how many requests were cut off. Called again meanwhile, the sooner end counts.
        """
        if self.state in ("draining", "closed"):
            try:
                async with asyncio.timeout(drain):
                    await self._closed.wait()
            except TimeoutError:
                self._watches.interrupt(_stopped)
                await self._closed.wait()
            return 0
        self.state, self.reason = "draining", "the deployment is being stopped"
        left = 0
        try:
            async with asyncio.timeout(drain):
                await self._watches.empty()
        except TimeoutError:
            left = self.inflight
            self._watches.interrupt(_stopped)
        await self.runner.close()
        self._watches.stop()
        self.state, self.reason = "closed", "the deployment is closed"
        self._closed.set()
        return left

    async def ended(self) -> None:
        """Waits until it is closed."""
        await self._closed.wait()

    def _learn(self) -> None:
        """Asks the runner what it can; ``versatile`` means everything a request may ask for."""
        can = self.capabilities = self.runner.capabilities()
        self.versatile = (
            can.chat
            and can.completion
            and can.tools
            and can.logprobs
            and can.seed
            and can.json_schema
        )

    def _accept(self, request: Request | None) -> Watch:
        if self.state != "ready":
            raise ModelNotReady(f"deployment {self.deployment.name!r}: {self.reason}")
        until = request.deadline if request is not None else None
        return self._watches.open(asyncio.get_running_loop(), self.deployment.timeouts.total, until)

    async def _collect(self, request: Request) -> Burst:
        return await collected(self.runner.generate(request))

    async def _queue_up(self, watch: Watch, request: Request | EmbedRequest) -> Ticket:
        began = monotonic()
        parent = current.get()
        span = parent.child(QUEUE_SPAN) if parent is not None else None
        seconds = self.deployment.queue_timeout
        longest = min(seconds, watch.left())
        cost = need_of(request, self.runner, self._expected).cost
        priority = request.priority if isinstance(request, Request) else "normal"
        watch.enter(seconds, self._late_in_queue)
        try:
            return await self.slots.take(
                cost, tenant=request.tenant or "", priority=priority, longest=longest,
                name=request.id,
            )  # fmt: skip
        except EngineOverloaded as error:
            error.retry_after = self._retry_after(error.retry_after)
            raise
        except asyncio.CancelledError:
            self._explain(watch)
            raise
        finally:
            watch.leave()
            waited = monotonic() - began
            self._measures.queued.observe(waited)
            if span is not None:
                span.end()
                facts = span.trace.facts
                facts["queue"] = facts.get("queue", 0.0) + waited

    def _span(self, parent: Span, request: Request | EmbedRequest, began: int) -> AttemptSpan:
        described = self._described
        if described is None:
            described = self._described = Described(self.deployment)
        return begun(parent, described, request, began)

    @staticmethod
    def _explain(watch: Watch) -> None:
        """Raises the watch's error where the cancellation under way is its doing."""
        error = watch.reason()
        if error is not None:
            raise error from None

    def _late_in_queue(self) -> Exception:
        error = EngineOverloaded(
            f"no place became free within {self.deployment.queue_timeout:g} s; try again later"
        )
        error.retry_after = self._retry_after(self.slots.seconds())
        return error

    def _retry_after(self, seconds: float | None) -> float:
        """Whole seconds after which the queue of now should be served, 1 to 60."""
        if seconds is not None:
            return float(min(60, max(1, round(seconds))))
        rounds = 1 + self.slots.waiting / self.slots.size
        return float(min(60, max(1, round(rounds * self._service_seconds))))

    def _end(
        self, watch: Watch, began: int, failure: BaseException | None, usage: Usage | None,
        tenant: str | None, ticket: Ticket,
    ) -> int:  # fmt: skip
        """The request has ended: when, in monotonic nanoseconds as ``began``."""
        self._watches.close(watch)
        ended = monotonic_ns()
        seconds = (ended - began) * 1e-9
        self._service_seconds += 0.1 * (seconds - self._service_seconds)
        self._measures.seconds.observe(seconds)
        self._measures.ended(failure)
        if usage is not None:
            self._measures.used(usage, tenant)
            if ticket is not None:
                self._expected.saw(usage.output)
                self.slots.correct(ticket, Need(usage.input, usage.output).cost)
        return ended


def _stopped() -> Exception:
    return ModelNotReady("the deployment was stopped during the answer")


async def collected(source: AsyncGenerator[Burst]) -> Burst:
    """All bursts of a source as one; closes the source in the end."""
    whole: Burst = []
    async with aclosing(source):
        async for burst in source:
            whole += burst
    return whole


def _timeout(phase: str, seconds: float) -> Callable[[], Exception]:
    if seconds <= 0:
        raise ConfigError(f"timeouts.{phase} must be above 0 seconds, got {seconds:g}")
    return lambda: UpstreamTimeout(phase, seconds)
