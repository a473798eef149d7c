"""Who waits, who is refused when, and what a waiter is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.errors import EngineOverloaded
from actinium.inference.limits.fair import WEIGHTS, FairQueue, Ticket
from actinium.inference.limits.line import Line, Waiter
from actinium.inference.limits.pace import Pace
from actinium.testkit import VirtualLoop


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(test())


def full(after: float | None) -> Exception:
    error = EngineOverloaded("full")
    error.retry_after = after
    return error


def join(
    line: Line[str], item: str, tenant: str = "", priority: Any = "normal", **more: Any
) -> Ticket[Waiter[str]]:
    wish = {"cost": 1.0, "weight": 1.0, "name": item, **more}
    cost = wish.pop("cost")
    return line.join(item, cost, full, tenant=tenant, priority=priority, **wish)


def test_in_a_full_line_the_lowest_priority_makes_room_first() -> None:
    async def test() -> None:
        line: Line[str] = Line(4)
        first = {p: join(line, p, priority=p) for p in ("background", "low", "normal", "high")}
        for gone in ("background", "low", "normal", "high"):
            join(line, f"after {gone}", priority="critical")
            error = first[gone].item.future.exception()
            assert isinstance(error, EngineOverloaded) and not first[gone].waiting
            assert len(line) == 4
        with pytest.raises(EngineOverloaded):
            join(line, "one too many", priority="critical")
        assert line.shed == 5

    run(test)


def test_of_equals_the_tenant_that_holds_the_most_makes_room() -> None:
    async def test() -> None:
        line: Line[str] = Line(10)
        loud = [join(line, f"loud {n}", "loud") for n in range(10)]
        for n in range(5):
            join(line, f"calm {n}", "calm")
        refused = [t.item.item for t in loud if t.item.future.done()]
        assert refused == ["loud 9", "loud 8", "loud 7", "loud 6", "loud 5"][::-1]
        for tenant in ("loud", "calm"):
            with pytest.raises(EngineOverloaded):
                join(line, "x", tenant)
        join(line, "gold", "gold", weight=3.0)
        for ticket in loud:
            if ticket.item.future.done():
                ticket.item.future.exception()

    run(test)


def test_who_cannot_be_in_time_is_refused_at_once() -> None:
    async def test() -> None:
        line: Line[str] = Line(100)
        for n in range(30):
            join(line, str(n))
        for _ in range(20):  # one a second
            await asyncio.sleep(1)
            ticket = line.next()
            assert ticket is not None
            line.let_in(ticket, None)
        assert len(line) == 10
        with pytest.raises(EngineOverloaded) as caught:
            join(line, "impatient", longest=5.0)
        assert caught.value.retry_after == pytest.approx(11, rel=0.1)
        join(line, "patient", longest=15.0)
        place = line.place("patient")
        assert place is not None and place.ahead == 10
        assert place.seconds == pytest.approx(11, rel=0.1)
        join(line, "urgent", longest=5.0, priority="critical")
        assert line.place("gone") is None

    run(test)


def test_a_pace_counts_what_was_let_in_over_the_time_until_the_next() -> None:
    pace = Pace()
    pace.begin(0.0)
    assert pace.seconds(10) is None
    for minute in range(1, 4):  # sixty at once, each minute
        for _ in range(60):
            pace.let_in(60.0 * minute, 1.0)
    assert pace.seconds(60) == pytest.approx(60)


FLOWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(list(WEIGHTS)), st.integers(1, 20)),
    min_size=1, max_size=30,
)  # fmt: skip


@given(FLOWS, st.integers(0, 29), st.integers(0, 10))
def test_a_place_is_about_right(
    waiting: list[tuple[str, Any, int]], which: int, served: int
) -> None:
    queue: FairQueue[int] = FairQueue()
    tickets = [
        queue.push(n, cost, tenant=tenant, priority=priority)
        for n, (tenant, priority, cost) in enumerate(waiting)
    ]
    for _ in range(min(served, len(waiting) - 1)):
        queue.pop()
    left = [t for t in tickets if t.waiting]
    ticket = left[which % len(left)]
    ahead, cost = queue.before(ticket)
    assert 0 <= ahead < len(left) and 0 <= cost <= queue.cost - ticket.cost + 1e-6
    real, real_cost = 0, 0.0
    while (now := queue.pop()) is not ticket:
        real += 1
        real_cost += now.cost
    flows, bands = len({w[:2] for w in waiting}), len({w[1] for w in waiting})
    if bands == 1:
        assert abs(cost - real_cost) <= 20 * flows, "one request of each flow"
    if flows == 1:
        assert (ahead, cost) == (real, real_cost)


@given(FLOWS)
def test_costs_add_up(waiting: list[tuple[str, Any, int]]) -> None:
    queue: FairQueue[int] = FairQueue()
    tickets = [
        queue.push(n, cost, tenant=tenant, priority=priority)
        for n, (tenant, priority, cost) in enumerate(waiting)
    ]
    for n, ticket in enumerate(tickets):
        if n % 3 == 0:
            queue.remove(ticket)
    assert queue.cost == pytest.approx(sum(t.cost for t in tickets if t.waiting))
    while len(queue):
        queue.pop()
    assert queue.cost == 0
