"""Pressure, admission and memory: what senders hear, and what is let in (MB-4, SL-2)."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import (
    Actor,
    Admission,
    Mailbox,
    Message,
    Pressure,
    PressureEvent,
    Settings,
    Unbounded,
    Unchecked,
    on,
)
from actinium.errors import (
    ConfigError,
    MemoryLimit,
    MessageTooLarge,
    NotAccepted,
    RateExceeded,
)
from actinium.testkit import TestSystem

law = settings(max_examples=60, deadline=None, derandomize=True)


class Go(Message):
    n: int = 1


class Flood(Message):
    n: int
    size: int


class Worker(Actor):
    """Takes one message in 10 ms."""

    def __init__(self) -> None:
        self.done = 0

    @on
    async def work(self, m: int) -> None:
        await asyncio.sleep(0.01)
        self.done += 1

    @on
    async def data(self, m: bytes) -> int:
        await asyncio.sleep(0.01)
        return len(m)

    @on
    async def text(self, m: str) -> None:
        await asyncio.sleep(0.01)


class Sender(Actor, mailbox=Unbounded()):
    def __init__(self, target: Any) -> None:
        self.target = target
        self.heard: list[tuple[float, Pressure]] = []
        self.puts: list[Any] = []

    @on
    def go(self, m: Go) -> None:
        self.puts += [self.target.tell(1) for _ in range(m.n)]

    @on
    def flood(self, m: Flood) -> None:
        self.puts += [self.target.tell(bytes(m.size)) for _ in range(m.n)]

    @on
    def pressure(self, m: Pressure) -> None:
        self.heard.append((self.ctx.system.now(), m))


class Deaf(Actor):
    def __init__(self, target: Any) -> None:
        self.target = target

    @on
    def go(self, m: Go) -> None:
        for _ in range(m.n):
            self.target.tell(1)


def test_MB_4_a_sender_hears_of_each_state_in_the_order_of_the_table() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker, mailbox=Mailbox(100))
        sender = t.spawn(Sender, worker)
        deaf = t.spawn(Deaf, worker)
        sender.tell(Go(81))
        deaf.tell(Go(1))
        await t.run_until_idle()
        await t.advance(0.5)
        heard = [p for _, p in sender.instance.heard]
        assert [p.state for p in heard] == ["soft", "normal"], "MB-4"
        assert [p.seq for p in heard] == [1, 2]
        assert heard[0].target == worker and heard[0].capacity == 100
        assert heard[0].retry_after > 0.0 == heard[1].retry_after
        sender.tell(Go(150))
        await t.advance(2.0)
        states = [p.state for _, p in sender.instance.heard[2:]]
        assert states == ["soft", "recovering", "normal"], f"MB-4: {states}"
        assert sender.instance.puts[-1].retry_after > 0.0
        assert len(t.system.dead_letters.find(reason="unhandled")) == 0

    testkit.run(test)


def test_MB_4_a_load_that_swings_around_the_high_mark_gives_10_signals_a_second_at_most() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker, mailbox=Mailbox(10, high=0.8, low=0.7))
        sender = t.spawn(Sender, worker)
        for _ in range(500):  # 5 s, up and down around 8 of 10
            sender.tell(Go(3 if worker.depth <= 6 else 1 if worker.depth < 10 else 0))
            await t.advance(0.01)
        heard = [at for at, _ in sender.instance.heard]
        assert len(heard) > 10
        for start in heard:
            assert sum(start <= at < start + 1.0 for at in heard) <= 10, "MB-4"
        states = [p.state for _, p in sender.instance.heard]
        assert all(a != b for a, b in itertools.pairwise(states)), "MB-4: a change each"

    testkit.run(test)


def test_MB_4_a_sender_that_honours_retry_after_loses_nothing_and_keeps_the_worker_busy() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker, mailbox=Mailbox(20))
        began, sent = t.now(), 0
        while t.now() < began + 20.0:
            put = worker.tell(1)
            assert put.ok, "a sender that honours retry_after is never refused"
            sent += 1
            await t.run_until_idle()
            if put.retry_after:
                await t.advance(put.retry_after)
        assert worker.instance.done >= 0.95 * 20.0 / 0.01
        assert len(t.system.dead_letters) == 0

    testkit.run(test)


def test_a_put_says_how_full_it_is_from_the_high_mark_on() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker, mailbox=Mailbox(5, "signal"))
        puts = [worker.tell(1) for _ in range(12)]
        assert [p.pressure for p in puts[:4]] == [0.0, 0.0, 0.0, 0.8]
        assert puts[9].ok and puts[9].pressure == 2.0 and puts[9].retry_after > 0
        assert [p.code for p in puts[10:]] == ["rejected", "rejected"], "MB-1: twice its capacity"

    testkit.run(test)


def test_pressure_is_an_event_for_whoever_watches() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[PressureEvent] = []
        t.system.events.subscribe(PressureEvent, seen.append)
        worker = t.spawn(Worker, mailbox=Mailbox(10))
        for _ in range(9):
            worker.tell(1)
        await t.advance(1.0)
        assert [e.state for e in seen] == ["soft", "normal"]
        assert seen[0].ref == worker and seen[0].depth >= 8

    testkit.run(test)


@law
@given(
    st.sampled_from(["10/s", "3/s", "90/m", "7200/h"]),
    st.integers(1, 6),
    st.lists(st.integers(0, 400), min_size=1, max_size=60),
    st.booleans(),
)
def test_a_rate_never_admits_more_than_rate_times_t_plus_burst(
    rate: str, burst: int, gaps: list[int], per_sender: bool
) -> None:
    from actinium.core.admission import per_second

    async def test(t: TestSystem) -> None:
        admission = Admission(rate=rate, burst=burst, per="sender" if per_sender else "actor")
        ref = t.spawn(Worker, mailbox=Unbounded(admission=admission))
        granted: list[float] = []
        refused = 0
        for gap in gaps:
            await t.advance(gap / 1000)
            put = ref.tell(1)
            if put.ok:
                granted.append(t.now())
                continue
            refused += 1
            assert put.code == "rate_limited" and put.retry_after > 0
            assert ref.try_tell(1).code == "rate_limited", "asking takes no token"
        for i, start in enumerate(granted):
            for n, end in enumerate(granted[i:], 1):
                assert n <= (end - start) * per_second(rate) + burst + 1e-6
        assert len(granted) + refused == len(gaps)
        assert len(t.system.dead_letters.find(reason="rate_limited")) == refused

    testkit.run(test)


def test_the_retry_after_of_a_rate_is_exact_and_send_waits_for_it() -> None:
    async def test(t: TestSystem) -> None:
        ref = t.spawn(Worker, mailbox=Mailbox(admission=Admission(rate="4/s", burst=1)))
        assert ref.tell(1).ok
        put = ref.tell(2)
        assert put.retry_after == pytest.approx(0.25, abs=1e-6)
        with pytest.raises(RateExceeded) as refused:
            await ref.ask(3)
        assert refused.value.retry_after == pytest.approx(0.25, abs=1e-6)
        await t.advance(put.retry_after - 1e-3)
        assert not ref.try_tell(2).ok
        began = t.now()
        assert (await ref.send(2)).ok
        assert (await ref.send(3)).ok
        assert t.now() - began == pytest.approx(0.251, abs=1e-3)
        with pytest.raises(RateExceeded):
            await ref.send(4, timeout=0.1)

    testkit.run(test)


def test_each_sender_has_a_rate_of_its_own() -> None:
    async def test(t: TestSystem) -> None:
        admission = Admission(rate="1/s", burst=2, per="sender")
        ref = t.spawn(Worker, mailbox=Mailbox(admission=admission))
        senders = [t.spawn(Sender, ref) for _ in range(3)]
        for sender in senders:
            sender.tell(Go(5))
        await t.run_until_idle()
        for sender in senders:
            assert [p.ok for p in sender.instance.puts] == [True, True, False, False, False]

    testkit.run(test)


def test_the_accept_list_and_the_largest_size() -> None:
    async def test(t: TestSystem) -> None:
        friend = t.spawn(Sender, None)
        admission = Admission(accept=(int, bytes), senders=frozenset((friend, None)), max_size=10)
        ref = t.spawn(Worker, mailbox=Mailbox(admission=admission))
        stranger = t.spawn(Sender, ref)
        assert ref.tell(1).ok and ref.tell(bytes(10)).ok
        assert ref.tell("text").code == "not_accepted"
        assert ref.tell(bytes(11)).code == "too_large"
        stranger.tell(Go())
        await t.run_until_idle()
        assert [p.code for p in stranger.instance.puts] == ["not_accepted"]
        with pytest.raises(NotAccepted):
            await ref.ask("text")
        with pytest.raises(MessageTooLarge, match="10 bytes"):
            await ref.send(bytes(11))
        reasons = [x.reason for x in t.system.dead_letters]
        assert sorted(reasons) == ["not_accepted", "not_accepted", "too_large"]

    testkit.run(test)


def test_wrong_settings_say_what_is_right() -> None:
    for make, text in (
        (lambda: Admission(rate="fast"), "a number above 0 per s, m or h"),
        (lambda: Admission(burst=3), "needs a rate beside it"),
        (lambda: Mailbox(on_full="drop_low"), "lanes=4"),
        (lambda: Mailbox(on_full="overflow"), "belong together"),
        (lambda: Mailbox(overflow=5), "belong together"),
        (lambda: Mailbox(high=0.5, low=0.5), "0 <= low < high <= 1"),
        (lambda: Mailbox(max_bytes=-1), "max_bytes"),
    ):
        with pytest.raises(ConfigError, match=text):
            make()


def test_SL_2_at_the_memory_limit_payload_is_refused_and_the_runtime_goes_on() -> None:
    async def test(t: TestSystem) -> None:
        levels: list[str] = []
        t.system.memory.on_change(levels.append)
        workers = [t.spawn(Worker, mailbox=Unbounded()) for _ in range(4)]
        sender = t.spawn(Sender, workers[0])
        watcher = t.spawn(Sender, None)
        puts = [workers[n % 4].tell(bytes(1000)) for n in range(200)]
        codes = {p.code for p in puts}
        assert codes == {"accepted", "memory_limit"}, "SL-2: refusals only"
        assert levels == ["elevated", "high", "critical"]
        report = t.system.memory.report()
        assert report.used <= report.limit and report.level == "critical"
        assert sum(w.pressure()[2] for w in workers) == report.payload, "SL-1: sums"
        with pytest.raises(MemoryLimit):
            await workers[0].ask(b"x")
        assert workers[0].tell(1).ok, "what holds no payload still comes"
        letter = t.system.dead_letters.find(reason="memory_limit")[0]
        assert letter.kept == "meta" and letter.message is None
        sender.tell(Go())
        watcher.instance.ctx.watch(workers[1])
        workers[1].kill()
        await workers[1].stopped()
        again = t.spawn(Worker)
        again.tell(1)
        await t.advance(5.0)
        assert levels[-1] == "normal"
        assert t.system.memory.report().used == 0
        assert workers[0].tell(b"x").ok
        assert again.instance.done == 1

    testkit.run(test, settings=Settings(memory_limit=100_000))


def test_SL_2_senders_hear_that_memory_is_short_and_that_it_is_not() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker, mailbox=Unbounded())
        sender = t.spawn(Sender, worker)
        sender.tell(Flood(20, 1000))
        await t.advance(3.0)
        heard = [(p.state, p.reason) for _, p in sender.instance.heard]
        assert heard == [("hard", "memory"), ("normal", "items")]

    testkit.run(test, settings=Settings(memory_limit=10_000))


def test_what_others_account_for_counts_too() -> None:
    async def test(t: TestSystem) -> None:
        memory = t.system.memory
        memory.account("network", 70_000)
        assert memory.level == "elevated"
        assert memory.report().regions["network"] == 70_000
        memory.account("network", -70_000)
        assert memory.level == "normal"
        ref = t.spawn(Worker)
        ref.tell(bytes(500))
        assert memory.report().payload == 500

        def broken(level: str) -> None:
            raise ValueError(level)

        memory.on_change(broken)
        memory.account("cache", 99_000)
        assert not ref.tell(b"more").ok
        ref.tell(Unchecked(1))

    testkit.run(test, settings=Settings(memory_limit=100_000))
