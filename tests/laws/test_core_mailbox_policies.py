"""Every policy of a mailbox, with lanes and bytes, is its model (MB-1, MB-5, MS-1, MS-2)."""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import Actor, Mailbox, Message, on
from actinium.testkit import TestSystem

law = settings(max_examples=150, deadline=None, derandomize=True)
LANES = ("critical", "high", "normal", "low")


class Item(Message):
    n: int
    lane: str
    data: bytes = b""

    @property
    def size(self) -> int:
        return len(self.data) + len(self.lane)


class Reader(Actor):
    def __init__(self, seen: list[Item]) -> None:
        self.seen = seen

    @on
    def item(self, m: Item) -> None:
        self.seen.append(m)


class Model:
    """A bounded mailbox: who gets in, who goes, who waits behind."""

    def __init__(self, box: Mailbox) -> None:
        self.box = box
        self.lanes: dict[str, deque[Item]] = {lane: deque() for lane in LANES}
        self.behind: deque[Item] = deque()
        self.dead: list[Item] = []

    def waiting(self) -> list[Item]:
        return [x for lane in self.lanes.values() for x in lane] + list(self.behind)

    def fits(self, new: Item, without: Item | None = None) -> bool:
        box, waiting = self.box, [x for x in self.waiting() if x is not without]
        most = 2 * box.capacity if box.on_full == "signal" else box.capacity + box.overflow
        used = sum(x.size for x in waiting) + new.size
        return len(waiting) < most and (not box.max_bytes or used <= box.max_bytes)

    def put(self, new: Item) -> str:
        box, code = self.box, "accepted"
        if box.max_bytes and new.size > box.max_bytes:
            self.dead.append(new)
            return "too_large"
        while not self.fits(new):
            least = next((x for x in reversed(LANES) if self.lanes[x]), "critical")
            victim = None
            if box.on_full == "drop_old":
                victim, code = self.lanes[least][0], "dropped_old"
            elif box.on_full == "drop_low" and LANES.index(least) > LANES.index(new.lane):
                newest = self.lanes[least][-1]
                if self.fits(new, without=newest):
                    victim, code = newest, "dropped_low"
            if victim is None:
                self.dead.append(new)
                return "dropped_new" if box.on_full == "drop_new" else "rejected"
            self.lanes[least].remove(victim)
            self.dead.append(victim)
        inside = len(self.waiting()) - len(self.behind)
        if box.on_full == "overflow" and (self.behind or inside >= box.capacity):
            self.behind.append(new)
            return "overflow"
        self.lanes[new.lane].append(new)
        return code

    def taken(self, item: Item) -> None:
        assert self.lanes[item.lane].popleft() is item, "MS-2: order within a lane"
        if self.behind:
            moved = self.behind.popleft()
            self.lanes[moved.lane].append(moved)


boxes = st.builds(
    lambda capacity, on_full, lanes, max_bytes, overflow: Mailbox(
        capacity,
        on_full,
        4 if on_full == "drop_low" else lanes,
        max_bytes=max_bytes,
        overflow=overflow if on_full == "overflow" else 0,
    ),
    st.integers(1, 6),
    st.sampled_from(["reject", "drop_new", "drop_old", "block", "drop_low", "overflow", "signal"]),
    st.sampled_from([1, 4]),
    st.sampled_from([0, 0, 30, 60]),
    st.integers(1, 4),
)
ops = st.lists(st.one_of(st.none(), st.tuples(st.sampled_from(LANES), st.integers(0, 40))),
               max_size=60)  # fmt: skip


@law
@given(boxes, ops, st.integers(1, 2**32))
def test_MB_1_MB_5_every_policy_equals_its_model(
    box: Mailbox, program: list[tuple[str, int] | None], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Item] = []
        model = Model(box)
        ref = t.spawn(Reader, seen, mailbox=box)
        for n, op in enumerate(program):
            if op is not None:
                item = Item(n, op[0] if box.lanes == 4 else "normal", bytes(op[1]))
                expected = model.put(item)
                answer = ref.tell(item, priority=item.lane)
                assert answer.code == expected, "MB-5"
                assert answer.ok == (item not in model.dead)
            elif ref.depth:
                t.step()
                model.taken(seen[-1])
            waiting = model.waiting()
            assert ref.depth == len(waiting), "MB-5"
            assert ref.depth <= ref.limits.most, "MB-1: messages"
            if box.max_bytes:
                assert ref.pressure()[2] == sum(x.size for x in waiting) <= box.max_bytes, "MB-1"
        handled = len(seen)
        await t.run_until_idle()
        for item in seen[handled:]:
            model.taken(item)
        assert model.waiting() == [], "MB-5: the same set"
        assert [x.message for x in t.system.dead_letters] == model.dead, "MB-5: dead letters"
        assert ref.pressure()[2] == 0
        assert (await t.shutdown()).lost == 0, "MS-1"

    testkit.run(test, seed=seed)


@law
@given(st.integers(1, 8), st.integers(0, 40), st.booleans())
def test_MB_5_what_is_only_counted_is_counted_exactly(capacity: int, sent: int, stop: bool) -> None:
    async def test(t: TestSystem) -> None:
        box = Mailbox(capacity, "drop_old", record="count")
        ref = t.spawn(Reader, [], mailbox=box)
        for n in range(sent):
            ref.tell(Item(n, "normal"))
        dropped = max(0, sent - capacity)
        assert t.system.dead_letters.counts["mailbox_full"] == dropped
        assert len(t.system.dead_letters) == 0, "DL-1: dropped by an explicit setting"
        if stop:
            ref.stop()
        report = await t.shutdown()
        assert report.lost == 0 and report.accepted == min(sent, capacity), "MS-1"

    testkit.run(test)


def test_MB_5_what_overflowed_is_handled_or_a_dead_letter_when_its_actor_stops() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Item] = []
        ref = t.spawn(Reader, seen, mailbox=Mailbox(2, "overflow", overflow=5))
        for n in range(6):
            ref.tell(Item(n, "normal"))
        t.step(1)
        ref.stop()
        await ref.stopped()
        assert [x.n for x in seen] == [0]
        letters = [x.message.n for x in t.system.dead_letters]
        assert letters == [1, 2, 3, 4, 5], "MS-2, DL-1"
        assert (await t.shutdown()).lost == 0, "MS-1"

    testkit.run(test)
