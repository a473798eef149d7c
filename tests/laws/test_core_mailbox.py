"""Laws of the mailbox: each policy is its model (MB), and lanes share fairly (SC-3)."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import Actor, Mailbox, Message, Terminated, Unbounded, on
from actinium.testkit import TestSystem

law = settings(max_examples=120, deadline=None, derandomize=True)
LANES = ("critical", "high", "normal", "low")


class Item(Message):
    n: int


class Reader(Actor):
    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    @on
    def item(self, m: Item) -> None:
        self.seen.append(m.n)

    @on
    def ended(self, m: Terminated) -> None:
        self.seen.append("terminated")


class Model:
    """A mailbox in 30 lines: which messages get in, which go, and in what order they come."""

    def __init__(self, capacity: int, policy: str) -> None:
        self.capacity = capacity
        self.policy = policy
        self.lanes: dict[str, deque[int]] = {lane: deque() for lane in LANES}
        self.dead: list[int] = []

    @property
    def depth(self) -> int:
        return sum(map(len, self.lanes.values()))

    def put(self, n: int, lane: str) -> str:
        if self.depth < self.capacity:
            self.lanes[lane].append(n)
            return "accepted"
        if self.policy == "drop_old":
            victim = next(self.lanes[x] for x in reversed(LANES) if self.lanes[x])
            self.dead.append(victim.popleft())
            self.lanes[lane].append(n)
            return "dropped_old"
        self.dead.append(n)
        return "dropped_new" if self.policy == "drop_new" else "rejected"

    def take(self) -> int:
        return self.lanes["normal"].popleft()


policies = st.sampled_from(["reject", "drop_new", "drop_old", "block"])
ops = st.lists(st.one_of(st.just(None), st.sampled_from(LANES)), max_size=80)


@law
@given(policies, st.integers(1, 6), st.lists(st.booleans(), max_size=80), st.integers(1, 2**32))
def test_MB_5_each_policy_equals_its_model(
    policy: Any, capacity: int, puts: list[bool], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        model = Model(capacity, policy)
        read: list[int] = []
        ref = t.spawn(Reader, seen, mailbox=Mailbox(capacity, policy))
        for n, put in enumerate(puts):
            if put:
                answer = ref.tell(Item(n))
                expected = model.put(n, "normal")
                assert answer.code == expected, "MB-5"
                assert answer.ok == (expected in ("accepted", "dropped_old"))
            elif model.depth:
                t.step()
                read.append(model.take())
            assert ref.depth == model.depth <= capacity, "MB-1"
        await t.run_until_idle()
        read += [model.take() for _ in range(model.depth)]
        assert seen == read, "MB-5: order"
        assert [x.message.n for x in t.system.dead_letters] == model.dead, "MB-5: dead letters"
        assert (await t.shutdown()).lost == 0, "MS-1"

    testkit.run(test, seed=seed)


@law
@given(policies, st.integers(1, 6), ops, st.integers(1, 2**32))
def test_MB_5_with_lanes_the_set_and_the_order_within_a_lane_equal_the_model(
    policy: Any, capacity: int, puts: list[str | None], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        model = Model(capacity, policy)
        ref = t.spawn(Reader, seen, mailbox=Mailbox(capacity, policy, lanes=4))
        lane_of = {}
        for n, lane in enumerate(puts):
            if lane is None:
                continue
            lane_of[n] = lane
            assert ref.tell(Item(n), priority=lane).code == model.put(n, lane), "MB-5"
            assert ref.depth == model.depth <= capacity, "MB-1"
        await t.run_until_idle()
        for lane in LANES:
            assert [n for n in seen if lane_of[n] == lane] == list(model.lanes[lane]), "MS-2"
        assert [x.message.n for x in t.system.dead_letters] == model.dead, "MB-5"

    testkit.run(test, seed=seed)


def test_MB_3_signals_of_the_runtime_pass_a_full_mailbox() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        watched = t.spawn(Reader, [])
        ref = t.spawn(Reader, seen, mailbox=Mailbox(2))
        ref.instance.ctx.watch(watched)
        ref.tell(Item(1))
        ref.tell(Item(2))
        watched.stop()
        await watched.stopped()
        await t.run_until_idle()
        assert seen == [1, 2, "terminated"] or "terminated" in seen, "MB-3"

    testkit.explore(test, seeds=range(1, 20))


def test_MB_3_a_stop_comes_before_what_waits() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        ref = t.spawn(Reader, seen)
        for n in range(10):
            ref.tell(Item(n))
        t.step(3)
        ref.stop()
        await ref.stopped()
        assert seen == [0, 1, 2]
        assert len(t.system.dead_letters.find(reason="actor_stopped")) == 7, "DL-1"

    testkit.run(test)


def test_SC_3_lanes_share_8_4_2_1_under_flood_and_low_never_starves() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        ref = t.spawn(Reader, seen, mailbox=Unbounded(lanes=4))
        for n in range(4000):
            ref.tell(Item(n % 4), priority=LANES[n % 4])
        t.step(1500)
        shares = Counter(seen)
        assert len(seen) == 1500
        for lane, weight in enumerate((8, 4, 2, 1)):
            assert abs(shares[lane] - 100 * weight) <= 15, f"SC-3: {shares}"
        for start in range(1500 - 30):
            assert 3 in seen[start : start + 30], "SC-3: low starves"

    testkit.run(test)


def test_SC_3_a_flooded_actor_does_not_starve_the_others() -> None:
    async def test(t: TestSystem) -> None:
        flooded = t.spawn(Reader, [], mailbox=Unbounded())
        for n in range(10_000):
            flooded.tell(Item(n))
        seen: list[Any] = []
        t.spawn(Reader, seen).tell(Item(1))
        t.step(10 * 64)
        assert seen == [1], "SC-3"

    testkit.explore(test, seeds=range(1, 10))
