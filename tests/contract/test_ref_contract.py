"""One body over both kinds of refs: in this process and in another one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "cluster"))

from test_workers import on_workers
from worker_actors import Add, Counter, Get, Numbers, Refused

import actinium as ac
from actinium.errors import ActorStopped, AskTimeout, HandlerError, Unhandled


@pytest.mark.parametrize("place", ["local", "any"])
def test_the_contract_of_refs(place: Any) -> None:
    async def body(system: ac.System) -> None:
        ref = system.spawn(Counter, 1, place=place)
        assert isinstance(ref, ac.Ref) and ref.alive and ref.path.startswith("/user/")
        assert ref == ref and hash(ref) == hash(ref) and {ref: 1}[ref] == 1
        assert ref.tell(Add(1)).ok and ref.try_tell(Add(1)).ok
        assert (await ref.send(Add(1))).ok
        assert ref.tell_many([Add(1), Add(1)]) == 2
        assert await ref.ask(Get()) == 6
        assert await asyncio.gather(*(ref.ask(Add(1)) for _ in range(3))) == [7, 8, 9]
        with pytest.raises(Refused):
            await ref.ask("refuse")
        with pytest.raises(HandlerError):
            await ref.ask("fail")
        with pytest.raises(Unhandled):
            await ref.ask(1.5)
        assert await ref.ask("me") == ref
        numbers = system.spawn(Numbers, place=place)
        async with numbers.stream(20, items=3) as stream:
            assert [n async for n in stream] == list(range(20))
        with pytest.raises(AskTimeout):
            await ref.ask("slow", 0.05)
        ref.kill()
        assert await ref.stopped() == "killed"
        assert not ref.alive and not ref.tell(Add(1)).ok and not ref.try_tell(Add(1)).ok
        with pytest.raises(ActorStopped):
            await ref.ask(Get())
        with pytest.raises(ActorStopped):
            await ref.send(Add(1))

    on_workers(body, 1)
