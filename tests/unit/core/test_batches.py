"""Many messages at once: ``tell_many`` and handlers that take lists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import actinium as ac
from actinium.errors import AskTimeout, NotAMessage, UsageError
from actinium.testkit import TestSystem, run


def virtual(test: Callable[[TestSystem], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test in virtual time."""
    return lambda: run(test)


class Tick(ac.Message):
    n: int


class Other(ac.Message):
    n: int


class Sums(ac.Actor, mailbox=ac.Mailbox(capacity=1000)):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    @ac.on(batch=4)
    def ticks(self, ticks: list[Tick]) -> int:
        self.seen.append([t.n for t in ticks])
        return sum(t.n for t in ticks)

    @ac.on
    def other(self, m: Other) -> None:
        self.seen.append(m.n)


@virtual
async def test_waiting_messages_come_in_lists_up_to_the_limit_and_in_order(t: TestSystem) -> None:
    ref = t.spawn(Sums)
    assert ref.tell_many([Tick(i) for i in range(6)]) == 6
    ref.tell(Other(100))
    ref.tell(Tick(6))
    await t.run_until_idle()
    assert ref.instance.seen == [[0, 1, 2, 3], [4, 5], 100, [6]]
    counts = t.system.statistics()
    assert counts["handled"] == counts["accepted"] == 8


@virtual
async def test_an_ask_comes_alone_and_is_answered(t: TestSystem) -> None:
    ref = t.spawn(Sums)
    ref.tell_many([Tick(1), Tick(2)])
    assert await ref.ask(Tick(40)) == 40
    assert ref.instance.seen == [[1, 2], [40]]


@virtual
async def test_tell_many_takes_any_iterable_and_stops_at_its_error(t: TestSystem) -> None:
    def numbers() -> Iterator[Tick]:
        yield Tick(1)
        yield Tick(2)
        raise KeyError("no more")

    ref = t.spawn(Sums)
    assert ref.tell_many(Tick(i) for i in range(3)) == 3
    with pytest.raises(KeyError):
        ref.tell_many(numbers())
    with pytest.raises(NotAMessage):
        ref.tell_many([Tick(3), [4], Tick(5)])
    with pytest.raises(TypeError):
        ref.tell_many(7)  # type: ignore[arg-type]
    await t.run_until_idle()
    assert [n for batch in ref.instance.seen for n in batch] == [0, 1, 2, 1, 2, 3]


@virtual
async def test_what_a_full_mailbox_refuses_of_many_becomes_dead_letters(t: TestSystem) -> None:
    ref = t.spawn(Sums, mailbox=ac.Mailbox(capacity=2))
    assert ref.tell_many([Tick(i) for i in range(5)]) == 2
    assert [d.message.n for d in t.system.dead_letters] == [2, 3, 4]
    old = t.spawn(Sums, mailbox=ac.Mailbox(capacity=2, on_full="drop_old"))
    assert old.tell_many(Tick(i) for i in range(5)) == 5
    await t.run_until_idle()
    assert old.instance.seen == [[3, 4]]


@virtual
async def test_a_stopped_actor_takes_none_of_many(t: TestSystem) -> None:
    ref = t.spawn(Sums)
    ref.stop()
    await t.run_until_idle()
    assert ref.tell_many([Tick(1), Tick(2)]) == 0
    assert len(list(t.system.dead_letters)) == 2


class Fails(ac.Actor):
    @ac.on(batch=8)
    def ticks(self, ticks: list[Tick]) -> None:
        done = ticks.pop(0)
        raise RuntimeError(f"after {done.n}")


@virtual
async def test_a_failed_batch_loses_nothing(
    t: TestSystem,
) -> None:
    ref = t.spawn(Fails)
    ref.tell_many([Tick(i) for i in range(3)])
    await t.run_until_idle()
    assert [d.message.n for d in t.system.dead_letters] == [1, 2]
    assert {d.reason for d in t.system.dead_letters} == {"handler_failed"}
    counts = t.system.statistics()
    assert (counts["handled"], counts["dead_lettered"]) == (1, 2)
    assert ref.incarnation == 1


class Slow(ac.Actor):
    def __init__(self) -> None:
        self.got: list[int] = []

    @ac.on(batch=3)
    async def ticks(self, ticks: list[Tick]) -> int:
        await asyncio.sleep(1)
        self.got += [t.n for t in ticks]
        return len(ticks)


@virtual
async def test_async_batches_one_at_a_time(t: TestSystem) -> None:
    ref = t.spawn(Slow)
    ref.tell_many([Tick(i) for i in range(5)])
    await t.advance(1.5)
    assert ref.instance.got == [0, 1, 2]
    await t.advance(1.5)
    assert ref.instance.got == [0, 1, 2, 3, 4]
    assert t.system.statistics()["handled"] == 5
    with pytest.raises(AskTimeout):
        await ref.ask(Tick(9), 0.5)


@virtual
async def test_a_batch_cut_short_by_kill_becomes_dead_letters(t: TestSystem) -> None:
    ref = t.spawn(Slow)
    ref.tell_many([Tick(i) for i in range(5)])
    await t.advance(0.5)
    ref.kill()
    report = await t.shutdown()
    assert report.lost == 0
    assert report.handled + report.dead_lettered == report.accepted


@virtual
async def test_senders_waiting_for_room_are_all_told_when_a_batch_frees_it(t: TestSystem) -> None:
    ref = t.spawn(Sums, mailbox=ac.Mailbox(capacity=4, on_full="block"))
    ref.tell_many([Tick(i) for i in range(4)])
    await asyncio.gather(*(ref.send(Tick(10 + i)) for i in range(4)))
    await t.run_until_idle()
    assert sum(len(b) for b in ref.instance.seen) == 8


def test_bad_batches_are_refused_at_class_creation() -> None:
    with pytest.raises(UsageError, match=r"list\[MessageType\]"):

        class A(ac.Actor):
            @ac.on(batch=2)
            def go(self, m: Tick) -> None: ...

    with pytest.raises(UsageError, match="stream"):

        class B(ac.Actor):
            @ac.on(batch=2)
            async def go(self, m: list[Tick]) -> Any:
                yield 1

    with pytest.raises(UsageError, match="65535"):
        ac.on(batch=-1)
