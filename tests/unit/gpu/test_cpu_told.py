"""Handlers on this machine's processor that tell others, know themselves, and read the clock."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator

import pytest
from gpu_launch import Launch, Unanswered

import actinium as ac
from actinium import gpu
from actinium.gpu.abi.words import Command, Flag, Reason, handle
from actinium.gpu.layout.plan import plan_of


@gpu.message(kind=0x0150)
class Pass:
    to: gpu.Ref
    times: gpu.u32
    stop: gpu.bool32 = False


@gpu.message(kind=0x0151)
class Passed:
    n: gpu.u32
    by: gpu.Ref
    sender: gpu.Ref


@gpu.message(kind=0x0152)
class Now:
    x: gpu.u8 = 0


@gpu.actor(level="thread")
class Teller:
    count: gpu.u32 = 0

    @ac.on
    def give(self, m: Pass) -> gpu.u32:
        for i in range(m.times):
            gpu.tell(m.to, Passed(gpu.u32(i), gpu.me(), gpu.sender()))
        assert not m.stop
        self.count += m.times
        return self.count

    @ac.on
    def now(self, m: Now) -> gpu.u64:
        return gpu.now_us()


PROGRAM = gpu.compile(Teller)
TO = 5 << 32 | 77
ME = 0x0123_4567_89AB


class TellLaunch(Launch):
    """With the messages that it tells."""

    def __init__(self, **changes: int) -> None:
        super().__init__(PROGRAM, **changes)
        self.end.close()
        self.plans[Passed] = plan_of(gpu.record_of(Passed), 0x0151)
        self.end = self.attach()


@pytest.fixture
def launch() -> Iterator[TellLaunch]:
    made = TellLaunch(capacity=16)
    yield made
    made.close()


def spawn(launch: Launch) -> int:
    dest = handle(0, 1)
    got: list[bytes] = []
    me = struct.pack("<Q", ME)
    launch.end.put(Command.SPAWN, dest, me, waiter=got.append, flags=Flag.SENDER)
    launch.until(lambda: bool(got))
    assert got[0][0] == 0
    return dest


def test_what_a_handler_tells_comes_before_its_reply_with_its_source(launch: TellLaunch) -> None:
    dest = spawn(launch)
    got: list[int] = []
    # more than the way back holds at once: the block waits until there is room
    launch.end.ask(dest, launch.plans[Pass], Pass(TO, 40), launch.replies[Pass], got.append, 99)
    launch.until(lambda: bool(got))
    assert got == [40] and len(launch.events) == 40
    for i, (flags, kind, low, high, waiter, data, _) in enumerate(launch.events):
        assert (flags, kind, low, high, waiter) == (Flag.TOLD, 0x0151, 77, 5, None)
        assert data[:4] == struct.pack("<I", dest)
        assert launch.plans[Passed].unpack(data[4:]) == Passed(i, ME, 99)


def test_what_was_told_before_a_fault_is_sent_and_a_full_outbox_is_one(launch: TellLaunch) -> None:
    dest = spawn(launch)
    launch.tell(dest, Pass(TO, 2, True))
    launch.until(lambda: len(launch.events) == 4)
    assert [e[0] & Flag.TOLD for e in launch.events] == [Flag.TOLD, Flag.TOLD, 0, 0]
    assert launch.events[3][0] >> 10 & 15 == Reason.FAILED
    assert launch.command(Command.RESUME, dest)[0] == 0
    with pytest.raises(Unanswered) as raised:
        launch.ask_sync(dest, Pass(TO, 1000))
    site = struct.unpack_from("<II", raised.value.args[0][5])[1]
    assert PROGRAM.sites[site - 1][0] == "outbox"


def test_the_device_s_clock_follows_the_host_s_wall(launch: TellLaunch) -> None:
    dest = spawn(launch)
    at = launch.geometry.offsets["host_line"]
    launch.region[at : at + 16] = struct.pack("<QQ", 1, 1_700_000_000_000_000)
    end = time.monotonic() + 5
    while (now := launch.ask_sync(dest, Now())) < 1_700_000_000_000_000:
        assert time.monotonic() < end
    assert now < 1_700_000_010_000_000
    assert launch.ask_sync(dest, Now()) >= now
