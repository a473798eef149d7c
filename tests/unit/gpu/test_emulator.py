"""The CUDA text of the resident kernel on fibers: what a block does with each slot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gpu_host import Host, Slot
from gpu_samples import Add, Counter, Read, Statistics, Window

import actinium as ac
from actinium import gpu
from actinium.errors import UsageError
from actinium.gpu.abi.words import Command, Flag, Reason, State, Status, Stop, handle
from actinium.gpu.codegen.cache import Cache
from actinium.gpu.executors.emulator import Emulation, EmulatorExecutor, Outcome

Run = Callable[..., list[Slot]]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(Path(tmp_path_factory.mktemp("emulator")))


class Bench:
    """A host and an emulation of its launch."""

    def __init__(self, program: Any, cache: Cache, **changes: Any) -> None:
        given = {name: changes.pop(name) for name in ("seed", "watchdog") if name in changes}
        self.program = gpu.compile(program)
        self.host = Host(self.program, **changes)
        self.kernel = Emulation(
            self.program, self.host.region, self.host.geometry, cache=cache,
            warps=self.host.shape.warps, **given,
        )  # fmt: skip

    def run(self, wanted: int, block: int = 0) -> list[Slot]:
        """Steps until so many slots came back, then until nothing more does."""
        found: list[Slot] = []
        for _ in range(2000):
            self.host.beat()
            outcome = self.kernel.step(2000)
            found += self.host.take_all(block)
            if len(found) >= wanted or outcome is not Outcome.RUNS:
                break
        assert len(found) == wanted, (found, self.kernel.dump())
        return found

    def end(self) -> Outcome:
        for _ in range(2000):
            outcome = self.kernel.step(5000)
            if outcome is not Outcome.RUNS:
                break
        return outcome


@pytest.fixture
def bench(cache: Cache) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(program: Any = Counter, **changes: Any) -> Bench:
        made.append(Bench(program, cache, **changes))
        return made[-1]

    yield make
    for one in made:
        one.kernel.close()


def test_a_message_is_answered_and_a_tell_is_not(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.host.command(Command.SPAWN, 2)
    b.host.send(2, Add(5, 1))
    b.host.send(2, Add(7, 1), corr=9)
    spawned, reply = b.run(2)
    assert spawned.status is Status.OK and spawned.dest == 2
    assert (reply.corr, reply.dest, reply.flags) == (9, 2, Flag.REPLY)
    assert b.host.reply(reply) == 12


def test_a_fault_comes_before_its_message_and_the_place_waits_for_reset(
    bench: Callable[..., Bench],
) -> None:
    b = bench()
    b.host.command(Command.SPAWN, 0)
    b.host.send(0, Add(3), corr=1)
    b.host.send(0, Add(-1), sender=77)
    b.host.send(0, Add(4), corr=2)
    b.host.command(Command.RESET, 0, 1)
    b.host.send(0, Add(4), corr=3, generation=1)
    _, first, error, failed, suspended, reset, last = b.run(7)
    assert b.host.reply(first) == 3
    assert error.flags == Flag.REPLY | Flag.ERROR and error.corr == 0
    assert b.program.sites[error.fault - 1][0] == "assert"
    assert failed.reason is Reason.FAILED and failed.flags & Flag.SENDER
    assert failed.data == (77).to_bytes(8, "little") + Add.__gpu_record__.pack(Add(-1))  # type: ignore[attr-defined]
    assert suspended.reason is Reason.SUSPENDED and suspended.corr == 2
    assert reset.status is Status.OK and reset.dest == handle(0, 1)
    assert b.host.reply(last) == 4, "the state starts anew"


def test_who_is_not_there_is_said(bench: Callable[..., Bench]) -> None:
    b = bench(actors=2)
    b.host.command(Command.SPAWN, 0, 5)
    b.host.send(1, Add(1), corr=1)
    b.host.send(0, Add(1), corr=2, generation=4)
    b.host.put(Slot(0x999, 0, handle(0, 5), 3, bytes(range(36))))
    b.host.command(Command.STOP, 0, 5)
    b.host.send(0, Add(1), corr=4, generation=5)
    found = {slot.corr: slot for slot in b.run(6) if slot.kind >= 0x100}
    assert [found[i].reason for i in (1, 2, 3, 4)] == [
        Reason.NO_ACTOR, Reason.STALE, Reason.UNKNOWN_KIND, Reason.NO_ACTOR,
    ]  # fmt: skip
    assert found[3].data == bytes(range(36))


def test_a_killed_actor_runs_nothing_more(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.host.command(Command.SPAWN, 1, 3)
    b.run(1)
    b.host.kill(1, 3)
    for _ in range(20):
        b.kernel.step(2000)
    b.host.send(1, Add(1), corr=1, generation=3)
    b.host.command(Command.RESET, 1, 4)
    b.host.send(1, Add(1), corr=2, generation=4)
    bounced, _, reply = b.run(3)
    assert bounced.reason is Reason.STOPPED and b.host.reply(reply) == 1


def test_cm_1_cm_2_commands_act_once_and_unknown_ones_are_refused(
    bench: Callable[..., Bench],
) -> None:
    b = bench(actors=2)
    script = [
        (Command.SPAWN, 0, 0, Status.OK), (Command.SPAWN, 0, 0, Status.OK),
        (Command.SPAWN, 0, 1, Status.BAD_STATE), (Command.RESET, 1, 0, Status.BAD_STATE),
        (Command.STOP, 1, 0, Status.BAD_STATE), (Command.STOP, 0, 0, Status.OK),
        (Command.STOP, 0, 0, Status.OK), (Command.SPAWN, 0, 0, Status.BAD_STATE),
        (Command.SPAWN, 0, 1, Status.OK), (77, 0, 0, Status.UNSUPPORTED),
    ]  # fmt: skip
    for i, (kind, index, generation, _) in enumerate(script):
        b.host.command(kind, index, generation, corr=i + 1)
        [answer] = b.run(1)
        assert (answer.corr, answer.status) == (i + 1, script[i][3]), script[i]


def test_a_message_of_many_lines_and_a_block_of_warps(bench: Callable[..., Bench]) -> None:
    b = bench(Statistics, actors=1)
    assert b.host.geometry.in_lines == 6
    oracle = gpu.OracleActor(b.program)
    b.host.command(Command.SPAWN, 0)
    values = [tuple(float(i * k % 17) for i in range(64)) for k in (3, 1, 5)]
    sent = [Window(n, 0.5, v) for n, v in zip((64, 0, 33), values, strict=True)]
    for i, message in enumerate(sent):
        b.host.send(0, message, corr=i + 1, sender=1)
    replies = [b.host.reply(slot) for slot in b.run(4)[1:]]
    assert replies == [oracle.handle(message) for message in sent]


def test_rg_3_a_full_way_back_holds_everything_up_and_loses_nothing(
    bench: Callable[..., Bench],
) -> None:
    b = bench()
    b.host.command(Command.SPAWN, 0)
    sent = 0
    for _ in range(400):  # the host takes nothing
        while b.host.send(0, Add(1), corr=sent + 1):
            sent += 1
        b.kernel.step(500)
    assert b.host.dev("h2k_read") < sent < 64
    replies = b.run(sent + 1)
    assert [b.host.reply(slot) for slot in replies[1:]] == list(range(1, sent + 1))


def test_stop_ends_a_block_and_what_it_took_is_answered_or_comes_back(
    bench: Callable[..., Bench],
) -> None:
    b = bench()
    b.host.command(Command.SPAWN, 0)
    for i in range(12):
        b.host.send(0, Add(1), corr=i + 1)
    b.kernel.step(3000)
    b.host.line("stop", Stop.NOW)
    assert b.end() is Outcome.ENDED and b.host.dev("state") == State.ENDED
    back = b.host.take_all()
    assert len(back) == b.host.dev("h2k_read") == b.host.dev("k2h_written")
    assert all(slot.flags & Flag.REPLY or slot.reason is Reason.STOPPED for slot in back)


def test_poison_ends_a_block_after_all_that_was_sent_before(bench: Callable[..., Bench]) -> None:
    b = bench(actors=3, seed=5)
    for i in range(3):
        b.host.command(Command.SPAWN, i)
        b.host.send(i, Add(i), corr=i + 1)
        b.host.send(i, Read(0), corr=i + 11)
    b.host.command(Command.POISON, 0)
    found = b.run(10)
    assert b.end() is Outcome.ENDED
    assert found[-1].kind == Command.POISON and found[-1].status is Status.OK
    assert b.host.dev("handled") == 6 and b.host.dev("commands") == 4


def test_gp_3_without_a_heartbeat_the_kernel_leaves_within_its_lease(
    bench: Callable[..., Bench],
) -> None:
    b = bench(orphan_ns=1_000_000)
    b.host.command(Command.SPAWN, 0)
    b.run(1)
    before = b.kernel.now
    assert b.end() is Outcome.ENDED
    assert b.host.dev("state") == State.ORPHANED and b.kernel.now - before < 2_500_000


def test_gp_3_also_while_the_way_back_is_full(bench: Callable[..., Bench]) -> None:
    b = bench(orphan_ns=1_000_000)
    b.host.command(Command.SPAWN, 0)
    for _ in range(50):
        while b.host.send(0, Add(1), corr=1):
            pass
        b.host.beat()
        b.kernel.step(1000)
    assert b.end() is Outcome.ENDED and b.host.dev("state") == State.ORPHANED


@gpu.message(kind=0x0300)
class Spin:
    n: gpu.u32


@gpu.actor(level="warp")
class Spinner:
    steps: gpu.u32

    @ac.on
    def spin(self, m: Spin) -> gpu.u32:
        while m.n > 0:
            self.steps += 1
        return self.steps


def test_gp_4_a_loop_without_end_is_a_fault_of_its_budget(bench: Callable[..., Bench]) -> None:
    b = bench(Spinner, budget=1000)
    b.host.command(Command.SPAWN, 0)
    b.host.send(0, Spin(1), corr=1)
    _, error, failed = b.run(3)
    assert b.program.sites[error.fault - 1][0] == "budget" and failed.reason is Reason.FAILED


def test_deadlines_and_clocks_of_stamped_messages(bench: Callable[..., Bench]) -> None:
    b = bench(stamped=True)
    b.host.beat(wall_us=1_000_000)
    b.host.put(Slot(Command.SPAWN, Flag.STAMPED, 0, 1, b"", clock=1_000_000 << 12))
    [spawned] = b.run(1)
    assert spawned.flags & Flag.STAMPED and spawned.clock >> 12 >= 1_000_000
    ahead = 1_050_000 << 12 | 5
    b.host.send(0, Add(1), corr=1, clock=ahead, deadline=10_000)
    b.host.send(0, Add(1), corr=2, clock=900_000 << 12, deadline=10)
    b.host.send(0, Add(1), corr=3, clock=9_000_000_000 << 12)
    first, expired, last = b.run(3)
    assert first.clock > ahead, "HC-2"
    assert expired.reason is Reason.EXPIRED and expired.deadline == 10
    assert first.clock < last.clock < 2_000_000 << 12, "HC-3: too far ahead to be followed"


def test_the_executor_runs_it_by_the_clock_of_this_machine(cache: Cache) -> None:
    program = gpu.compile(Counter)
    host = Host(program)
    executor = EmulatorExecutor(program, host.region, -1, host.geometry, cache=cache)
    executor.start()
    with pytest.raises(UsageError, match="started before"):
        executor.start()
    host.command(Command.SPAWN, 0)
    host.command(Command.POISON, 0)
    assert executor.ended(10) and executor.outcome is Outcome.ENDED
    assert [slot.status for slot in host.take_all()] == [Status.OK, Status.OK]


def test_a_barrier_that_not_all_reach_is_named_with_who_waits(cache: Cache) -> None:
    program = gpu.compile(Statistics)
    host = Host(program, actors=1)
    right = "ac_bar(1, AC_TEAM_THREADS);"
    text = host.shape.text("emulator").replace(right, right.replace(")", " + 32)"))
    kernel = Emulation(
        program, host.region, host.geometry, cache=cache, text=text, watchdog=100_000
    )
    host.command(Command.SPAWN, 0)
    for _ in range(100):
        outcome = kernel.step(10_000)
        host.beat()
        if outcome is not Outcome.RUNS:
            break
    assert outcome is Outcome.STUCK
    dump = kernel.dump()
    assert "1 messages under way" in dump and "bar 1 at resident.h:" in dump, dump
    assert "128 of 160 are there" in dump
    kernel.close()


def test_the_same_seed_gives_the_same_run(cache: Cache) -> None:
    program = gpu.compile(Counter)

    def run(seed: int) -> tuple[int, tuple[int, ...]]:
        host = Host(program, actors=4)
        kernel = Emulation(program, host.region, host.geometry, seed=seed, cache=cache)
        for i in range(4):
            host.command(Command.SPAWN, i)
            host.send(i, Add(i), corr=i + 1)
        kernel.step(60_000)
        order = tuple(slot.corr for slot in host.take_all())
        end = hash(kernel.dump()), order
        kernel.close()
        return end

    assert run(3) == run(3)
    assert len({run(seed) for seed in range(1, 7)}) > 1


@gpu.message(kind=0x0310)
class Pass:
    to: gpu.Ref
    n: gpu.u32


@gpu.message(kind=0x0311)
class Passed:
    by: gpu.Ref
    last: gpu.Ref
    n: gpu.u32


def _relay(level: str) -> Any:
    class Relay:
        count: gpu.u32

        @ac.on
        def go(self, m: Pass) -> gpu.u32:
            self.count += 1
            gpu.tell(m.to, Passed(gpu.me(), gpu.sender(), m.n))
            if m.n > 1:
                gpu.tell(m.to, Passed(gpu.me(), gpu.sender(), m.n - 1))
            assert m.n != 9
            return self.count

    Relay.__annotations__["count"] = gpu.u32
    return gpu.actor(level=level)(Relay)


@pytest.mark.parametrize("level", ["thread", "block"])
def test_what_a_handler_tells_comes_before_its_reply(
    bench: Callable[..., Bench], level: str
) -> None:
    b = bench(_relay(level), actors=2, out_bytes=40)
    to = 5 | 3 << 32
    b.host.command(Command.SPAWN, 1)
    b.host.send(1, Pass(to, 2), corr=4, sender=6 << 32)
    b.host.send(1, Pass(to, 9), corr=5)
    _, first, second, reply, error, failed = b.run(6)
    for slot, n in ((first, 2), (second, 1)):
        assert (slot.kind, slot.flags, slot.dest, slot.corr) == (0x311, Flag.TOLD, 5, 3)
        assert slot.data[:4] == (1).to_bytes(4, "little")
        assert Passed.__gpu_record__.unpack(slot.data[4:]) == Passed(1, 6 << 32, n)  # type: ignore[attr-defined]
    assert b.host.reply(reply) == 1
    assert error.flags & Flag.ERROR and failed.reason is Reason.FAILED, (
        "and nothing of a failed one"
    )


def test_resume_ends_a_failure_with_the_state_kept(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.host.command(Command.SPAWN, 0)
    b.host.send(0, Add(3))
    b.host.send(0, Add(-1))
    b.host.command(Command.RESUME, 0)
    b.host.command(Command.RESUME, 1)
    b.host.send(0, Add(4), corr=1)
    found = b.run(6)
    assert [s.status for s in found if s.kind == Command.RESUME] == [Status.OK, Status.BAD_STATE]
    assert [b.host.reply(s) for s in found if s.corr == 1 and s.kind > 0x100] == [7]
