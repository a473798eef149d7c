"""The compiled host end over a CPU launch: asks, tells, faults, and a device that is not there."""

from __future__ import annotations

import asyncio
import os
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from gpu_launch import PROGRAM_HASH, Launch, Unanswered, region_of
from gpu_samples import Add, Counter, Read
from hypothesis import given
from hypothesis import strategies as st

from actinium import gpu
from actinium._native import RingEnd, RingPoller
from actinium.errors import (
    BadMagic,
    LayoutError,
    LayoutMismatch,
    RegionCorrupt,
    RingOwned,
    TooManyInFlight,
    UsageError,
)
from actinium.gpu.abi.geometry import Geometry
from actinium.gpu.abi.lines import CONFIG
from actinium.gpu.abi.words import Command, Flag, Reason, State, Status, handle
from actinium.gpu.layout.plan import plan_of

PROGRAM = gpu.compile(Counter)


@pytest.fixture
def launch() -> Iterator[Launch]:
    made = Launch(PROGRAM)
    yield made
    made.close()


@pytest.fixture
def dead() -> Iterator[Launch]:
    """A region that no kernel serves."""
    made = Launch(PROGRAM, run=False, capacity=16)
    yield made
    made.close()


def reason(event: Any) -> Reason:
    assert event[0] & Flag.BOUNCED
    return Reason(event[0] >> 10 & 15)


def test_tells_and_asks_reach_the_actor_in_order(launch: Launch) -> None:
    one = launch.spawn()
    for n in range(20):
        assert launch.tell(one, Add(n))
    got: list[Any] = []
    assert launch.ask(one, Add(0), got.append)
    launch.until(lambda: bool(got))
    assert got == [190]
    assert launch.ask_sync(one, Add(1, 3)) == 191
    assert launch.ask_sync(one, Read(3)) == 1
    assert launch.end.stats()["in_flight"] == 0


def test_what_does_not_fit_its_field_is_refused_and_nothing_is_sent(launch: Launch) -> None:
    one = launch.spawn()
    before = launch.end.stats()["put"]
    with pytest.raises(LayoutError, match=r"Add.who is u32: expected 0..4294967295, got -1"):
        launch.tell(one, Add(1, -1))
    with pytest.raises(LayoutError, match=r"Add.amount is i64: expected a number, got 'x'"):
        launch.ask(one, Add("x"), print)  # type: ignore[arg-type]
    assert launch.end.stats()["put"] == before
    assert launch.end.stats()["in_flight"] == 0


def test_a_future_is_answered_and_a_cancelled_one_is_left_alone(launch: Launch) -> None:
    one = launch.spawn()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()
        launch.ask(one, Add(1), first)
        launch.ask(one, Add(2), second)
        second.cancel()
        launch.until(lambda: launch.end.stats()["in_flight"] == 0)
        assert await first == 1
        assert second.cancelled()

    asyncio.run(main())


def test_a_fault_comes_with_its_waiter_then_the_message_itself(launch: Launch) -> None:
    one = launch.spawn()
    got: list[Any] = []
    waiter = got.append
    corr = launch.ask(one, Add(-1, 9), waiter)
    launch.until(lambda: len(launch.events) == 2)
    fault, failing = launch.events
    assert fault[:5] == (Flag.REPLY | Flag.ERROR, 0x0110, one, corr, waiter)
    assert struct.unpack("<III", fault[5])[0] == Status.FAULT
    assert PROGRAM.sites[struct.unpack("<III", fault[5])[1] - 1][0] == "assert"
    assert reason(failing) is Reason.FAILED
    assert launch.plans[Add].unpack(failing[5]) == Add(-1, 9)
    assert got == [] and launch.end.stats()["in_flight"] == 0


def test_a_message_to_a_failed_actor_comes_back_and_is_sent_again_with_its_number(
    launch: Launch,
) -> None:
    one = launch.spawn()
    got: list[Any] = []
    launch.tell(one, Add(-1))
    corr = launch.ask(one, Add(5), got.append)
    launch.until(lambda: len(launch.events) == 3)
    back = launch.events[2]
    assert reason(back) is Reason.SUSPENDED and back[3] == corr and back[4] is None
    again = handle(0, 2)
    assert launch.command(Command.RESET, again)[0] == Status.OK
    assert launch.end.put(back[1], again, back[5], corr=back[3]) == corr
    launch.until(lambda: bool(got))
    assert got == [5]


def test_resume_keeps_the_state(launch: Launch) -> None:
    one = launch.spawn()
    launch.tell(one, Add(3))
    launch.tell(one, Add(-1))
    assert launch.command(Command.RESUME, one)[0] == Status.OK
    assert launch.ask_sync(one, Add(1)) == 4


def test_ask_sync_raises_what_failed_says(launch: Launch) -> None:
    one = launch.spawn()
    with pytest.raises(Unanswered) as raised:
        launch.ask_sync(one, Add(-1))
    assert raised.value.args[0][0] == Flag.REPLY | Flag.ERROR
    with pytest.raises(Unanswered) as raised:
        launch.ask_sync(handle(0, 9), Add(1))
    assert reason(raised.value.args[0]) is Reason.STALE
    events = launch.end.poll()
    assert [e[0] & Flag.ERROR for e in events][:1] == [Flag.ERROR]  # for its supervisor


def test_a_reply_after_the_timeout_is_counted_and_dropped(dead: Launch) -> None:
    with pytest.raises(Unanswered, match="timeout"):
        dead.ask_sync(handle(0, 1), Add(1), 0.0)
    got: list[Any] = []
    corr = dead.ask(handle(0, 1), Add(1), got.append)
    assert dead.end.forget(corr) == got.append
    assert dead.end.forget(corr) is None
    dead.executor.start()
    dead.until(lambda: dead.end.stats()["taken"] == 2)  # both bounce: there is no actor
    one = dead.spawn()
    corr = dead.ask(one, Add(1), got.append)
    dead.end.forget(corr)
    dead.until(lambda: dead.end.stats()["late"] == 1)
    assert got == [] and dead.ask_sync(one, Add(1)) == 2


def test_rg_3_a_full_ring_takes_no_more_and_loses_nothing(dead: Launch) -> None:
    one = handle(0, 1)
    assert dead.end.put(Command.SPAWN, one) == -1
    told = 0
    while dead.tell(one, Add(1)):
        told += 1
    assert told == 15 and dead.end.room == 0
    assert dead.ask(one, Add(1), print) == 0
    assert dead.end.put(Command.PING, 0) == 0
    with pytest.raises(Unanswered, match="full"):
        dead.ask_sync(one, Add(1), 0.0)
    assert dead.end.tell_many(one, dead.plans[Add], [Add(1)], timeout=0.0) == 0
    assert [e[1] for e in dead.end.unread()] == [Command.SPAWN, *[0x0110] * 15]
    dead.executor.start()
    assert dead.ask_sync(one, Add(1)) == 16


def test_too_many_asks_in_flight_are_refused() -> None:
    launch = Launch(PROGRAM, run=False, capacity=65_536, in_bytes=24, out_bytes=24)
    try:
        for _ in range(65_536):
            assert launch.ask(1, Add(1), print)
        launch.executor.start()
        launch.until(lambda: launch.end.room > 0)  # all bounce, and keep their numbers
        with pytest.raises(TooManyInFlight, match="65536 asks of block 0"):
            launch.ask(1, Add(1), print)
        assert len(launch.end.close()) == 65_536
    finally:
        launch.close()


def test_tell_many_takes_packed_records_and_messages(launch: Launch) -> None:
    one = launch.spawn()
    plan = launch.plans[Add]
    packed = b"".join(plan.pack(Add(n)) for n in range(3000))
    assert launch.end.tell_many(one, plan, packed) == 3000
    assert launch.end.tell_many(one, plan, (Add(n) for n in range(500))) == 500
    assert launch.ask_sync(one, Add(0)) == sum(range(3000)) + sum(range(500))
    with pytest.raises(ValueError, match="packed messages of 16 bytes each, got 17"):
        launch.end.tell_many(one, plan, bytes(17))
    with pytest.raises(LayoutError):
        launch.end.tell_many(one, plan, [Add(1), Add(1, -1), Add(1)])
    assert launch.ask_sync(one, Read(0)) >= 1


def test_tell_many_ends_early_when_the_block_has_ended(dead: Launch) -> None:
    at = dead.geometry.dev_block(0) + 4
    dead.region[at : at + 4] = struct.pack("<I", State.ORPHANED)
    assert dead.end.tell_many(1, dead.plans[Add], bytes(16 * 100)) == 16
    with pytest.raises(Unanswered, match="ended"):
        dead.ask_sync(1, Add(1))


def test_a_thread_that_waits_leaves_other_answers_to_the_poll(launch: Launch) -> None:
    one = launch.spawn()
    threads: list[int] = []
    for _ in range(10):
        launch.ask(one, Add(1), lambda _: threads.append(threading.get_ident()))
    asker = threading.Thread(target=lambda: launch.ask_sync(one, Add(1)))
    asker.start()
    asker.join()
    launch.until(lambda: len(threads) == 10)
    assert set(threads) == {threading.get_ident()}


def test_several_threads_ask_at_once(launch: Launch) -> None:
    one = launch.spawn()
    totals: list[int] = []

    def work() -> None:
        totals.extend(launch.ask_sync(one, Add(1)) for _ in range(200))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(totals) == list(range(1, 801))


def test_a_sender_travels_with_its_message_and_comes_back_with_it(launch: Launch) -> None:
    launch.end.tell(handle(3, 1), launch.plans[Add], Add(4), 0xABCDEF0123)
    launch.until(lambda: bool(launch.events))
    back = launch.events[0]
    assert back[0] & Flag.SENDER and reason(back) is Reason.NO_ACTOR
    assert back[5] == struct.pack("<Q", 0xABCDEF0123) + launch.plans[Add].pack(Add(4))


def test_a_block_has_one_host_end(launch: Launch) -> None:
    with pytest.raises(RingOwned, match="block 0 of this region has a host end already"):
        launch.attach()
    launch.end.close()
    launch.end = launch.attach()
    with pytest.raises(IndexError):
        launch.attach(1)


def test_a_closed_end_says_so(launch: Launch) -> None:
    end = launch.end
    got: list[Any] = []
    corr = end.put(77, 0, waiter=got.append)
    assert end.close() == [(corr, got.append)]
    for use in (end.poll, end.unread, end.stats, lambda: end.put(1, 0), lambda: end.room):
        with pytest.raises(UsageError, match="was closed"):
            use()
    assert end.close() == []


def attach(region: Any, program: int = PROGRAM_HASH) -> RingEnd:
    return RingEnd(region, 0, program, {}, print)


def test_ly_3_a_region_of_another_program_is_refused() -> None:
    g = Geometry(8, 1, 1, 16, 8, 8, 8)
    with pytest.raises(LayoutMismatch, match=r"ac_config.program.*7, got 8"):
        attach(region_of(g))


def test_what_is_no_region_is_refused() -> None:
    with pytest.raises(BadMagic):
        attach(bytearray(8192))
    with pytest.raises(RegionCorrupt, match="has 10 bytes"):
        attach(bytearray(10))
    with pytest.raises(BufferError):
        attach(bytes(8192))


NUMBERS = [field for field in CONFIG.fields if field.name != "rest"]


@given(st.sampled_from(NUMBERS), st.binary(min_size=8, max_size=8))
def test_an_attached_region_has_every_number_within_bounds(field: Any, data: bytes) -> None:
    """Whatever a number of the configuration is changed to, nothing outside is touched."""
    g = Geometry(PROGRAM_HASH, 2, 3, 16, 40, 40, 100)
    region = region_of(g)
    region[field.offset : field.offset + field.type.size] = data[: field.type.size]
    try:
        end = attach(region)
    except (RegionCorrupt, LayoutMismatch):
        return
    end.put(Command.PING, 0)
    assert end.poll() == []
    end.unread()
    end.close()


@given(st.randoms(use_true_random=False), st.booleans())
def test_random_bytes_from_a_device_never_reach_beyond_the_region(rng: Any, stamped: bool) -> None:
    g = Geometry(PROGRAM_HASH, 1, 1, 16, 200, 200, 8, stamped=stamped)
    region = region_of(g)
    plan = plan_of(gpu.record_of(Add), 0x0110)
    end = RingEnd(region, 0, PROGRAM_HASH, {0x0110: plan}, print)
    for n in range(8):
        at = g.k2h(0) + n * g.out_slot
        slot = bytearray(rng.randbytes(g.out_slot))
        if rng.random() < 0.5:
            slot[0:2] = struct.pack("<H", 0x0110)
        for chunk in range(0, g.out_slot, 16):
            slot[chunk + 12 : chunk + 16] = struct.pack("<I", n + 1)
        region[at : at + g.out_slot] = bytes(slot)
    at = g.dev_block(0)
    region[at : at + 64] = rng.randbytes(64)
    for event in end.poll():
        assert len(event[5]) <= g.out_slot
    assert 0 <= end.room <= 16
    assert end.stats()["taken"] == 8
    end.unread()
    end.close()


def test_one_wake_of_the_poller_answers_many(launch: Launch) -> None:
    asyncio.run(one_wake(launch, launch.spawn()))


async def one_wake(launch: Launch, one: int) -> None:
    fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    poller = RingPoller(fd)
    poller.add(launch.end)
    loop = asyncio.get_running_loop()
    wakes = 0

    def wake() -> None:
        nonlocal wakes
        wakes += 1
        for end, events in poller.drain():
            assert end is launch.end and not events

    loop.add_reader(fd, wake)
    try:
        for _ in range(5):
            futures = [loop.create_future() for _ in range(60)]
            for future in futures:
                assert launch.ask(one, Add(1), future)
            await asyncio.gather(*futures)
        assert futures[-1].result() == 300
        assert wakes == poller.wakes
    finally:
        loop.remove_reader(fd)
        poller.remove(launch.end)
        poller.stop()
        os.close(fd)


def test_the_poller_keeps_the_heartbeat_and_lets_go() -> None:
    launch = Launch(PROGRAM, orphan_ns=200_000_000)
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    poller = RingPoller(fd)
    poller.add(launch.end)
    with pytest.raises(UsageError, match="watched already"):
        poller.add(launch.end)
    assert not launch.executor.ended(0.5)  # longer than its lease
    launch.end.close()
    poller.stop()
    with pytest.raises(UsageError, match="was closed"):
        poller.add(launch.end)
    assert launch.executor.ended(5)
    os.close(fd)
