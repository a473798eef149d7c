"""RG-1 to RG-3 on this processor: no message of many is torn, lost, doubled or out of order."""

from __future__ import annotations

import pytest

from actinium.errors import UsageError
from actinium.gpu.selftest import hunt


@pytest.mark.parametrize(("capacity", "lines"), [(16, 1), (64, 1), (64, 3), (16, 9)])
def test_rg_1_rg_2_rg_3_no_message_is_torn_lost_or_doubled(capacity: int, lines: int) -> None:
    found = hunt(250_000, capacity, lines)
    assert (found.messages, found.torn) == (250_000, 0)


@pytest.mark.parametrize("producers", [2, 7])
def test_rg_2_rg_5_producers_that_share_a_ring_keep_their_order(producers: int) -> None:
    found = hunt(100_000, 16, 1, producers=producers)
    assert found.torn == 0 and found.messages == 100_000 // producers * producers


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rg_1_none_of_10_to_the_8_messages_is_torn() -> None:
    assert hunt(100_000_000, 1024, 1).torn == 0


def test_a_hunt_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="power of two from 4"):
        hunt(10, 5)
