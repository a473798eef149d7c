"""The purse: periods, and one end for each reservation."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.errors import BudgetExceeded, ConfigError
from actinium.inference import Budget
from actinium.inference.limits import Purse
from actinium.inference.limits.budget import Reservation


class Clock:
    def __init__(self, at: str) -> None:
        self.now = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now


STEPS = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle", "release", "later"]), st.integers(1, 400)),
    max_size=60,
)


@given(STEPS)
def test_inf_bg_1_reserved_and_settled_stay_within_the_limit(steps: list[tuple[str, int]]) -> None:
    clock = Clock("2026-03-01T10:00:00")
    purse = Purse("deployment:a", Budget(per_day=1e-6), clock=clock)  # 1,000 nano-USD
    held: list[Reservation] = []
    ended: list[Reservation] = []
    settled = 0
    for step, amount in steps:
        match step:
            case "reserve":
                try:
                    held.append(purse.reserve(amount))
                except BudgetExceeded:
                    assert settled + purse.reserved + amount > 1000, "refused what fits"
            case "settle" if held:
                one = held.pop(0)
                cost = min(amount, one.amount)
                assert one.settle(clock.now, cost)
                settled += cost
                ended.append(one)
            case "release" if held:
                one = held.pop()
                assert one.release()
                ended.append(one)
            case "later":
                clock.now += 60
        for one in ended:  # a second end means nothing
            assert not one.settle(clock.now, 999) and not one.release()
        assert purse.settled == settled
        assert purse.reserved == sum(one.amount for one in held)
        assert settled + purse.reserved <= 1000, "BG-1"


@pytest.mark.parametrize(
    ("budget", "used_at", "free_at"),
    [
        (Budget(per_hour=1.0), "2026-03-01T10:00:30", "2026-03-01T11:00:00"),
        (Budget(per_day=1.0), "2026-03-01T10:00:00", "2026-03-02T00:00:00"),
        (Budget(per_month=1.0), "2026-12-31T10:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_money_comes_back_when_its_period_is_over(
    budget: Budget, used_at: str, free_at: str
) -> None:
    clock = Clock(used_at)
    purse = Purse("s", budget, clock=clock)
    purse.reserve(10**9).settle(clock.now, 10**9)
    with pytest.raises(BudgetExceeded) as caught:
        purse.reserve(1)
    free = Clock(free_at).now
    assert caught.value.retry_after == pytest.approx(free - clock.now)
    clock.now = free - 1
    assert purse.check(1) is not None
    clock.now = free
    purse.reserve(10**9)


def test_a_dearer_answer_is_booked_whole() -> None:
    purse = Purse("s", Budget(per_day=1.0), clock=Clock("2026-03-01T10:00:00"))
    purse.reserve(10).settle(0.0, 10**9)
    assert purse.used_ratio() == 1.0


def test_a_budget_without_a_limit_is_refused() -> None:
    with pytest.raises(ConfigError, match="per_hour, per_day or per_month"):
        Budget()
    with pytest.raises(ConfigError, match="above 0"):
        Budget(per_day=0)
