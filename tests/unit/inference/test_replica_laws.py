"""Admission, deadlines and the end of requests: laws over random runners and callers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actinium.base.measures import Registry
from actinium.errors import (
    ConfigError,
    EngineOverloaded,
    InferenceError,
    ModelNotFound,
    ModelNotReady,
    NetworkError,
    RequestDeadline,
    StreamInterrupted,
    Unsupported,
    UpstreamTimeout,
)
from actinium.inference import (
    Burst,
    Capabilities,
    Chunk,
    Deployment,
    Embedding,
    EmbedRequest,
    Health,
    Inference,
    Message,
    Request,
    Sampling,
    Timeouts,
    Usage,
)
from actinium.inference.admission import Slots
from actinium.inference.measures import PathMeasures, ReplicaMeasures
from actinium.inference.replica import Replica
from actinium.inference.runner import Progress
from actinium.inference.watch import Watch

REQUEST = Request(id="r", model="m", messages=(Message(role="user", content="x"),))


class Scripted:
    """A runner whose every answer is one script: chunk, life (empty burst), stall, fail, bug."""

    transport: Literal["cpu", "gpu", "remote"] = "cpu"

    def __init__(self, script: Callable[[Request], list[str]], **can: Any) -> None:
        self.script = script
        self.can = Capabilities(**can)
        self.live = 0
        self.started = 0
        self.peak = 0
        self.closed = False

    def capabilities(self) -> Capabilities:
        return self.can

    async def load(self, progress: Progress | None = None) -> None:
        if progress is not None:
            progress(1.0, "done")

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        self.live += 1
        self.started += 1
        self.peak = max(self.peak, self.live)
        try:
            for step in self.script(request):
                await asyncio.sleep(0)
                match step:
                    case "chunk":
                        yield [Chunk(text="a")]
                    case "life":
                        yield []
                    case "stall":
                        await asyncio.get_running_loop().create_future()
                    case "fail":
                        raise NetworkError("it broke")
                    case "bug":
                        raise ZeroDivisionError("a bug")
            yield [Chunk(finish="stop", usage=Usage(input=2, output=3))]
        finally:
            self.live -= 1

    async def embed(self, request: EmbedRequest) -> Embedding:
        await asyncio.sleep(0)
        return Embedding(vectors=((1.0,),) * len(request.inputs), input_tokens=4)

    def count_tokens(self, request: Request) -> int | None:
        return None

    async def health(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None:
        self.closed = True


def replica(runner: Scripted, registry: Registry | None = None, **fields: Any) -> Replica:
    deployment = Deployment(name="m", **fields)
    path = PathMeasures(registry or Registry())
    return Replica(deployment, runner, ReplicaMeasures(path, "m"))


STEPS = st.lists(st.sampled_from(["chunk", "chunk", "life", "stall", "fail", "bug"]), max_size=6)
CALLERS = st.lists(
    st.tuples(
        STEPS,
        st.sampled_from(["read", "read", "leave", "cancel", "whole"]),
        st.integers(0, 6),
    ),
    min_size=1,
    max_size=10,
)


@given(CALLERS, st.integers(1, 3), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_inf_RQ_1_RQ_2_every_end_frees_its_place(
    callers: list[tuple[list[str], str, int]], size: int, queue: int
) -> None:
    async def main() -> None:
        runner = Scripted(lambda r: callers[int(r.id)][0])
        registry = Registry()
        r = replica(
            runner,
            registry,
            max_concurrent=size,
            queue=queue,
            timeouts=Timeouts(first_byte=0.03, inter_chunk=0.03, total=0.08),
        )
        await r.load()
        ends: list[str] = []

        async def read(number: int, leave_after: int | None) -> None:
            request = Request(id=str(number), model="m", messages=REQUEST.messages)
            source = r.generate(request)
            seen: Burst = []
            try:
                async for burst in source:
                    assert burst, "empty bursts are signs of life, not content"
                    seen += burst
                    if leave_after is not None and len(seen) > leave_after:
                        ends.append("left")
                        return
                assert seen[-1].finish == "stop"
                ends.append("finish")
            except StreamInterrupted as error:
                assert seen and error.chunks_sent == len(seen)
                ends.append("interrupted")
            except (InferenceError, ZeroDivisionError):
                assert not seen, "RQ-4: after content only StreamInterrupted"
                ends.append("error")
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise
            finally:
                await source.aclose()

        async def whole(number: int) -> None:
            request = Request(id=str(number), model="m", messages=REQUEST.messages, stream=False)
            try:
                burst = await r.complete(request)
                assert burst[-1].finish == "stop"
                ends.append("finish")
            except (InferenceError, ZeroDivisionError):
                ends.append("error")

        tasks = []
        for number, (_, kind, after) in enumerate(callers):
            job = (
                whole(number)
                if kind == "whole"
                else read(number, after if kind == "leave" else None)
            )
            tasks.append(asyncio.create_task(job))
        for turn in range(8):
            assert r.slots.used <= size and r.slots.waiting <= queue
            for task, (_, kind, after) in zip(tasks, callers, strict=True):
                if kind == "cancel" and after == turn:
                    task.cancel()
            await asyncio.sleep(0)
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [d for d in done if isinstance(d, AssertionError)]
        assert runner.peak <= size
        assert runner.live == r.slots.used == r.slots.waiting == r.inflight == 0, "RQ-2"
        family = next(f for f in registry if f.name == "requests")
        counted = sum(child.value for _, child in family)  # type: ignore[union-attr]
        never_ran = sum(isinstance(d, asyncio.CancelledError) for d in done) - ends.count(
            "cancelled"
        )
        assert len(ends) == len(callers) - never_ran, "RQ-1: each ends once"
        assert counted == len(ends), "MT-1"
        await r.close(drain=0)
        assert runner.closed

    asyncio.run(main())


class SlotsModel(RuleBasedStateMachine):
    """Slots against the obvious model: first come, first served, nothing lost."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.slots = Slots(2, 3)
        self.running = 0
        self.waiting: list[asyncio.Task[None]] = []

    def turn(self) -> None:
        for _ in range(3):
            self.loop.run_until_complete(asyncio.sleep(0))
        while self.waiting and self.waiting[0].done():
            self.waiting.pop(0)
            self.running += 1

    @rule()
    def take(self) -> None:
        if self.running == 2 and len(self.waiting) == 3:
            with pytest.raises(EngineOverloaded):
                self.loop.run_until_complete(self.slots.take())
        else:
            self.waiting.append(self.loop.create_task(self.slots.take()))
        self.turn()

    @precondition(lambda self: self.running)
    @rule()
    def free(self) -> None:
        self.running -= 1
        self.slots.free()
        self.turn()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), freed=st.booleans())
    def cancel(self, data: st.DataObject, freed: bool) -> None:
        """Also in the moment in which the place is handed over, before or after."""
        at = data.draw(st.integers(0, len(self.waiting) - 1))
        task = self.waiting.pop(at)
        before = data.draw(st.booleans())
        if before:
            task.cancel()
        if freed and self.running:
            self.running -= 1
            self.slots.free()
        if not before:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            self.loop.run_until_complete(task)
        self.turn()

    @invariant()
    def counts(self) -> None:
        assert self.slots.used == self.running <= 2, "RQ-2"
        assert self.slots.waiting == len(self.waiting) <= 3
        assert self.running == 2 or not self.waiting, "nobody waits beside a free place"

    def teardown(self) -> None:
        for task in self.waiting:
            task.cancel()
        if self.waiting:
            self.loop.run_until_complete(asyncio.gather(*self.waiting, return_exceptions=True))
        self.loop.close()


TestSlots = SlotsModel.TestCase
TestSlots.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize(
    ("script", "stream", "kind"),
    [
        (["stall"], True, UpstreamTimeout),
        (["chunk", "stall"], True, StreamInterrupted),
        (["stall"], False, RequestDeadline),
        (["life", "life", "stall"], True, UpstreamTimeout),
        (["fail"], True, NetworkError),
        (["chunk", "fail"], True, StreamInterrupted),
        (["bug"], True, ZeroDivisionError),
    ],
)
def test_inf_DL_1_limits_have_their_own_errors(
    script: list[str], stream: bool, kind: type[Exception]
) -> None:
    async def main() -> None:
        r = replica(
            Scripted(lambda _: script),
            timeouts=Timeouts(first_byte=0.03, inter_chunk=0.03, total=0.1),
        )
        await r.load()
        with pytest.raises(kind) as caught:
            if stream:
                async for _ in r.generate(REQUEST):
                    pass
            else:
                await r.complete(REQUEST)
        assert type(caught.value) is kind
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0, "the watch takes its cancel back"
        await r.close(0)

    asyncio.run(main())


def test_a_deadline_in_the_past_starts_nothing() -> None:
    async def main() -> None:
        runner = Scripted(lambda _: ["chunk"])
        r = replica(runner)
        await r.load()
        late = Request(id="1", model="m", deadline=asyncio.get_running_loop().time() - 1)
        with pytest.raises(RequestDeadline):
            await r.complete(late)
        with pytest.raises(RequestDeadline):
            await anext(r.generate(late))
        assert runner.started == 0 and r.slots.used == 0
        await r.close(0)

    asyncio.run(main())


def test_a_foreign_cancellation_wins_over_the_watch() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        watch = Watch(loop, loop.time() + 100)

        async def wait() -> None:
            watch.enter(50, lambda: NetworkError("late"))
            try:
                await loop.create_future()
            except asyncio.CancelledError:
                assert watch.reason() is None
                raise

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        watch.interrupt(NetworkError("watch"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_close_lets_answers_end_then_stops_them() -> None:
    async def main() -> None:
        runner = Scripted(lambda r: ["chunk"] * 3 if r.id == "1" else ["chunk", "stall"])
        r = replica(runner)
        await r.load()

        async def read(id: str) -> str:
            try:
                async for _ in r.generate(Request(id=id, model="m")):
                    pass
            except StreamInterrupted as error:
                return type(error.cause).__name__
            return "finish"

        tasks = [asyncio.create_task(read(id)) for id in ("1", "2")]
        await asyncio.sleep(0)
        closing = asyncio.create_task(r.close(0.05))
        await asyncio.sleep(0)
        with pytest.raises(ModelNotReady, match="stopped"):
            await r.complete(REQUEST)
        assert await asyncio.gather(*tasks) == ["finish", "ModelNotReady"]
        await closing
        assert r.state == "closed" and r.inflight == 0

    asyncio.run(main())


def test_service_names_and_capabilities() -> None:
    async def main() -> None:
        runners = {"a": Scripted(lambda _: ["chunk"]), "b": Scripted(lambda _: [], chat=False)}
        inference = Inference(
            [Deployment(name="a", aliases=("x",)), Deployment(name="b")],
            runner_factory=lambda d: runners[d.name],
        )
        assert not inference.ready().ok
        with pytest.raises(ModelNotReady, match="not started"):
            await inference.complete(Request(id="1", model="a"))
        said: list[tuple[float, str]] = []
        await inference.start(lambda fraction, text: said.append((fraction, text)))
        assert said == [(0.5, "a: done"), (1.0, "b: done")]
        assert inference.ready().ok
        assert [m.id for m in inference.models()] == ["a", "x", "b"]
        assert (await inference.complete(Request(id="1", model="x")))[0].text == "a"
        with pytest.raises(ModelNotFound, match="there are: 'a', 'x', 'b'"):
            inference.generate(Request(id="1", model="zzz"))
        cases: list[tuple[dict[str, Any], str]] = [
            ({"n": 2}, "n"),
            ({"tools": ({},)}, "tools"),
            ({"sampling": Sampling(logprobs=1)}, "logprobs"),
            ({"sampling": Sampling(seed=1)}, "seed"),
            ({"response_format": {"type": "json_object"}}, "response_format"),
            ({"session": "s"}, "session"),
            ({"model": "b"}, "messages"),
        ]
        for fields, param in cases:
            with pytest.raises(Unsupported) as caught:
                inference.generate(Request(**{"id": "1", "model": "a", **fields}))
            assert caught.value.param == param
        with pytest.raises(Unsupported, match="no embeddings"):
            await inference.embed(EmbedRequest(id="1", model="a", inputs=("x",)))
        await inference.close()

    asyncio.run(main())


def test_names_must_be_unique() -> None:
    with pytest.raises(ConfigError, match="'a' belongs to deployment 'a'"):
        Inference(
            [Deployment(name="a"), Deployment(name="b", aliases=("a",))],
            runner_factory=lambda _: Scripted(lambda _: []),
        )


def test_a_failed_load_closes_the_others() -> None:
    class Broken(Scripted):
        async def load(self, progress: Progress | None = None) -> None:
            raise ConfigError("no such file")

    async def main() -> None:
        good, bad = Scripted(lambda _: []), Broken(lambda _: [])
        inference = Inference(
            [Deployment(name="a"), Deployment(name="b")],
            runner_factory=lambda d: good if d.name == "a" else bad,
        )
        with pytest.raises(ConfigError, match="no such file"):
            await inference.start()
        assert good.closed

    asyncio.run(main())
