"""Laws of counters, shares, fair queues and money, over random programs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium.inference.limits.affinity import Chooser
from actinium.inference.limits.counters import Counters, merged
from actinium.inference.limits.fair import WEIGHTS, FairQueue
from actinium.inference.limits.limiter import Limiter, Need
from actinium.inference.limits.meter import SPAN, Meter
from actinium.inference.limits.policy import RateLimits
from actinium.inference.limits.shares import Shares, merged_rights

NODES = st.sampled_from(["a", "b", "c"])
ENTRIES = st.tuples(st.integers(0, 99), st.integers(0, 99))
STATES = st.dictionaries(st.tuples(NODES, st.integers(0, 5)), ENTRIES, max_size=8)
RIGHTS = st.dictionaries(st.tuples(NODES, NODES), st.integers(0, 99), max_size=6)


@given(STATES, STATES, STATES)
def test_inf_lm_1_counters_merge_in_any_order_any_number_of_times(
    a: dict[tuple[str, int], tuple[int, int]],
    b: dict[tuple[str, int], tuple[int, int]],
    c: dict[tuple[str, int], tuple[int, int]],
) -> None:
    assert merged(a, b) == merged(b, a), "LM-1: commutative"
    assert merged(merged(a, b), c) == merged(a, merged(b, c)), "LM-1: associative"
    assert merged(a, a) == a and merged(merged(a, b), b) == merged(a, b), "LM-1: idempotent"


@given(RIGHTS, RIGHTS, RIGHTS)
def test_inf_lm_1_rights_merge_in_any_order_any_number_of_times(
    a: dict[tuple[str, str], int], b: dict[tuple[str, str], int], c: dict[tuple[str, str], int]
) -> None:
    assert merged_rights(a, b) == merged_rights(b, a)
    assert merged_rights(merged_rights(a, b), c) == merged_rights(a, merged_rights(b, c))
    assert merged_rights(a, a) == a


@given(STATES, STATES)
def test_inf_lm_1_a_copy_merges_as_the_law_says(
    a: dict[tuple[str, int], tuple[int, int]], b: dict[tuple[str, int], tuple[int, int]]
) -> None:
    for node in "az":
        copy = Counters(node)
        for state in (b, a, b):
            copy.merge(state)
        right = {key: entry for key, entry in merged(a, b).items() if entry != (0, 0)}
        assert copy.state() == right
        assert copy.used == sum(charged - back for charged, back in right.values())


OPS = st.lists(
    st.tuples(st.sampled_from(["charge", "refund", "send", "advance"]), NODES, NODES,
              st.integers(0, 5), st.integers(1, 20)),
    max_size=40,
)  # fmt: skip


@given(OPS)
def test_inf_lm_1_copies_agree_with_the_plain_sum_once_all_have_heard(
    ops: list[tuple[str, str, str, int, int]],
) -> None:
    copies = {name: Counters(name) for name in "abc"}
    plain: dict[tuple[str, int], int] = {}
    first = 0
    for op, node, other, window, amount in ops:
        match op:
            case "charge":
                copies[node].charge(window, amount)
                if window >= first:
                    plain[node, window] = plain.get((node, window), 0) + amount
            case "refund":
                amount = min(amount, plain.get((node, window), 0))
                copies[node].refund(window, amount)
                if window >= first and amount:
                    plain[node, window] -= amount
            case "send":  # late, doubled and out of order is all the same
                copies[other].merge(copies[node].state())
            case "advance":
                first = max(first, window)
                for copy in copies.values():
                    copy.advance(window)
    for copy in copies.values():
        for other in copies.values():
            copy.merge(other.state())
    for name, copy in copies.items():
        assert copy.used == sum(v for (_, w), v in plain.items() if w >= first)
        assert copy.own == sum(v for (n, w), v in plain.items() if w >= first and n == name)
        assert copy.used == sum(total for _, total in copy.totals())


@pytest.mark.parametrize("nodes", [2, 4, 8])
@pytest.mark.parametrize("split", [False, True], ids=["whole", "parted"])
def test_inf_lm_2_nodes_together_keep_to_one_limit_and_waste_little(
    nodes: int, split: bool
) -> None:
    """1,200 a minute over nodes whose load moves, with lost and doubled messages, clocks that
    differ by up to 5 s, and (parted) no word between two halves."""
    chance = random.Random(nodes)
    limit, minutes = 1200, 5
    names = [f"n{i}" for i in range(nodes)]
    skew = {name: chance.uniform(0, 5) for name in names}
    meters = {n: Meter(limit, n, Shares(n, names, limit)) for n in names}
    admitted: list[float] = []
    tick = 0.2
    backlog = dict.fromkeys(names, 0)
    for step in range(int(minutes * 60 / tick)):
        at = 100 + step * tick
        busy = names[int(at // 90) % nodes]  # the load moves on
        for name in names:
            meter, now = meters[name], at + skew[name]
            backlog[name] = 40 if name == busy else min(40, backlog[name] + (step % 25 == 0))
            while backlog[name] and meter.wait(now, 1) == 0:
                meter.charge(now, 1)
                backlog[name] -= 1
                admitted.append(at)
        for name in names:
            shares = meters[name].shares
            assert shares is not None
            now = at + skew[name]
            spare = shares.own - meters[name].used(now)
            if name != busy and not backlog[name] and spare > 2:
                shares.give(busy, spare - 2, spare)
            for other in names:
                apart = split and (names.index(name) < nodes // 2) != (
                    names.index(other) < nodes // 2
                )
                if other == name or apart or chance.random() < 0.05:
                    continue
                theirs = meters[other].shares
                assert theirs is not None
                for _ in range(1 + (chance.random() < 0.05)):
                    theirs.merge(shares.given)
        held = 0
        for name in names:
            shares = meters[name].shares
            assert shares is not None
            held += shares.own
            assert shares.own >= 0
        assert held <= limit, "LM-2: shares and rights under way exceed the limit"
    admitted.sort()
    most, start = 0, 0
    for end, at in enumerate(admitted):
        while admitted[start] <= at - 60:
            start += 1
        most = max(most, end - start + 1)
    assert most <= limit, f"LM-2: {most} in 60 s"
    if not split:
        per_minute = sum(at >= 160 for at in admitted) / (minutes - 1)
        assert per_minute >= 0.95 * limit, f"only {per_minute:.0f} of {limit} a minute were used"


@given(
    st.lists(st.tuples(st.floats(0.0, 9.0), st.integers(0, 60), st.integers(0, 60)), max_size=60),
    st.integers(20, 200),
)
@settings(max_examples=60)
def test_inf_lm_2_reserved_never_exceeds_the_limit_in_any_minute(
    steps: list[tuple[float, int, int]], limit: int
) -> None:
    limiter = Limiter(RateLimits(tpm=limit))
    now = 1000.0
    taken: list[tuple[float, int]] = []
    for gap, size, real in steps:
        now += gap
        need = Need(size, 0)
        if limiter.wait(now, need) == 0:
            charge = limiter.take(now, need)
            # An estimate is an upper one here; see the meter for those that are not.
            charge.settle(now, *Need(min(real, size), 0).amounts)
            taken.append((now, min(real, size)))
        for at, _ in taken:
            in_minute = sum(n for t, n in taken if at <= t < at + 60)
            assert in_minute <= limit or in_minute == max(n for _, n in taken), "LM-2"
    assert limiter.running == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30)), min_size=1, max_size=30))
def test_inf_lm_4_a_wait_is_long_enough_and_not_too_long(steps: list[tuple[bool, int]]) -> None:
    meter = Meter(60)
    now = 500.0
    for jump, amount in steps:
        if jump:
            now += amount
        wait = meter.wait(now, amount)
        if wait:
            assert meter.wait(max(now, now + wait - 1.001), amount) > 0, "LM-4: told too late"
            assert meter.wait(now + wait, amount) == 0, "LM-4: told too early"
            assert wait <= SPAN
        else:
            meter.charge(now, amount)


def _served(weights: dict[str, float], sizes: dict[str, int], pops: int) -> dict[str, float]:
    """What backlogged tenants get of ``pops`` services."""
    queue: FairQueue[str] = FairQueue()
    chance = random.Random(5)
    got = dict.fromkeys(weights, 0.0)
    for name, weight in weights.items():
        for _ in range(4):
            queue.push(name, chance.randint(1, sizes[name]), tenant=name, weight=weight)
    for _ in range(pops):
        ticket = queue.pop()
        got[ticket.item] += ticket.cost
        size = chance.randint(1, sizes[ticket.item])
        queue.push(ticket.item, size, tenant=ticket.item, weight=weights[ticket.item])
    return got


@given(
    st.lists(st.tuples(st.sampled_from([1.0, 2.0, 3.0]), st.integers(1, 500)), min_size=2,
             max_size=5)
)  # fmt: skip
@settings(max_examples=40)
def test_inf_fq_1_waiting_tenants_get_tokens_by_their_weights(
    tenants: list[tuple[float, int]],
) -> None:
    weights = {f"t{i}": weight for i, (weight, _) in enumerate(tenants)}
    sizes = {f"t{i}": size for i, (_, size) in enumerate(tenants)}
    got = _served(weights, sizes, 400)
    shares = [got[name] / weights[name] for name in weights]
    assert max(shares) - min(shares) <= 2 * max(sizes.values()), "FQ-1"


def test_inf_fq_1_ten_times_the_load_gets_no_more_than_its_share() -> None:
    """Two tenants 10:1 in offered load get 1:1 within 5 % in tokens while both wait."""
    queue: FairQueue[str] = FairQueue()
    for n in range(2000):
        queue.push("loud", 100, tenant="loud")
        if n % 10 == 0:
            queue.push("calm", 100, tenant="calm")
    got = {"loud": 0, "calm": 0}
    for _ in range(380):
        got[queue.pop().item] += 100
    assert abs(got["loud"] / got["calm"] - 1) <= 0.05


def test_inf_fq_1_who_was_away_for_an_hour_has_saved_nothing() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(3000):
        queue.push("busy", 10, tenant="busy")
    for _ in range(1000):
        queue.pop()
    for _ in range(100):
        queue.push("back", 10, tenant="back")
    order = [queue.pop().item for _ in range(60)]
    assert 29 <= order.count("back") <= 31
    assert "busy" in order[:3]


def test_inf_fq_1_no_priority_starves() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(2000):
        for priority in WEIGHTS:
            queue.push(priority, 10, priority=priority)
    got = dict.fromkeys(WEIGHTS, 0)
    for _ in range(3100):
        got[queue.pop().item] += 1  # type: ignore[index]
    total = sum(WEIGHTS.values())
    for priority, weight in WEIGHTS.items():
        assert abs(got[priority] - 3100 * weight / total) <= 2, "FQ-1"


@given(st.lists(st.tuples(st.sampled_from(["push", "pop", "leave", "correct"]),
                          st.sampled_from("xyz"), st.sampled_from(list(WEIGHTS)),
                          st.integers(1, 50)), max_size=80))  # fmt: skip
def test_inf_fq_1_nobody_is_lost_doubled_or_overtaken_within_a_flow(
    steps: list[tuple[str, str, str, int]],
) -> None:
    queue: FairQueue[int] = FairQueue()
    flows: dict[tuple[str, str], list[int]] = {}
    tickets, served, number = {}, [], 0
    for op, tenant, priority, cost in steps:
        if op == "push":
            number += 1
            flows.setdefault((tenant, priority), []).append(number)
            tickets[number] = queue.push(
                number, cost, tenant=tenant, priority=priority,  # type: ignore[arg-type]
            )  # fmt: skip
        elif op == "pop" and len(queue):
            ticket = queue.pop()
            served.append(ticket)
            (flow,) = [f for f in flows.values() if ticket.item in f]
            assert flow.pop(0) == ticket.item, "overtaken within a flow"
        elif op == "leave" and (flow := flows.get((tenant, priority))):
            queue.remove(tickets[flow.pop()])
        elif op == "correct" and served:
            queue.correct(served[-1], cost - 25)
        assert len(queue) == sum(map(len, flows.values()))
    while len(queue):
        ticket = queue.pop()
        (flow,) = [f for f in flows.values() if ticket.item in f]
        assert flow.pop(0) == ticket.item
    assert not any(flows.values())


@given(st.integers(2, 8), st.integers(0, 2**32))
@settings(max_examples=30)
def test_complaint_14_misses_alone_never_pile_up_on_one_replica(replicas: int, seed: int) -> None:
    """Gateways whose cache-aware policy sends every miss to one replica ("death spiral")."""
    chance = random.Random(seed)
    chooser = Chooser(replicas, chance)
    loads = [0] * replicas
    got = [0] * replicas
    running: list[int] = []
    for n in range(400):
        place = chooser.choose([hash((seed, n, i)) for i in range(8)], loads)
        got[place] += 1
        loads[place] += 1
        running.append(place)
        if len(running) > 3 * replicas:
            loads[running.pop(chance.randrange(len(running)))] -= 1
    assert max(got) <= 2 * 400 / replicas


def test_a_known_beginning_goes_to_its_replica_until_that_is_too_busy() -> None:
    chooser = Chooser(4, random.Random(1))
    blocks = list(range(20))
    home = chooser.choose(blocks, [0, 0, 0, 0])
    assert all(chooser.choose(blocks, [0, 0, 0, 0]) == home for _ in range(20))
    busy = [1] * 4
    busy[home] = 30
    assert chooser.choose(blocks, busy) != home


def test_one_hot_beginning_spreads_before_it_is_a_hot_spot() -> None:
    chance = random.Random(3)
    chooser = Chooser(4, chance)
    loads, running, worst = [0] * 4, [], 0.0
    for n in range(600):
        place = chooser.choose(list(range(20)), loads)
        loads[place] += 1
        running.append(place)
        if len(running) > 60:
            loads[running.pop(0)] -= 1
        if n > 100:
            worst = max(worst, max(loads) / (sum(loads) / 4))
    assert worst <= 1.6


def test_flows_of_many_tenants_that_came_once_are_forgotten() -> None:
    queue: FairQueue[int] = FairQueue()
    for n in range(20_000):
        queue.push(n, 1, tenant=f"t{n}")
        queue.pop()
    band = queue._bands["normal"]
    assert len(band.flows) <= 2048 and len(band.heap) <= 4096
