"""Orders to all workers: in all of them, or in none."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actinium.cli.serve.crew import Workers
from actinium.cli.serve.hub import (
    Hub,
    Join,
    Joined,
    KeyChanged,
    Members,
    Order,
    Remit,
    Standing,
    Used,
)
from actinium.cli.serve.ledger import Ledger
from actinium.core import Actor, Ref, on
from actinium.errors import ActiniumError, Conflict, ModelNotFound, ModelNotReady
from actinium.inference import Deployment
from actinium.inference.limits.accounts import Line, Totals
from actinium.serve.admin.shapes import Apply, Deployments, Drained, Force
from actinium.serve.admin.usage import Question
from actinium.testkit import TestSystem, run

NOW = (Deployment(name="a"),)
NEXT = (Deployment(name="b"),)
VIEWS = {
    "apply": msgspec.json.encode(Deployments(generation=9, deployments=())),
    "deployments": msgspec.json.encode(Deployments(generation=9, deployments=())),
    "drain": msgspec.json.encode(Drained(name="a", state="closed", cut_off=2)),
    "force": b'{"deployment":"a","state":"open","retry_after":5,"calls":1,"failures":1,"rest":0}',
}


class Member(Actor, concurrent=8):
    """A worker that does what it is told, or refuses it."""

    def __init__(
        self, number: int, hub: Ref, book: list[Any], refuses: ActiniumError | None
    ) -> None:
        self.hub = hub
        self.number = number
        self.book = book
        self.refuses = refuses

    @on(raises=(ActiniumError,))
    async def order(self, m: Order) -> bytes:
        self.book.append((self.number, m.what, m.name, m.body))
        if self.refuses is not None and m.what != "deployments":
            raise self.refuses
        return VIEWS[m.what]

    @on
    def key_changed(self, m: KeyChanged) -> bool:
        self.book.append((self.number, m.id))
        return True

    @on
    async def remit(self, m: Remit) -> bool:
        line = Line(0, "t", "k", "a")
        await self.hub.ask(Used(((line, Totals(requests=1)),)), 5.0)
        return True


def office(
    t: TestSystem, *refuse: ActiniumError | None, drained: str | None = None
) -> tuple[Ref, list[Any]]:
    book: list[Any] = []
    ledger = Ledger(None, ["1", "2"])
    standing = Standing(NOW)
    standing.drained |= {drained} if drained is not None else set()
    hub = t.spawn(Hub, standing, ledger)
    members = [t.spawn(Member, n, hub, book, error) for n, error in enumerate(refuse, 1)]
    hub.tell(Members(tuple(members)))
    return hub, book


def named(book: list[Any]) -> list[tuple[int, list[str]]]:
    return [(n, [d.name for d in msgspec.json.decode(body, type=Apply).deployments])
            for n, what, _, body in book if what == "apply"]  # fmt: skip


def test_what_one_refuses_all_take_back() -> None:
    async def main(t: TestSystem) -> None:
        hub, book = office(t, None, ModelNotReady("it cannot be loaded"), drained="a")
        with pytest.raises(ModelNotReady, match="cannot be loaded"):
            await Workers(hub).apply(Apply(deployments=NEXT))
        assert sorted(named(book)[:2]) == [(1, ["b"]), (2, ["b"])]
        assert named(book)[2:] == [(1, ["a"])], "only who had changed goes back"
        assert book[-1][:3] == (1, "drain", "a"), "what was drained is so again"
        joined: Joined = await hub.ask(Join())
        assert joined.deployments == NOW
        assert (await Workers(hub).deployments()).generation == 1

    run(main)


def test_a_worker_that_comes_later_hears_what_holds() -> None:
    async def main(t: TestSystem) -> None:
        hub, _ = office(t, None, None)
        crew = Workers(hub)
        await crew.apply(Apply(deployments=NEXT, generation=1))
        with pytest.raises(Conflict, match="generation 2, and not 1"):
            await crew.apply(Apply(deployments=NOW, generation=1))
        assert (await crew.drain("b", 0.0)).cut_off == 4
        assert (await crew.force("b", Force(state="open", seconds=50.0))).calls == 2
        joined: Joined = await hub.ask(Join())
        assert joined.deployments == NEXT and joined.drained == ("b",)
        (forced,) = joined.forced
        assert forced.name == "b" and 0 < msgspec.json.decode(forced.body, type=Force).seconds <= 50
        await crew.force("b", Force(state="closed"))
        await crew.apply(Apply(deployments=NEXT))
        joined = await hub.ask(Join())
        assert joined.drained == () and joined.forced == ()

    run(main)


def test_what_does_not_exist_is_told_and_remembered_by_nobody() -> None:
    async def main(t: TestSystem) -> None:
        hub, _ = office(t, ModelNotFound("no x"), ModelNotFound("no x"))
        with pytest.raises(ModelNotFound):
            await Workers(hub).drain("x", 0.0)
        with pytest.raises(ModelNotFound):
            await Workers(hub).force("x", Force(state="open"))
        joined: Joined = await hub.ask(Join())
        assert joined.drained == () and joined.forced == ()

    run(main)


def test_a_dead_worker_does_not_hold_up_the_others() -> None:
    async def main(t: TestSystem) -> None:
        hub, book = office(t, None, RuntimeError("it died"))  # type: ignore[arg-type]
        await Workers(hub).apply(Apply(deployments=NEXT))
        assert (await hub.ask(Join())).deployments == NEXT
        await hub.ask(KeyChanged("1", "k", False))
        assert (2, "k") in book and (1, "k") not in book, "who changed it knows"
        hub, _ = office_of_none(t)
        with pytest.raises(ModelNotReady, match="no worker of the gateway answers"):
            await Workers(hub).breakers()

    run(main)


def office_of_none(t: TestSystem) -> tuple[Ref, list[Any]]:
    return t.spawn(Hub, Standing(NOW), Ledger(None, ["1"])), []


def test_usage_is_asked_of_all_before_it_is_told() -> None:
    async def main(t: TestSystem) -> None:
        hub, _ = office(t, None, None)
        for n in (2, 4):
            (row,) = (await Workers(hub).usage(Question(by="tenant"))).usage
            assert (row.tenant, row.requests) == ("t", n)

    run(main)
