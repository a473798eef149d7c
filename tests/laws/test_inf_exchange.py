"""Laws of the exchange of rights, over random programs and networks."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium.inference.limits.exchange import EVERY, Exchange, Wish, Word, merged_words
from actinium.inference.limits.meter import Meter
from actinium.inference.limits.shares import Shares

NODES = ("a", "b", "c", "d", "e")
WORDS = st.builds(
    Word,
    st.dictionaries(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), st.integers(0, 9)),
    st.dictionaries(st.sampled_from(NODES), st.builds(Wish, st.integers(0, 3), st.integers(0, 9))),
)


@given(WORDS, WORDS, WORDS)
def test_inf_lm_1_words_merge_in_any_order_any_number_of_times(a: Word, b: Word, c: Word) -> None:
    assert merged_words(a, b) == merged_words(b, a), "LM-1: commutative"
    assert merged_words(merged_words(a, b), c) == merged_words(a, merged_words(b, c))
    assert merged_words(a, a) == a


def simulated(
    nodes: int, limit: int, sizes: tuple[int, int], *, parted: bool
) -> tuple[list[tuple[float, int]], float]:
    """Five minutes of a limit over nodes whose load moves, with lost and doubled words and clocks
    that differ by up to 5 s: what was admitted when, and the rights under way at the end."""
    chance = random.Random(nodes)
    names = [f"n{i}" for i in range(nodes)]
    skew = {name: chance.uniform(0, 5) for name in names}
    meters = {n: Meter(limit, n, Shares(n, names, limit)) for n in names}
    exchanges = {n: Exchange(meters[n]) for n in names}
    admitted: list[tuple[float, int]] = []
    waiting: dict[str, list[int]] = {name: [] for name in names}
    for step in range(int(300 / EVERY)):
        at = 100 + step * EVERY
        busy = names[int(at // 90) % nodes]  # the load moves on
        for name in names:
            meter, now, line = meters[name], at + skew[name], waiting[name]
            most = 40 if name == busy else 1
            while len(line) < most and (name == busy or step % 25 == 0):
                line.append(chance.randint(*sizes))
            while line and meter.wait(now, line[0]) == 0:
                meter.charge(now, line[0])
                admitted.append((at, line.pop(0)))
        for name in names:
            word = exchanges[name].say(at + skew[name], sum(waiting[name]))
            for other in names:
                apart = parted and (names.index(name) < nodes // 2) != (
                    names.index(other) < nodes // 2
                )
                if other == name or apart or chance.random() < 0.05:
                    continue
                for _ in range(1 + (chance.random() < 0.05)):
                    exchanges[other].hear(word)
        held = sum(shares.own for n in names if (shares := meters[n].shares) is not None)
        assert held <= limit, "LM-2: shares and rights under way exceed the limit"
    return admitted, held


@pytest.mark.parametrize("sizes", [(1, 1), (1, 400)], ids=["requests", "tokens"])
@pytest.mark.parametrize("parted", [False, True], ids=["whole", "parted"])
@pytest.mark.parametrize("nodes", [2, 4, 8])
def test_inf_lm_2_complaint_10_nodes_share_one_limit_and_waste_little(
    nodes: int, parted: bool, sizes: Any
) -> None:
    """With N replicas the limit is N times the limit.

    Never more than the limit in any 60 s; while all hear each other at most 5 % unused.
    """
    limit = 1200 if sizes == (1, 1) else 200_000
    admitted, _ = simulated(nodes, limit, sizes, parted=parted)
    most = start = inside = 0
    for at, amount in admitted:
        inside += amount
        while admitted[start][0] <= at - 60:
            inside -= admitted[start][1]
            start += 1
        most = max(most, inside)
    assert most <= limit, f"LM-2: {most} in 60 s"
    if not parted:
        used = sum(amount for at, amount in admitted if at >= 160) / 4
        assert used >= 0.95 * limit, f"only {used:.0f} of {limit} a minute were used"


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 60), st.booleans()),
             max_size=60)
)  # fmt: skip
@settings(max_examples=60)
def test_inf_lm_2_no_right_is_held_twice_whatever_is_lost_late_or_doubled(
    steps: list[tuple[int, int, int, bool]],
) -> None:
    names = ["a", "b", "c"]
    meters = [Meter(90, n, Shares(n, names, 90)) for n in names]
    exchanges = [Exchange(meter) for meter in meters]
    kept: list[Word] = []
    now = 1000.0
    for at, to, amount, old in steps:
        now += 0.7
        if meters[at].wait(now, amount) == 0:
            meters[at].charge(now, amount)
        word = exchanges[at].say(now, amount)
        kept.append(word)
        exchanges[to].hear(kept[amount % len(kept)] if old else word)
        own = [m.shares.own for m in meters if m.shares is not None]
        assert sum(own) <= 90 and min(own) >= 0, "LM-2"
        assert all(m.used(now) <= s for m, s in zip(meters, own, strict=True)), "LM-2"
