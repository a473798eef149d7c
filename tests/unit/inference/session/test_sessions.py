"""Sessions remember whole turns and nothing else, whatever happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import actinium as ac
from actinium.errors import (
    EngineOverloaded,
    InferenceError,
    ServerError,
    SessionUnavailable,
    StoreError,
)
from actinium.inference import (
    Burst,
    Capabilities,
    Chunk,
    Embedding,
    EmbedRequest,
    Health,
    Message,
    Progress,
    Request,
    Usage,
)
from actinium.inference.service import Inference
from actinium.inference.session import SessionActors
from actinium.store import MemoryStore, SqliteStore, Store


class Repeater:
    """Answers with all user texts it was given; can be held up and can fail on the way."""

    transport = "cpu"

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.fail = False
        self.active = self.most = 0

    def capabilities(self) -> Capabilities:
        return Capabilities(context=400, batch=8)

    async def load(self, progress: Progress | None = None) -> None:
        pass

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        self.active += 1
        self.most = max(self.most, self.active)
        self.begun.set()
        self.ended.clear()
        try:
            said = [m.text() for m in request.messages if m.role == "user"]
            yield [Chunk(text="you said ")]
            await self.gate.wait()
            if self.fail:
                raise ServerError("the model fell over")
            for text in said:
                yield [Chunk(text=f"[{text}]")]
            yield [Chunk(finish="stop", usage=Usage(input=len(said), output=len(said)))]
        finally:
            self.active -= 1
            self.ended.set()

    async def embed(self, request: EmbedRequest) -> Embedding:
        raise NotImplementedError

    def count_tokens(self, request: Request) -> int:
        return sum(len(m.text()) + 1 for m in request.messages)

    async def health(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None:
        pass


class Bench:
    """One system with sessions over a repeater."""

    def __init__(self, system: ac.System, runner: Repeater) -> None:
        self.runner = runner
        self.sessions = SessionActors(system)
        self.inference = Inference(
            [ac.Deployment(name="m")], runner_factory=lambda _: runner, sessions=self.sessions
        )

    def start_turn(self, *texts: str, session: str = "s") -> AsyncGenerator[Burst]:
        messages = tuple(Message(role="user", content=t) for t in texts)
        return self.inference.generate(
            Request(id="r", model="m", messages=messages, session=session)
        )

    async def say(self, *texts: str, session: str = "s") -> str:
        out = ""
        async for burst in self.start_turn(*texts, session=session):
            out += "".join(chunk.text for chunk in burst)
        return out


def run(body: Callable[[Bench], Awaitable[None]], store: Store | None = None) -> None:
    async def main() -> None:
        async with ac.System(store=store or MemoryStore()) as system:
            bench = Bench(system, Repeater())
            await bench.inference.start()
            await body(bench)
            await bench.inference.close()
        assert (await system.ended()).lost == 0

    asyncio.run(main())


def test_a_session_remembers_its_turns() -> None:
    async def body(b: Bench) -> None:
        assert await b.say("a") == "you said [a]"
        assert await b.say("b") == "you said [a][b]"
        assert await b.say("x", session="other") == "you said [x]"
        assert [m.role for m in await b.sessions.history("s")] == ["user", "assistant"] * 2
        assert sorted(await b.sessions.names()) == ["other", "s"]
        await b.sessions.forget("s")
        assert await b.say("c") == "you said [c]"

    run(body)


def test_the_whole_conversation_may_be_sent_again() -> None:
    async def body(b: Bench) -> None:
        await b.say("a")
        known = await b.sessions.history("s")
        again = (*known, Message(role="user", content="b"))
        request = Request(id="r", model="m", messages=again, session="s")
        async for _ in b.inference.generate(request):
            pass
        assert len(await b.sessions.history("s")) == 4

    run(body)


def test_PS_1_turns_outlive_the_system(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def life(text: str) -> str:
        store = await SqliteStore.open(path)
        async with ac.System(store=store) as system:
            bench = Bench(system, Repeater())
            await bench.inference.start()
            said = await bench.say(text)
            await bench.inference.close()
        await store.close()
        return said

    assert asyncio.run(life("a")) == "you said [a]"
    assert asyncio.run(life("b")) == "you said [a][b]"


def test_inf_SE_2_a_turn_that_breaks_off_leaves_no_trace() -> None:
    async def body(b: Bench) -> None:
        await b.say("a")
        b.runner.gate.clear()
        turn = b.start_turn("lost")
        await anext(turn)
        await turn.aclose()  # the client has left
        await b.runner.ended.wait()
        b.runner.gate.set()
        b.runner.fail = True
        with pytest.raises(InferenceError, match="fell over"):
            await b.say("failed")
        b.runner.fail = False
        assert await b.say("b") == "you said [a][b]"

    run(body)


def test_inf_SE_1_one_turn_at_a_time_and_few_waiting() -> None:
    async def body(b: Bench) -> None:
        b.runner.gate.clear()
        turns = [asyncio.create_task(b.say("t0"))]
        await b.runner.begun.wait()
        turns += [asyncio.create_task(b.say(f"t{i}")) for i in range(1, 9)]
        await asyncio.sleep(0)  # each has asked by now
        with pytest.raises(EngineOverloaded, match="too many turns"):
            await b.say("one too many")
        b.runner.gate.set()
        answers = await asyncio.gather(*turns)
        assert b.runner.most == 1, "SE-1: turns of a session never interleave"
        assert [len(a) for a in answers] == sorted(len(a) for a in answers)
        assert len(await b.sessions.history("s")) == 18

    run(body)


def test_inf_SE_2_no_end_of_an_answer_that_is_not_stored() -> None:
    class Full(MemoryStore):
        broken = True

        async def append(self, key: str, items: Any, expect: int) -> int:
            if self.broken:
                raise StoreError("disk full")
            return await super().append(key, items, expect)

    store = Full()

    async def body(b: Bench) -> None:
        finished = False
        with pytest.raises(SessionUnavailable, match="disk full"):
            async for burst in b.start_turn("a"):
                finished = finished or any(chunk.finish for chunk in burst)
        assert not finished, "SE-2: a reported answer is stored"
        store.broken = False
        assert await b.say("b") == "you said [b]"

    run(body, store)


def test_PS_3_two_servers_one_session(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def main() -> None:
        one, two = await SqliteStore.open(path), await SqliteStore.open(path)
        async with ac.System(store=one) as left, ac.System(store=two) as right:
            a, b = Bench(left, Repeater()), Bench(right, Repeater())
            await a.inference.start()
            await b.inference.start()
            assert await a.say("a") == "you said [a]"
            assert await b.say("b") == "you said [a][b]"
            with pytest.raises(SessionUnavailable, match="another server"):
                await a.say("c")
            assert await a.say("c") == "you said [a][b][c]"
            await a.inference.close()
            await b.inference.close()
        await one.close()
        await two.close()

    asyncio.run(main())


def test_long_conversations_fit_the_context() -> None:
    async def body(b: Bench) -> None:
        for i in range(30):
            said = await b.say(f"message number {i:03}")
            assert said.endswith(f"[message number {i:03}]")
        assert "[message number 000]" not in said
        assert len(await b.sessions.history("s")) == 60

    run(body)
