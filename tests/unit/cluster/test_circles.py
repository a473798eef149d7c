"""Circles of asks through several processes are refused at once, by name; nothing else is."""

from __future__ import annotations

import asyncio

import pytest
from test_workers import on_workers
from worker_actors import Asker, Start, Through, Wide

import actinium as ac
from actinium.errors import ActiniumError, AskCycle


async def circle(*way: ac.LocalRef[Asker], late: float = 0.0) -> str:
    first, *rest = way
    with pytest.raises(ActiniumError) as failed:
        async with asyncio.timeout(10):
            await first.ask(Through(tuple(rest), late), 20.0)
    errors: list[BaseException] = [failed.value]
    while errors[-1].__cause__ is not None:
        errors.append(errors[-1].__cause__)
    (found,) = {str(error) for error in errors if isinstance(error, AskCycle)}
    return found


def test_call_cycles_between_processes_fail_at_once_by_name() -> None:
    """Orleans and Ray deadlock, or time out, where actors of several processes ask in a circle."""

    async def body(system: ac.System) -> None:
        one = system.spawn(Asker, place=1, name="one")
        two = system.spawn(Asker, place=2, name="two")
        here = system.spawn(Asker, place="local", name="here")
        text = await circle(one, two, one)
        names = [part.split(":")[0] for part in text.split(" -> ")]
        assert set(names) == {"/user/one (worker 1)", "/user/two (worker 2)"}
        assert len(names) == 3 and names[0] == names[2]
        assert "concurrent=2" in text
        assert "here (the first process)" in await circle(here, one, here)
        text = await circle(one, two, here, one)
        assert all(name in text for name in ("/one", "/two", "/here"))
        text = await circle(here, two, one, here)
        assert all(name in text for name in ("/one", "/two", "/here"))
        child = await two.ask(1)
        assert "/two" in await circle(one, two, child, one), "in part within one process"
        assert "/two" in await circle(two, child, one, two)
        assert "/one" in await circle(one, two, one, late=0.05), "awaited after it has left"
        for ref in (one, two, here, child):
            assert await ref.ask("name", 5.0) == "", "all serve again"

    on_workers(body)


def test_two_that_begin_by_themselves_and_meet() -> None:
    async def body(system: ac.System) -> None:
        one, two = system.spawn(Asker, place=1), system.spawn(Asker, place=2)
        assert [await r.ask("name") for r in (one, two)] == ["", ""]
        one.tell(Start(two, 0.1))
        two.tell(Start(one, 0.1))
        async with asyncio.timeout(10):
            said = await one.ask("name", 8.0) + await two.ask("name", 8.0)
        assert "AskCycle" in said

    on_workers(body)


def test_what_is_no_circle_is_left_alone() -> None:
    async def body(system: ac.System) -> None:
        wide = [system.spawn(Wide, place=n) for n in (1, 2)]
        assert await wide[0].ask(Through((wide[1], wide[0])), 10.0) == "--end"
        alone = [system.spawn(Asker, place=n) for n in (1, 2, 1, 2)]
        answers = await asyncio.gather(
            *(a.ask(Through((b, c)), 15.0) for a in alone[:2] for b in wide for c in alone[2:])
        )
        assert set(answers) == {"--end"}

    on_workers(body)


def test_many_that_ask_each_other_never_hang() -> None:
    """Chains in all directions: each ends with an answer or with the name of its circle."""

    async def body(system: ac.System) -> None:
        refs = [system.spawn(Asker, place=1 + n % 2) for n in range(5)]
        chains = [(refs[a], refs[b], refs[c]) for a in range(5) for b in range(5) for c in range(5)]
        async with asyncio.timeout(15):
            outcomes = await asyncio.gather(
                *(first.ask(Through((second, third)), 14.0) for first, second, third in chains),
                return_exceptions=True,
            )
        for outcome in outcomes:
            assert outcome == "--end" or isinstance(outcome, ActiniumError)
        assert not any(isinstance(o, TimeoutError) for o in outcomes)

    on_workers(body)
