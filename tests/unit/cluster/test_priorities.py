"""Priorities and deadlines between processes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from linked import Pair
from test_workers import on_workers
from worker_actors import Get, Lanes, Saboteur

import actinium as ac
from actinium.cluster.letter import Letter
from actinium.cluster.waiting import WEIGHTS, Queue, Waiting
from actinium.errors import AskTimeout, DeadlineExceeded
from actinium.wire import Packed


def waiting(lane: int, number: int) -> Waiting:
    letter = Letter(None, None, number, None, None, None, lane)  # type: ignore[arg-type]
    return Waiting(lambda: number, Packed("", b"12"), letter)


@given(st.lists(st.integers(0, 3), max_size=200), st.data())
def test_SC_3_lanes_leave_by_weight_and_each_in_order(lanes: list[int], data: Any) -> None:
    queue = Queue()
    for number, lane in enumerate(lanes):
        queue.put(waiting(lane, number))
    assert (len(queue), queue.bytes) == (len(lanes), 2 * len(lanes))
    got: list[tuple[int, int]] = []
    end_at = data.draw(st.integers(0, len(lanes)))
    ended: list[int] = []
    for _ in range(end_at):
        message = queue.pop()
        got.append((message.letter.lane, message.letter.msg))
    queue.after_all(lambda: ended.append(len(got)))
    queue.put(waiting(0, 10_000))
    while len(queue):
        queue.ends_due()
        message = queue.pop()
        got.append((message.letter.lane, message.letter.msg))
    queue.ends_due()
    assert len(ended) == 1 and ended[0] >= len(lanes), "an end is after all that waited before it"
    for lane in range(4):
        numbers = [n for at, n in got if at == lane]
        assert numbers == sorted(numbers), "MS-2: each lane is first in, first out"
    waited = {lane: lanes.count(lane) for lane in range(4)}
    for lane in range(4):
        longest = run = 0
        for at, _ in got:
            if not waited[lane]:
                break
            run = 0 if at == lane else run + 1
            waited[lane] -= at == lane
            longest = max(longest, run)
        assert longest <= 2 * sum(WEIGHTS), "nobody starves"


def test_what_waits_for_credit_leaves_by_priority() -> None:
    async def main() -> None:
        pair = Pair()
        a, b = pair.ends
        b.full = True  # it gives no credit back
        for number in range(16_384):
            a.post(number)
        pair.settle()
        for number in range(100, 200):
            a.link.wait(waiting_post(number, 3))
        for number in range(200, 210):
            a.link.wait(waiting_post(number, 0))
        b.took.clear()
        b.full = False
        b.link.acknowledge()
        pair.settle()
        order = [to for to, _, _ in b.took]
        assert sorted(order) == list(range(100, 210))
        assert order[:10] == [*range(200, 208), 100, 208], "8 to 1, from the highest on"
        b.link._grant_is_late = False

    asyncio.run(main())


def waiting_post(number: int, lane: int) -> Waiting:
    import msgspec

    from actinium.cluster import entries as e

    letter = Letter(None, None, number, None, None, None, lane)  # type: ignore[arg-type]
    body = msgspec.msgpack.encode(number)
    entry = e.Post(number, 0, 0, msgspec.Raw(body), [], None, lane)
    return Waiting(lambda: entry, Packed("int", body), letter)


def test_a_priority_crosses() -> None:
    async def body(system: ac.System) -> None:
        lanes = system.spawn(Lanes)
        assert await lanes.ask("seen") == ()
        lanes.tell(0.2)  # holds its process, so that all the others wait in the mailbox
        for number in range(4):
            lanes.tell(number, priority="low")
        for number in range(4, 8):
            lanes.tell(number)
        lanes.tell(8, priority="critical")
        asked = lanes.ask(9, 10.0, priority="critical")  # type: ignore[call-arg]
        assert await asked == 9
        await system.idle()
        seen = await lanes.ask("seen")
        assert seen[:2] == (8, 9) and seen[-1] == 3

    on_workers(body, 1)


def test_MS_4_time_on_the_way_counts() -> None:
    """A deadline that passes while the message lies in the socket of a busy process."""

    async def body(system: ac.System) -> None:
        busy = system.spawn(Saboteur, place=1)
        other = system.spawn(Saboteur, place=1)
        assert await other.ask(Get()) == 0
        busy.tell(0.4)
        await asyncio.sleep(0.05)  # it blocks its loop by now: what comes lies in the socket
        other.tell(7, deadline=0.1)
        other.tell(8, deadline=5.0)
        with pytest.raises((AskTimeout, DeadlineExceeded)):
            await other.ask(9, 0.1)
        assert await other.ask("seen") == (8,)

    report = on_workers(body, 1)
    assert report.dead_lettered >= 1 and report.lost == 0


def test_only_a_time_that_was_named_makes_an_ask_urgent_elsewhere() -> None:
    async def body(system: ac.System) -> None:
        one = system.spawn(Saboteur)
        assert await one.ask("urgent") is False
        assert await one.ask("urgent", 2.0) is True
        assert await one.ask("urgent", 60.0) is False

    on_workers(body, 1)
