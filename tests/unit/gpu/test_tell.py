"""Messages out of a handler: who, in which order, how many; on every executor, and by a block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_levels import expected, run

import actinium as ac
from actinium import gpu
from actinium.errors import DeviceFault, LayoutError, UsageError
from actinium.gpu.codegen.cache import Cache
from actinium.gpu.ir.nodes import walk


@gpu.message(kind=0x0201)
class Joined:
    who: gpu.Ref
    at: gpu.u64


@gpu.message(kind=0x0202)
class News:
    text: gpu.u32
    halves: gpu.Array[gpu.f16, 3] = (0.5, 1.5, -2.0)  # type: ignore[valid-type]
    good: gpu.bool32 = True


@gpu.message(kind=0x0203)
class Join:
    who: gpu.Ref


@gpu.message(kind=0x0204)
class Leave:
    who: gpu.Ref


@gpu.message(kind=0x0205)
class Whisper:
    n: gpu.i32


@gpu.message(kind=0x0206)
class Best:
    n: gpu.i32
    values: gpu.Array[gpu.i32, 64]  # type: ignore[valid-type]


@gpu.message(kind=0x0207)
class Found:
    at: gpu.i32
    value: gpu.i32


@gpu.function
def welcome(who: gpu.Ref) -> None:
    gpu.tell(who, Joined(gpu.me(), gpu.now_us()))


@gpu.actor()
class Room:
    """Passes on what it hears to everybody but who said it."""

    members: gpu.Array[gpu.Ref, 4]  # type: ignore[valid-type]
    last: News
    keeper: gpu.Ref

    @ac.on
    def join(self, m: Join) -> gpu.bool32:
        who = m.who if m.who else gpu.sender()
        for i in range(len(self.members)):
            if self.members[i] == 0:
                self.members[i] = who
                welcome(who)
                return True
        return False

    @ac.on
    def leave(self, m: Leave) -> gpu.u64:
        for i in range(4):
            if self.members[i] == m.who:
                self.members[i] = 0
        self.keeper = gpu.sender()
        return gpu.u64(self.keeper) % 100

    @ac.on
    def news(self, m: News) -> None:
        self.last = m
        self.last.text += 1
        for who in self.members:
            if who != 0 and who != gpu.sender():
                gpu.tell(who, m)
                gpu.tell(who, self.last)
        assert m.text < 100

    @ac.on
    def whisper(self, m: Whisper) -> None:
        for i in range(m.n):
            gpu.tell(self.members[0], Found(gpu.i32(i), -1))


@gpu.actor(level="block")
class Search:
    """A block looks for the largest of each stride, and tells them in order."""

    top: gpu.Array[Found, 8]  # type: ignore[valid-type]
    boss: gpu.Ref

    @ac.on
    def join(self, m: Join) -> None:
        self.boss = m.who

    @ac.on
    def best(self, m: Best) -> None:
        for k in gpu.prange(8):
            self.top[k] = Found(-1, -(2**31))
            for i in range(8):
                if m.values[8 * k + i] > self.top[k].value:
                    self.top[k] = Found(gpu.i32(8 * k + i), m.values[8 * k + i])
        for k in range(m.n):
            gpu.tell(self.boss, self.top[k])
            if k == 0:
                self.top[0].at = 0
        for k in gpu.prange(8):
            self.top[k].value = 0


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(Path(tmp_path_factory.mktemp("gpu")))


def actors(cls: type, cache: Cache, **words: Any) -> list[Any]:
    program = gpu.compile(cls)
    found = [gpu.NativeActor(program, cache, **words), gpu.OracleActor(program, **words)]
    for actor in found:
        actor.me, actor.now_us = 77, 1_700_000_000_000_000
    return found


def test_a_handler_tells_who_asked_and_who_is_in_its_state(cache: Cache) -> None:
    top = (1 << 64) - 1
    for actor in actors(Room, cache):
        assert actor.handle(Join(top)) is True
        assert actor.told == [(top, Joined(77, 1_700_000_000_000_000))]
        assert actor.handle(Join(0), sender=5) is True and actor.told[0][0] == 5
        assert actor.handle(Join(6)) is True
        assert actor.handle(Leave(6), sender=1234) == 34 and actor.told == []
        assert actor.state["members"] == (top, 5, 0, 0) and actor.state["keeper"] == 1234
        assert actor.handle(News(3), sender=5) is None
        assert actor.told == [(top, News(3)), (top, News(4))]


def test_tr_2_messages_are_told_in_the_order_of_the_program(cache: Cache) -> None:
    for actor in actors(Room, cache):
        for who in (1, 2, 3):
            actor.handle(Join(who))
        actor.handle(News(9))
        assert [(who, m.text) for who, m in actor.told] == [
            (1, 9), (1, 10), (2, 9), (2, 10), (3, 9), (3, 10),
        ]  # fmt: skip


def test_what_was_told_before_a_fault_stays_told(cache: Cache) -> None:
    for actor in actors(Room, cache):
        actor.handle(Join(1))
        with pytest.raises(DeviceFault, match="assert"):
            actor.handle(News(100))
        assert [m.text for _, m in actor.told] == [100, 101]


def test_a_full_outbox_is_a_fault_at_its_line(cache: Cache) -> None:
    """24 bytes for each: 16 and the message."""
    lines = Path(__file__).read_text().splitlines()
    at = 1 + next(i for i, line in enumerate(lines) if "Found(gpu.i32(i), -1)" in line)
    for actor in actors(Room, cache, outbox=24 * 3 + 23):
        actor.handle(Whisper(3))
        assert [m.at for _, m in actor.told] == [0, 1, 2]
        with pytest.raises(DeviceFault, match="outbox") as caught:
            actor.handle(Whisper(4))
        assert (caught.value.fault, caught.value.line) == ("outbox", at)
        assert len(actor.told) == 3
        actor.handle(Whisper(1))
        assert len(actor.told) == 1, "each handler has the whole outbox"
    for actor in actors(Room, cache, outbox=0):
        with pytest.raises(DeviceFault, match="outbox"):
            actor.handle(Whisper(1))


def test_a_program_says_what_it_tells() -> None:
    assert gpu.compile(Room).told == [Joined, News, Found]
    assert gpu.compile(Search).told == [Found]


def test_a_block_of_threads_tells_once_and_in_order(tmp_path: Path, cache: Cache) -> None:
    program = gpu.compile(Search)
    values = tuple((i * 37) % 64 for i in range(64))
    messages: list[Any] = [Join(9), Best(3, values), Best(8, values)]
    code, lines, words = run(tmp_path, program, messages)
    assert "WARNING: ThreadSanitizer" not in words, words[:3000]
    assert code == 0 and lines == expected(program, messages)


def test_tr_2_no_pass_touches_a_tell() -> None:
    for function in gpu.compile(Room).functions:
        tells = [op for op in walk(function.body) if op.name == "tell"]
        wanted = {"Room_join": 1, "Room_leave": 0, "Room_news": 2, "Room_whisper": 1}
        assert len(tells) == wanted[function.name]


def test_a_handle_is_no_number() -> None:
    with pytest.raises(LayoutError, match=r"Join.who is Ref: expected 0..18446744073709551615"):
        Join.__gpu_record__.pack(Join(-1))  # type: ignore[attr-defined]
    with pytest.raises(LayoutError, match="Grid takes a number type"):
        gpu.Grid[gpu.Ref]
    for call in (gpu.me, gpu.sender, gpu.now_us, lambda: gpu.tell(0, Join(1))):
        with pytest.raises(UsageError, match="belongs in a handler"):
            call()


def test_two_told_messages_of_one_kind_are_refused() -> None:
    @gpu.message(kind=0x0207)
    class Other:
        at: gpu.i32

    @gpu.actor()
    class Both:
        x: gpu.i32

        @ac.on
        def join(self, m: Join) -> None:
            gpu.tell(m.who, Other(1))
            gpu.tell(m.who, Found(1, 2))

    with pytest.raises(UsageError, match="Both tells messages of two classes of kind 0x0207"):
        gpu.compile(Both)
