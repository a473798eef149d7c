"""The compiled counting behind limiters and purses, as they use it."""

from __future__ import annotations

import pytest

from actinium._native import Bound, Bounds
from actinium.inference.limits.counters import Counters
from actinium.inference.limits.limiter import Limiter, Need
from actinium.inference.limits.policy import RateLimits

HUGE = 10**30


def test_all_of_it_is_charged_or_nothing() -> None:
    wide, narrow = Bound(None, 61), Bound(None, 61)
    a, b = Counters(), Counters()
    wide.arm([(a, 1, 100, 0)])
    narrow.arm([(b, 1, 10, 0)])
    both = Bounds(wide, narrow)
    assert both.take(5.9, 1, 11) is None
    assert (a.own, b.own, wide.running) == (0, 0, 0)
    charge = both.take(5.9, 1, 10)
    assert charge is not None and charge.open
    assert (a.own, b.own, wide.running, narrow.held(1)) == (10, 10, 1, 10)
    assert charge.settle(6.0, 1, 4) and not charge.release() and not charge.settle(6.0, 1, 9)
    assert (a.own, b.own, wide.running, narrow.held(1)) == (4, 4, 0, 0)
    assert both.tightest(6.0) == (10, 6, 60)
    assert both.force(7.0, 1, 50).state == "reserved" and b.own == 54
    assert both.tightest(7.0) == (10, 0, 61)


def test_requests_at_once_are_bounded() -> None:
    bound = Bound(1)
    first = bound.take(0.0, 1)
    assert first is not None and bound.take(0.0, 1) is None
    first.release()
    assert first.state == "released" and bound.take(0.0, 1) is not None


def test_sums_have_no_end_and_amounts_beyond_64_bits_are_the_largest_there_is() -> None:
    counters = Counters()
    for _ in range(5):
        counters.charge(1, 2**62)
    assert counters.own == 5 * 2**62 and counters.state() == {("local", 1): (5 * 2**62, 0)}
    bound = Bound()
    bound.arm([(counters, 0, HUGE, 1)])
    assert bound.take(0.0, 1) is None, "a limit beyond 64 bits is the largest of them"
    assert bound.force(0.0, HUGE).amount == 2**63 - 1


@pytest.mark.parametrize(
    "rows", [[(Counters(), 4, 1, 0)], [(Counters(), 0, 1)], [(Counters(), 0, None, 0)] * 5, [3]]
)
def test_rows_that_cannot_be_are_refused(rows: list[object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Bound().arm(rows)  # type: ignore[arg-type]


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(TypeError, match="one to four amounts"):
        Bound().take(0.0)
    with pytest.raises(TypeError):
        Bound().take("now", 1)  # type: ignore[arg-type]
    with pytest.raises(IndexError):
        Bound().held(4)
    with pytest.raises(TypeError, match="expected a Bound"):
        Bounds(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1 to 4 bounds"):
        Bounds()


def test_a_request_larger_than_the_whole_limit_passes_when_nothing_else_is_used() -> None:
    limiter = Limiter(RateLimits(tpm=100))
    charge = limiter.try_take(1.0, Need(500, 0))
    assert charge is not None and limiter.try_take(1.0, Need(1, 0)) is None
    assert charge.release() and limiter.try_take(1.0, Need(1, 0)) is not None
