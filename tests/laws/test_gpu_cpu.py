"""CM-1, CM-2, RG-2, RG-4, SV-2, SV-5, HC-1 to HC-3: the CPU executor and compiled host ends."""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import actinium as ac
from actinium import gpu
from actinium.gpu.abi.ring import Consumer, Producer, Slot, Stamp
from actinium.gpu.abi.words import Command, Flag, Reason, Status, handle
from actinium.gpu.codegen.resident import cpu_text

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "gpu"))

from gpu_launch import Launch
from gpu_samples import Add, Counter, Read

PROGRAM = gpu.compile(Counter)
ADD = 0x0110
PLACES = 3


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    made = Launch(PROGRAM, capacity=1024, actors=PLACES + 1, budget=1000)
    yield made
    made.close()


def test_cm_1_of_all_kinds_only_implemented_commands_in_a_legal_state_are_ok(
    launch: Launch,
) -> None:
    place = handle(PLACES, 1)  # free
    answers: dict[int, bytes] = {}
    handlers = {0x0110, 0x0111}
    first = len(launch.events)
    for kind in [k for k in range(1 << 16) if k != Command.POISON]:
        if kind < 0x0100:
            while not launch.end.put(kind, place, waiter=lambda b, k=kind: answers.update({k: b})):
                launch.events += launch.end.poll()
        else:
            while not launch.end.put(kind, place):
                launch.events += launch.end.poll()
    launch.until(lambda: len(answers) == 255 and len(launch.events) - first == (1 << 16) - 0x0100)
    statuses = {kind: Status(answer[0]) for kind, answer in answers.items()}
    expected = dict.fromkeys(statuses, Status.UNSUPPORTED)
    expected |= {
        Command.PING: Status.OK,
        Command.RESUME: Status.BAD_STATE,
        Command.RESET: Status.BAD_STATE,
        Command.SPAWN: Status.OK,
        Command.STOP: Status.OK,
        Command.STATS: Status.OK,
    }
    assert statuses == expected
    assert {e[0] >> 10 & 15 for e in launch.events[first:]} == {Reason.NO_ACTOR}
    for kind in (0x0112, 0x7FFF, 0xFFFF, *handlers):
        one = launch.command(Command.SPAWN, handle(PLACES, 2 + kind % 1000))[0]
        assert one == Status.OK
        before = len(launch.events)
        launch.end.put(kind, handle(PLACES, 2 + kind % 1000))
        launch.command(Command.STOP, handle(PLACES, 2 + kind % 1000))
        back = launch.events[before:]
        expected_back = [] if kind in handlers else [Reason.UNKNOWN_KIND]
        assert [e[0] >> 10 & 15 for e in back] == expected_back


def test_only_handlers_without_loops_run_between_two_looks_at_the_time() -> None:
    def brief(program: gpu.Program) -> list[bool]:
        text = cpu_text(program).split("ac_brief(ac_u32 kind) {")[1].split("\n}\n")[0]
        return [f"case {m.__gpu_kind__:#06x}: return true" in text for m in program.messages]

    assert brief(PROGRAM) == [True, True]
    assert brief(gpu.compile(Looping)) == [False, True]


@gpu.actor(level="thread")
class Looping:
    total: gpu.i64 = 0

    @ac.on
    def add(self, m: Add) -> gpu.i64:
        for _ in range(m.amount):
            self.total += 1
        return self.total

    @ac.on
    def read(self, m: Read) -> gpu.i64:
        return self.total


class Model:
    """One place as the protocol has it."""

    def __init__(self) -> None:
        self.status = "free"
        self.generation = -1
        self.total = 0

    def command(self, command: Command, generation: int) -> Status:
        same = generation == self.generation
        match command:
            case Command.SPAWN | Command.RESET if self.status == "open" and same:
                return Status.OK  # a repeated one: no second effect (CM-2)
            case Command.SPAWN if self.status == "free" and not same:
                self.status, self.generation, self.total = "open", generation, 0
            case Command.RESET if self.status != "free" and not same:
                self.status, self.generation, self.total = "open", generation, 0
            case Command.RESUME if same and self.status in ("open", "failed"):
                self.status = "open"
            case Command.STOP if same:
                self.status = "free"
            case _:
                return Status.BAD_STATE
        return Status.OK

    def add(self, generation: int, amount: int) -> int | Reason | None:
        """Its reply, why it bounces, or None for a fault."""
        if self.status == "free":
            return Reason.NO_ACTOR
        if generation != self.generation:
            return Reason.STALE
        if self.status == "killed":
            return Reason.STOPPED
        if self.status == "failed":
            return Reason.SUSPENDED
        if amount < 0:
            self.status = "failed"
            return None
        self.total += amount
        return self.total

    def kill(self) -> None:
        if self.status in ("open", "failed"):
            self.status = "killed"


PLACE = st.integers(0, PLACES - 1)
STEP = st.one_of(
    st.tuples(
        st.sampled_from([Command.SPAWN, Command.RESET, Command.RESUME, Command.STOP]),
        PLACE,
        st.integers(0, 3),
    ),
    st.tuples(st.just("add"), PLACE, st.integers(0, 3), st.integers(-1, 5)),
    st.tuples(st.just("kill"), PLACE),
)


@settings(max_examples=40)
@given(st.lists(STEP, max_size=40))
def test_cm_2_sv_2_sv_5_a_script_ends_as_a_model_of_each_place_says(script: list[Any]) -> None:
    launch = _shared()
    base = launch.base = getattr(launch, "base", 0) + 4  # generations of this script
    models = [Model() for _ in range(PLACES)]
    outcomes: dict[int, Any] = {}
    expected: dict[int, Any] = {}
    before = len(launch.events)
    asks: dict[int, int] = {}
    for i, step in enumerate(script):
        model = models[step[1]]
        if step[0] == "kill":
            if model.generation < 0:
                continue
            launch.until(lambda: len(outcomes) == len(expected))
            at = launch.geometry.kill(step[1])
            generation = (base + model.generation) % 4096
            launch.region[at : at + 4] = struct.pack("<I", generation + 1)
            at = launch.geometry.host_block(0) + 4
            (epoch,) = struct.unpack("<I", launch.region[at : at + 4])
            launch.region[at : at + 4] = struct.pack("<I", epoch + 1)
            model.kill()
            continue
        dest = handle(step[1], base + step[2])
        if step[0] == "add":
            expected[i] = model.add(step[2], step[3])
            corr = launch.ask(dest, Add(step[3]), lambda v, i=i: outcomes.update({i: v}))
            asks[corr] = i
            if not isinstance(expected[i], int) or isinstance(expected[i], Reason):
                launch.until(lambda i=i: _events(launch, before, asks, outcomes) or i in outcomes)
        else:
            expected[i] = model.command(step[0], step[2])
            launch.end.put(step[0], dest, waiter=lambda b, i=i: outcomes.update({i: Status(b[0])}))
    launch.until(lambda: len(outcomes) == len(expected))
    assert outcomes == expected  # and so each was answered once, with what its actor says
    for place, model in enumerate(models):
        if model.status != "free":
            launch.command(Command.STOP, handle(place, base + model.generation))


def _events(launch: Launch, before: int, asks: dict[int, int], outcomes: dict[int, Any]) -> bool:
    """Takes what came back as an outcome of its ask."""
    for flags, _, _, corr, _, _, _ in launch.events[before:]:
        if flags & Flag.BOUNCED and corr in asks and asks[corr] not in outcomes:
            launch.end.forget(corr)
            reason = Reason(flags >> 10 & 15)
            outcomes[asks[corr]] = None if reason is Reason.FAILED else reason
    return False


_SHARED: list[Launch] = []


def _shared() -> Launch:
    if not _SHARED:
        _SHARED.append(Launch(PROGRAM, actors=PLACES, capacity=64))
    return _SHARED[0]


@pytest.fixture(scope="module", autouse=True)
def _close_shared() -> Iterator[None]:
    yield
    while _SHARED:
        _SHARED.pop().close()


@settings(max_examples=12)
@given(st.lists(st.integers(0, 50), max_size=60), st.sampled_from([16, 64]))
def test_rg_2_rg_4_whatever_is_put_is_handled_once_in_order(
    amounts: list[int], capacity: int
) -> None:
    launch = Launch(PROGRAM, capacity=capacity)
    try:
        one = launch.spawn()
        plan = launch.plans[Add]
        got: list[int] = []
        for i, amount in enumerate(amounts):
            if i % 3 == 0:
                while not launch.ask(one, Add(amount), got.append):
                    launch.events += launch.end.poll()
            elif i % 3 == 1:
                launch.end.tell_many(one, plan, [Add(amount)])
            else:
                launch.end.tell_many(one, plan, plan.pack(Add(amount)))
        total = launch.ask_sync(one, Add(0))
        launch.until(lambda: len(got) == -(-len(amounts) // 3))
        sums = [sum(amounts[: i + 1]) for i in range(len(amounts))]
        assert got == sums[::3] and total == sum(amounts)
        stats = launch.end.stats()
        assert stats["put"] == len(amounts) + 2  # SPAWN and the last ask
        assert stats["in_flight"] == 0 and not launch.events
    finally:
        launch.close()


class Stamped:
    """A launch whose messages carry clocks, with ends in Python that show them."""

    def __init__(self) -> None:
        self.launch = Launch(PROGRAM, stamped=True, in_bytes=100, out_bytes=100)
        g, memory = self.launch.geometry, memoryview(self.launch.region)
        self.g = g
        self.memory = memory
        self.to = Producer(memory, g.h2k(0), g.in_slot, g.capacity)
        self.back = Consumer(memory, g.k2h(0), g.out_slot, g.capacity, lambda kind, flags: 8)

    def wall(self, us: int) -> None:
        at = self.g.offsets["host_line"]
        self.memory[at : at + 16] = struct.pack("<QQ", us, us)

    def send(self, kind: int, stamp: Stamp, data: bytes = b"") -> Slot:
        assert self.to.put(Slot(kind, Flag.STAMPED, handle(0, 1), 1, data, stamp), self.back.count)
        end = time.monotonic() + 5
        while (slot := self.back.take()) is None:
            assert time.monotonic() < end
        return slot

    def close(self) -> None:
        self.memory.release()
        self.to._memory.release()
        self.back._memory.release()
        self.launch.close()


@pytest.fixture
def stamped() -> Iterator[Stamped]:
    made = Stamped()
    yield made
    made.close()


NOW = 1_700_000_000_000_000


def _settled(stamped: Stamped, us: int) -> int:
    """The device's clock once it follows the wall."""
    stamped.wall(us)
    end = time.monotonic() + 5
    while True:
        slot = stamped.send(Command.PING, Stamp(0))
        assert slot.stamp is not None and time.monotonic() < end
        if slot.stamp.hlc >> 12 >= us:
            return slot.stamp.hlc


def test_hc_1_hc_2_a_reply_s_stamp_exceeds_its_message_s_and_all_before(stamped: Stamped) -> None:
    last = _settled(stamped, NOW)
    for ahead_us in (0, 10, 5, 1_000_000, 0, 59_000_000, 0):
        remote = (NOW + ahead_us) << 12 | 4095
        slot = stamped.send(Command.PING, Stamp(remote))
        assert slot.stamp is not None and slot.stamp.hlc > max(remote, last)
        last = slot.stamp.hlc


def test_hc_3_a_stamp_beyond_the_skew_limit_never_moves_the_clock(stamped: Stamped) -> None:
    last = _settled(stamped, NOW)
    for ahead_s in (120, 3600, 10**6):
        slot = stamped.send(Command.PING, Stamp((NOW + ahead_s * 1_000_000) << 12))
        assert slot.stamp is not None
        assert last < slot.stamp.hlc < (NOW + 60_000_000) << 12
        last = slot.stamp.hlc


def test_a_message_past_its_deadline_is_not_run_and_comes_back_with_its_own_clock(
    stamped: Stamped,
) -> None:
    now = _settled(stamped, NOW) >> 12
    assert stamped.send(Command.SPAWN, Stamp(now << 12)).data[:4] == bytes(4)
    record = gpu.record_of(Add)
    late = Stamp((now - 1000) << 12, 5, 10)
    slot = stamped.send(ADD, late, record.pack(Add(3)))
    assert slot.flags >> 10 & 15 == Reason.EXPIRED
    assert slot.stamp == late and record.unpack(slot.data) == Add(3)
    slot = stamped.send(ADD, Stamp(now << 12, 0, 50_000_000), record.pack(Add(4)))
    assert struct.unpack("<q", slot.data) == (4,)


def test_the_compiled_end_stamps_what_it_sends_and_expires_by_the_wall() -> None:
    launch = Launch(PROGRAM, stamped=True, in_bytes=100, out_bytes=100)
    try:
        one = launch.spawn()
        at = launch.geometry.offsets["host_line"]
        launch.region[at : at + 16] = struct.pack("<QQ", 1, time.time_ns() // 1000)
        assert launch.ask_sync(one, Add(1)) == 1
        plan = launch.plans[Add]
        soon, past = time.time_ns() // 1000 + 10**8, time.time_ns() // 1000 - 10**6
        assert launch.end.tell(one, plan, Add(2), 0, soon)
        end = time.monotonic() + 5
        while not launch.events:
            assert launch.end.tell(one, plan, Add(0), 0, past)
            launch.command(Command.PING)
            assert time.monotonic() < end
        flags, kind, _, _, _, data, expires = launch.events[0]
        assert flags >> 10 & 15 == Reason.EXPIRED and kind == ADD
        assert plan.unpack(data) == Add(0) and past <= expires <= soon
        assert launch.ask_sync(one, Add(0)) == 3
    finally:
        launch.close()
