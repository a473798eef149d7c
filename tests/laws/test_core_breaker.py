"""The breaker is its table: every program of 12 steps, in virtual time (BR-1)."""

from __future__ import annotations

import random

import pytest

from actinium.core import Breaker, BreakerCall
from actinium.errors import CircuitOpen, ConfigError

OPEN, WINDOW, PROBES, SUCCESSES, FAILURES = 10.0, 30.0, 2, 2, 2


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Even(random.Random):
    """No jitter."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


class Model:
    """The breaker said in one table, without a clock of its own."""

    def __init__(self) -> None:
        self.state, self.wait, self.length = "closed", 0.0, OPEN
        self.ended: list[tuple[float, bool]] = []
        self.probes = self.good = 0
        self.era = 0

    def enter(self, state: str) -> None:
        self.state, self.ended, self.probes, self.good = state, [], 0, 0
        self.era += 1

    def tick(self, now: float) -> None:
        if self.state == "open" and now >= self.wait:
            self.enter("half_open")

    def admit(self, now: float) -> int | None:
        self.tick(now)
        if self.state == "open" or (self.state == "half_open" and self.probes >= PROBES):
            return None
        self.probes += 1
        return self.era

    def end(self, now: float, era: int, outcome: str) -> None:
        if era != self.era:
            return
        self.probes -= 1
        if outcome == "neutral":
            return
        if self.state == "half_open":
            if outcome == "failure":
                self.length = min(300.0, 2 * self.length)
                self.enter("open")
                self.wait = now + self.length
            else:
                self.good += 1
                if self.good == SUCCESSES:
                    self.length = OPEN
                    self.enter("closed")
            return
        self.ended = [x for x in self.ended if x[0] > now - WINDOW]
        self.ended.append((now, outcome == "failure"))
        failed = sum(bad for _, bad in self.ended)
        if failed >= FAILURES and failed * 2 >= len(self.ended):
            self.length = OPEN
            self.enter("open")
            self.wait = now + OPEN

    def force_open(self, now: float, seconds: float) -> None:
        self.enter("open")
        self.wait = now + seconds

    def force_close(self) -> None:
        self.length = OPEN
        self.enter("closed")


STEPS = ("call", "success", "failure", "neutral", "later")
FORCED = (*STEPS, "force open", "force close")
DEPTH = 12


def key(model: Model, now: float, flying: list[int]) -> tuple[object, ...]:
    ended = tuple((now - at, bad) for at, bad in model.ended if at > now - WINDOW)
    wait = model.wait - now if model.state == "open" else 0.0
    eras = tuple(era == model.era for era in flying)
    return (model.state, wait, model.length, ended, model.probes, model.good, eras)


def replay(program: tuple[str, ...]) -> tuple[object, ...]:
    clock, model = Clock(), Model()
    breaker = Breaker(
        failures=FAILURES, ratio=0.5, window=WINDOW, open=OPEN, probes=PROBES,
        successes=SUCCESSES, clock=clock, rng=Even(),
    )  # fmt: skip
    flying: list[tuple[BreakerCall, int]] = []
    for step in program:
        if step == "later":
            clock.now += OPEN
        elif step == "force open":
            breaker.force_open(OPEN / 2)
            model.force_open(clock.now, OPEN / 2)
        elif step == "force close":
            breaker.force_close()
            model.force_close()
        elif step == "call":
            call, era = breaker.try_call(), model.admit(clock.now)
            assert (call is None) == (era is None), f"BR-1: {program}"
            if call is not None and era is not None:
                flying.append((call, era))
        elif flying:
            call, era = flying.pop(0)
            model.end(clock.now, era, step)
            call.done(step)  # type: ignore[arg-type]
        model.tick(clock.now)
        assert breaker.state == model.state, f"BR-1: {program}"
        assert breaker._under_way == model.probes
        if model.state == "half_open":
            assert breaker._under_way <= PROBES, f"BR-1: {program}"
        if model.state == "open":
            assert breaker.retry_after == pytest.approx(model.wait - clock.now)
            with pytest.raises(CircuitOpen, match="again in"):
                breaker.call()
    return key(model, clock.now, [era for _, era in flying])


@pytest.mark.parametrize(("steps", "depth"), [(STEPS, DEPTH), (FORCED, 8)], ids=["", "forced"])
def test_BR_1_every_program_to_depth_12_equals_the_table(
    steps: tuple[str, ...], depth: int
) -> None:
    """Programs that reach the same state go on alike, so each state is gone on from once."""
    frontier: list[tuple[str, ...]] = [()]
    seen = set()
    states = set()
    for length in range(1, depth + 1):
        further = []
        for program in frontier:
            for step in steps:
                reached = replay((*program, step))
                states.add(reached[0])
                if reached not in seen and len(reached[6]) <= 3:  # type: ignore[arg-type]
                    seen.add(reached)
                    further.append((*program, step))
        assert further, f"nothing new at depth {length}"
        frontier = further
    assert states == {"closed", "open", "half_open"}


def test_BR_1_a_failed_probe_doubles_the_time_up_to_5_minutes_and_success_resets_it() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, open=30.0, probes=1, successes=1, clock=clock, rng=Even())
    waits = []
    breaker.call().done("failure")
    for _ in range(6):
        waits.append(breaker.retry_after)
        clock.now += breaker.retry_after
        assert breaker.state == "half_open"
        breaker.call().done("failure")
    assert waits == pytest.approx([30.0, 60.0, 120.0, 240.0, 300.0, 300.0])
    clock.now += breaker.retry_after
    breaker.call().done("success")
    assert breaker.state == "closed"
    breaker.call().done("failure")
    assert breaker.retry_after == pytest.approx(30.0)


def test_jitter_is_ten_percent() -> None:
    waits = set()
    for seed in range(100):
        breaker = Breaker(failures=1, open=10.0, clock=Clock(), rng=random.Random(seed))
        breaker.call().done("failure")
        waits.add(breaker.retry_after)
    assert 9.0 <= min(waits) < 9.5 < 10.5 < max(waits) <= 11.0


def test_a_call_as_a_block_judges_its_exception() -> None:
    clock = Clock()
    breaker = Breaker(failures=2, clock=clock, rng=Even())
    with pytest.raises(ConnectionError), breaker.call():
        raise ConnectionError
    with pytest.raises(KeyboardInterrupt), breaker.call():
        raise KeyboardInterrupt  # neutral
    with pytest.raises(ConfigError), breaker.call():
        raise ConfigError("the caller's own fault")
    assert breaker.state == "closed"
    assert breaker.statistics()["failures"] == 1
    with breaker.call():
        pass
    with pytest.raises(TimeoutError), breaker.call():
        raise TimeoutError
    assert breaker.state == "open"
    with pytest.raises(CircuitOpen) as refused:
        breaker.call()
    assert refused.value.retry_after == pytest.approx(30.0)


def test_forced_open_and_dropped_probes() -> None:
    clock = Clock()
    breaker = Breaker(probes=1, successes=1, clock=clock, rng=Even())
    breaker.force_open(5.0)
    assert breaker.try_call() is None
    clock.now = 5.0
    probe = breaker.try_call()
    assert probe is not None and breaker.try_call() is None
    del probe  # dropped without an outcome: neutral, its place is free
    assert breaker.try_call() is not None
    for bad in ({"failures": 0}, {"ratio": 2.0}, {"open": 0.0}):
        with pytest.raises(ConfigError, match="a breaker needs"):
            Breaker(**bad)  # type: ignore[arg-type]


def test_calls_in_their_hundred_thousands_take_no_memory_and_count_by_weight() -> None:
    clock = Clock()
    breaker = Breaker(failures=50, ratio=0.0001, window=WINDOW, clock=clock)
    for n in range(100_000):
        clock.now = n / 1000
        breaker.call().done("success")
    assert breaker.statistics()["calls"] == pytest.approx(30_000, rel=0.02)
    assert len(breaker._ended) <= 66
    for _ in range(24):
        breaker.call().done("failure", 2.0)
    assert breaker.state == "closed" and breaker.statistics()["failures"] == 48
    breaker.call().done("failure", 2.0)
    assert breaker.state == "open"
    breaker.force_close()
    assert breaker.state == "closed" and breaker.statistics()["failures"] == 0
