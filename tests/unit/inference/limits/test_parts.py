"""Limits that processes share without a word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.errors import ConfigError
from actinium.inference import Budget, Deployment, RateLimits
from actinium.inference.limits.parts import part_of


@given(st.integers(1, 16), st.integers(16, 10_000), st.integers(16, 500))
def test_inf_lm_2_the_parts_are_the_whole(parts: int, rpm: int, concurrent: int) -> None:
    whole = Deployment(name="m", limits=RateLimits(rpm=rpm, concurrent=concurrent))
    found = [part_of(whole, part, parts).limits for part in range(1, parts + 1)]
    assert sum(limits.rpm or 0 for limits in found if limits) == rpm
    assert sum(limits.concurrent or 0 for limits in found if limits) == concurrent
    assert all(limits is not None and limits.tpm is None for limits in found)


def test_money_is_divided_too() -> None:
    whole = Deployment(name="m", budget=Budget(per_day=10.0, per_hour=1.0))
    assert part_of(whole, 2, 4).budget == Budget(per_day=2.5, per_hour=0.25)
    assert part_of(Deployment(name="m"), 1, 4) == Deployment(name="m")


def test_what_is_too_little_for_all_is_refused() -> None:
    whole = Deployment(name="m", limits=RateLimits(rpm=3))
    with pytest.raises(ConfigError, match=r"limits.rpm = 3 cannot be divided among 4 processes"):
        part_of(whole, 1, 4)
