"""What the language means: each case runs on the oracle and on the CPU, and both must say so."""

from __future__ import annotations

import enum
import math
from pathlib import Path
from typing import Any

import pytest

import actinium as ac
from actinium import gpu
from actinium.errors import DeviceFault, Unhandled, UsageError
from actinium.gpu.codegen.cache import Cache

SCALE = 3
TABLE = (10, 20, 30)


class Mode(enum.IntEnum):
    FAST = 1
    SLOW = 2


@gpu.state
class Point:
    x: gpu.i32
    y: gpu.i32 = 7


@gpu.message(kind=0x0101)
class Pair:
    a: gpu.i32
    b: gpu.i32


@gpu.message(kind=0x0102)
class Floats:
    a: gpu.f32
    b: gpu.f32


@gpu.message(kind=0x0103)
class Halves:
    a: gpu.f16
    b: gpu.f16


@gpu.message(kind=0x0104)
class Small:
    a: gpu.i8
    b: gpu.u8


@gpu.message(kind=0x0105)
class Count:
    n: gpu.i32


@gpu.message(kind=0x0106)
class At:
    i: gpu.i64
    value: gpu.i32


@gpu.message(kind=0x0107)
class Move:
    by: Point
    mode: gpu.i32


@gpu.message(kind=0x0108)
class Chain:
    x: gpu.i32


@gpu.message(kind=0x0109)
class Order:
    n: gpu.u8


@gpu.message(kind=0x010A)
class Search:
    x: gpu.i32


@gpu.message(kind=0x010B)
class Wide:
    a: gpu.u64
    b: gpu.i64


@gpu.message(kind=0x010C)
class Nothing:
    x: gpu.i32


@gpu.function
def collatz(n: gpu.i32) -> gpu.i32:
    """How long until 1; returns from inside of a loop."""
    steps = 0
    while True:
        if n == 1 or steps >= 100:
            return gpu.i32(steps)
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1


@gpu.function
def bump(state: Point, by: gpu.i32 = 2) -> None:
    state.x += by


@gpu.actor(level="thread")
class Machine:
    where: Point
    points: gpu.Array[Point, 3]  # type: ignore[valid-type]
    row: gpu.Array[gpu.i32, 5] = (5, 4, 3, 2, 1)  # type: ignore[valid-type]
    log: gpu.i64
    seen: gpu.bool32
    half: gpu.f16

    def note(self, n: gpu.i32) -> gpu.i64:
        self.log = self.log * 10 + n
        return self.log

    def yes(self, n: gpu.i32) -> gpu.bool32:
        self.note(n)
        return n > 0

    @ac.on
    def divide(self, m: Pair) -> gpu.i64:
        q, r = divmod(m.a, m.b)
        assert q == m.a // m.b and r == m.a % m.b
        return q * 1000 + r

    @ac.on
    def floats(self, m: Floats) -> gpu.f64:
        s = 0.0
        for k in range(4):
            s += m.a * gpu.f32(k) % m.b + m.a // m.b
        return s + max(m.a, m.b) - abs(m.a) ** 2

    @ac.on
    def halves(self, m: Halves) -> gpu.f16:
        self.half = m.a * m.b + 1
        return self.half / 3

    @ac.on
    def small(self, m: Small) -> gpu.i32:
        wide = m.a + m.b  # i8 and u8 meet in i16
        narrow = m.a * m.a  # i8 wraps
        return wide * 1000 + narrow + (m.a << 2) + (m.b >> 1) + ~m.a + gpu.i32(m.a > 0)

    @ac.on
    def counts(self, m: Count) -> gpu.i32:
        total = 0
        for i in range(m.n, -3, -2):
            if i == 1:
                continue
            if i == -1:
                break
            for j in gpu.unroll(3):
                total += i * TABLE[j]
        k = 4 * SCALE
        for value in self.row:
            total += value * k
        last = 100
        for i in range(m.n):
            last = gpu.i64(i)
        return gpu.i32(total) + collatz(m.n) + gpu.i32(last) + Mode.SLOW

    @ac.on
    def at(self, m: At) -> gpu.i32:
        old = self.row[m.i]
        self.row[m.i] = m.value
        self.row[-1] += 1
        self.points[m.i % 3].x = m.value
        self.points[1] = Point(m.value, y=9)
        return old + self.points[m.i % 3].y + len(self.row)

    @ac.on
    def move(self, m: Move) -> Point:
        here = self.where
        match m.mode:
            case Mode.FAST | 5:
                here.x += m.by.x
            case -1 if m.by.y > 0:
                bump(here)
            case 3:
                self.where = m.by
            case _:
                bump(self.where, by=m.by.y)
        return Point(here.x, here.y)

    @ac.on
    def chain(self, m: Chain) -> gpu.i64:
        self.log = 0
        if 0 < self.note(1) < m.x < self.note(2) or (self.yes(m.x) and not self.yes(-m.x)):
            self.note(3)
        self.seen = self.seen != (m.x > 3)
        return self.log if self.seen else -self.log

    @ac.on
    def order(self, m: Order) -> gpu.i64:
        late = 3
        for _ in range(m.n):
            late += 1
        late: gpu.u8 = 0  # an annotation holds for the whole function
        a, b = 1, 1
        for _ in range(m.n):
            a, b = b, a + b
        x: gpu.u8 = 250
        x += m.n
        return a * 1000 + x + late

    @ac.on
    def search(self, m: Search) -> gpu.i32:
        found = -1
        for i in range(len(self.row)):
            if self.row[i] == m.x:
                found = i
                break
        return gpu.i32(found)

    @ac.on
    def wide(self, m: Wide) -> gpu.u64:
        return (m.a * 3 + gpu.u64(m.b)) ^ (m.a >> gpu.u64(m.b)) ^ gpu.u64(gpu.f64(m.b) * 1.5)

    @ac.on
    def nothing(self, m: Nothing) -> None:
        if m.x > 0:
            self.log = 1
            return
        self.log = 2


@pytest.fixture(scope="module")
def actors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    program = gpu.compile(Machine)
    cache = Cache(Path(tmp_path_factory.mktemp("cache")))
    return gpu.NativeActor(program, cache), gpu.OracleActor(program)


def fresh(actors: tuple[Any, Any], message: Any) -> Any:
    """The reply to one message by two fresh actors, which must agree; the state is kept on them."""
    replies = []
    for actor in actors:
        actor.reset()
        replies.append(actor.handle(message))
    assert repr(replies[0]) == repr(replies[1]), replies
    assert actors[0].state == actors[1].state
    return replies[0]


@pytest.mark.parametrize("a", [7, -7, 0, -(2**31)])
@pytest.mark.parametrize("b", [2, -2, 3, -1])
def test_division_rounds_down(actors: Any, a: int, b: int) -> None:
    assert fresh(actors, Pair(a, b)) == gpu.i32(gpu.i32(a // b) * 1000 + a % b)


@pytest.mark.parametrize(
    ("a", "b"), [(5.5, 2.0), (-5.5, 2.0), (5.5, -2.0), (-0.0, 3.0), (7.0, 7.0)]
)
def test_float_division_is_pythons(actors: Any, a: float, b: float) -> None:
    expected = sum(a * k % b + a // b for k in range(4)) + max(a, b) - abs(a) ** 2
    assert fresh(actors, Floats(a, b)) == expected


def test_division_of_floats_by_zero_is_ieee(actors: Any) -> None:
    assert math.isnan(fresh(actors, Floats(1.0, 0.0)))


def test_halves_are_rounded_after_each_operation(actors: Any) -> None:
    product = gpu.f16(gpu.f16(0.1) * 3.0)
    assert fresh(actors, Halves(0.1, 3.0)) == gpu.f16(gpu.f16(product + 1) / 3)
    assert actors[0].state["half"] == gpu.f16(product + 1)


@pytest.mark.parametrize(("a", "b"), [(100, 200), (-128, 255), (16, 0)])
def test_narrow_integers_wrap_at_their_width_and_promote_exactly(
    actors: Any, a: int, b: int
) -> None:
    i16 = gpu.i16
    wide = i16(i16(a + b) * 1000)  # i16 times a literal stays i16
    sum_ = i16(i16(wide + gpu.i8(a * a)) + gpu.i8(a << 2))
    assert fresh(actors, Small(a, b)) == i16(i16(sum_ + (b >> 1)) + ~a) + (a > 0)


@pytest.mark.parametrize("n", [1, 4, 7])
def test_loops_and_helpers(actors: Any, n: int) -> None:
    total = 0
    for i in range(n, -3, -2):
        if i == 1:
            continue
        if i == -1:
            break
        total += i * 60
    total += sum((5, 4, 3, 2, 1)) * 12
    steps, k = 0, n
    while k != 1:
        k = k // 2 if k % 2 == 0 else 3 * k + 1
        steps += 1
    assert fresh(actors, Count(n)) == total + steps + n - 1 + 2


def test_elements_fields_and_negative_indices(actors: Any) -> None:
    assert fresh(actors, At(-2, 77)) == 2 + 9 + 5
    state = actors[0].state
    assert state["row"] == (5, 4, 3, 77, 2) and state["points"][1] == Point(77, 9)
    for index in (5, -6):
        for actor in actors:
            with pytest.raises(DeviceFault) as caught:
                actor.handle(At(index, 0))
            assert caught.value.fault == "bounds" and caught.value.file == __file__


@pytest.mark.parametrize(
    ("mode", "by", "reply"),
    [
        (1, Point(3), Point(3, 0)), (5, Point(4), Point(4, 0)), (-1, Point(1, 1), Point(2, 0)),
        (3, Point(8, 8), Point(8, 8)), (9, Point(1, 6), Point(6, 0)),
    ],
)  # fmt: skip
def test_match_and_records_by_reference(actors: Any, mode: int, by: Point, reply: Point) -> None:
    assert fresh(actors, Move(by, mode)) == reply


@pytest.mark.parametrize("x", [-5, 0, 5, 11])
def test_operands_are_evaluated_once_and_only_if_needed(actors: Any, x: int) -> None:
    log: list[int] = []

    def note(n: int) -> int:
        log.append(n)
        total = 0
        for x in log:
            total = total * 10 + x
        return total

    def yes(n: int) -> bool:
        note(n)
        return n > 0

    if 0 < note(1) < x < note(2) or (yes(x) and not yes(-x)):
        note(3)
    digits = note(0) // 10
    assert fresh(actors, Chain(x)) == (digits if x > 3 else -digits)


def test_locals_of_literals_and_annotated_ones(actors: Any) -> None:
    assert fresh(actors, Order(10)) == 89 * 1000 + 4
    assert fresh(actors, Order(90)) == gpu.i64(4660046610375530309 * 1000) + 84


def test_break_leaves_with_what_the_loop_carries(actors: Any) -> None:
    assert fresh(actors, Search(2)) == 3 and fresh(actors, Search(9)) == -1


def test_64_bits(actors: Any) -> None:
    a, b = (1 << 64) - 5, -3
    expected = gpu.u64(a * 3 + b) ^ (a >> (b % 64)) ^ 0  # -4.5 saturates to 0
    assert fresh(actors, Wide(a, b)) == expected


def test_a_literal_is_compared_in_the_type_that_it_meets(tmp_path: Path) -> None:
    @gpu.actor()
    class Equal:
        x: gpu.f32 = 0.1

        @ac.on
        def count(self, m: Count) -> gpu.i32:
            return gpu.i32(self.x == 0.1) + 2 * gpu.i32(self.x <= 0.1) + 4 * gpu.i32(self.x > 0.1)

    program = gpu.compile(Equal)
    for actor in (gpu.NativeActor(program, Cache(tmp_path)), gpu.OracleActor(program)):
        assert actor.handle(Count(1)) == 3


def test_no_reply_is_none(actors: Any) -> None:
    assert fresh(actors, Nothing(1)) is None and actors[0].state["log"] == 1


def test_division_by_zero_stops_the_handler_at_its_line(actors: Any) -> None:
    lines = set()
    for actor in actors:
        with pytest.raises(DeviceFault, match=r"divide at .*test_language.py:") as caught:
            actor.handle(Pair(1, 0))
        lines.add(caught.value.line)
    assert len(lines) == 1


def test_the_defaults_of_the_class_body_are_the_first_state(actors: Any) -> None:
    for actor in actors:
        actor.reset()
        assert actor.state["row"] == (5, 4, 3, 2, 1) and actor.state["where"] == Point(0, 0)


def test_a_message_without_a_handler_is_unhandled(actors: Any) -> None:
    @gpu.message(kind=0x0200)
    class Other:
        x: gpu.i32

    for actor in actors:
        with pytest.raises(Unhandled, match=r"Machine has no handler for Other"):
            actor.handle(Other(1))
    with pytest.raises(UsageError, match=r"expected a class with @gpu.actor"):
        gpu.compile(Other)


def test_the_text_needs_no_header_of_the_host_on_cuda() -> None:
    text = gpu.compile(Machine).text("cuda")
    includes = [line for line in text.splitlines() if line.lstrip().startswith("#include")]
    assert includes == ["#include <math.h>"]  # within #else of __CUDACC__
