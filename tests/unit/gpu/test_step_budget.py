"""GP-4: no handler runs past its budget of steps, and every executor counts alike."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import pytest
from test_levels import run

import actinium as ac
from actinium import gpu
from actinium.errors import DeviceFault, UsageError
from actinium.gpu.codegen.cache import Cache


@gpu.message(kind=0x0101)
class Endless:
    step: gpu.i32


@gpu.message(kind=0x0102)
class Rounds:
    n: gpu.i32


@gpu.message(kind=0x0103)
class Until:
    n: gpu.i32
    last: gpu.i32


@gpu.message(kind=0x0104)
class Known:
    n: gpu.i32


@gpu.message(kind=0x0105)
class Long:
    n: gpu.i32


@gpu.message(kind=0x0106)
class Inside:
    n: gpu.i32


@gpu.function
def spin(step: gpu.i32) -> gpu.i32:
    n = 0
    while True:
        n += step
        if n == 7:
            return gpu.i32(n)


@gpu.actor()
class Runaway:
    done: gpu.i64

    @ac.on
    def endless(self, m: Endless) -> gpu.i32:
        self.done += 1
        return spin(m.step)

    @ac.on
    def rounds(self, m: Rounds) -> gpu.i64:
        for _ in range(m.n):
            self.done += 1
        return self.done

    @ac.on
    def until(self, m: Until) -> gpu.i64:
        for i in range(m.n):
            self.done += 1
            if i == m.last:
                break
        return self.done

    @ac.on
    def known(self, m: Known) -> gpu.i64:
        for _ in range(100):
            for _ in gpu.prange(100):
                self.done += m.n
        return self.done

    @ac.on
    def long(self, m: Long) -> gpu.i64:
        for _ in range(1000):
            for _ in range(1000):
                for _ in range(1000):
                    self.done += m.n
        return self.done

    @ac.on
    def inside(self, m: Inside) -> gpu.i64:
        for i in gpu.prange(m.n):
            while i > 0:
                i -= 1
        return self.done


@gpu.actor(level="block")
class Shared:
    spun: gpu.Array[gpu.i32, 512]  # type: ignore[valid-type]
    last: gpu.i32

    @ac.on
    def rounds(self, m: Rounds) -> None:
        for i in gpu.prange(m.n):
            self.spun[i] = 1

    @ac.on
    def inside(self, m: Inside) -> None:
        for i in gpu.prange(40):
            n: gpu.i32 = 0
            while n < m.n:
                n += 1
            self.spun[i] = n
        self.last = self.spun[0]

    @ac.on
    def endless(self, m: Endless) -> None:
        for i in gpu.prange(3):
            self.spun[i] = spin(m.step) if i == 1 else m.step
        self.last = 1


@gpu.kernel
def each(n: gpu.i32, out: gpu.Buffer[gpu.i32]) -> None:
    for i in gpu.prange(len(out)):
        k: gpu.i32 = 0
        while k < n:
            k += 1
        out[i] = k


@gpu.stencil(dims=2)
def cell(g: gpu.Grid[gpu.f32], n: gpu.i32) -> gpu.f32:
    x = g[0, 0]
    for _ in range(n):
        x += 1.0
    return x


def line_of(text: str, nth: int = 1) -> int:
    """The line of this file where a loop stands."""
    lines = Path(__file__).read_text().splitlines()
    return [i for i, line in enumerate(lines, 1) if line.strip() == text][nth - 1]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(Path(tmp_path_factory.mktemp("gpu")))


def actors(cls: type, cache: Cache, **budget: int) -> list[Any]:
    program = gpu.compile(cls)
    return [gpu.NativeActor(program, cache, **budget), gpu.OracleActor(program, **budget)]


def ends(actor: Any, message: Any) -> int:
    """The line at which the message's handler runs out of steps."""
    with pytest.raises(DeviceFault, match=r"budget at .*test_step_budget.py") as caught:
        actor.handle(message)
    assert caught.value.fault == "budget"
    return caught.value.line


def test_gp_4_an_endless_loop_ends_at_its_line_and_the_actor_goes_on(cache: Cache) -> None:
    for actor in actors(Runaway, cache, max_steps=1000):
        assert ends(actor, Endless(2)) == line_of("while True:")
        assert actor.state["done"] == 1, "what it stored before stays"
        assert actor.handle(Endless(1)) == 7, "each message has the whole budget"


def test_gp_4_the_default_ends_an_endless_loop_too(cache: Cache) -> None:
    native, _ = actors(Runaway, cache)
    assert ends(native, Endless(2)) == line_of("while True:")


def test_gp_4_the_budget_is_exact(cache: Cache) -> None:
    for actor in actors(Runaway, cache, max_steps=10):
        assert actor.handle(Rounds(10)) == 10
        assert ends(actor, Rounds(11)) == line_of("for _ in range(m.n):")
        assert actor.state["done"] == 10, "a loop that is too long does not start"
        assert actor.handle(Until(1 << 30, 9)) == 20, "one that is left early counts as it goes"
        assert ends(actor, Until(1 << 30, 10)) == line_of("for i in range(m.n):")
        assert actor.state["done"] == 30
        assert actor.handle(Inside(4)) == 30  # 4 and 0 + 1 + 2 + 3
        assert ends(actor, Inside(5)) == line_of("while i > 0:")


def test_gp_4_loops_of_known_length_are_free_until_they_are_long(cache: Cache) -> None:
    for actor in actors(Runaway, cache, max_steps=10):
        assert actor.handle(Known(1)) == 10_000
        assert ends(actor, Long(1)) == line_of("for _ in range(1000):", 2)
    native, _ = actors(Runaway, cache, max_steps=1_000_000)
    assert native.handle(Long(1)) == 10**9, "the innermost loop is free, the one around it counts"


def test_a_budget_of_zero_is_none(cache: Cache) -> None:
    native, oracle = actors(Runaway, cache, max_steps=0)
    assert native.handle(Rounds(1 << 28)) == 1 << 28
    assert oracle.handle(Rounds(1000)) == 1000
    for wrong in (-1, 1 << 48, True, 1.5):
        with pytest.raises(
            UsageError, match=r"max_steps must be a number of 0\.\.2\*\*48 - 1, got"
        ):
            gpu.compile(Runaway, max_steps=wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="max_steps"):
            gpu.NativeActor(gpu.compile(Runaway), cache, max_steps=wrong)  # type: ignore[arg-type]


def test_gp_4_what_the_threads_of_a_block_count_is_added_up(cache: Cache) -> None:
    """40 iterations of m.n rounds are 40 * m.n steps, by whichever thread they are run."""
    for actor in actors(Shared, cache, max_steps=400):
        assert actor.handle(Rounds(64)) is None
        assert ends(actor, Rounds(401)) == line_of("for i in gpu.prange(m.n):", 2)
        assert actor.handle(Inside(10)) is None and actor.state["last"] == 10
        assert ends(actor, Inside(11)) == line_of("while n < m.n:")
        assert ends(actor, Endless(2)) == line_of("while True:")


def test_gp_4_the_threads_of_a_block_leave_together(tmp_path: Path) -> None:
    """One that exceeds alone, one that does with the others, and one that never ends."""
    program = gpu.compile(Shared)
    cases: list[tuple[Any, int]] = [
        (Inside(10), 0),
        (Inside(11), line_of("while n < m.n:")),
        (Inside(1 << 30), line_of("while n < m.n:")),
        (Endless(2), line_of("while True:")),
        (Rounds(400), 0),
        (Rounds(401), line_of("for i in gpu.prange(m.n):", 2)),
    ]
    messages = [message for message, _ in cases]
    code, lines, words = run(tmp_path, program, messages, tsan=False, budget=400)
    assert code == 0, words
    for shown, (message, line) in zip(lines, cases, strict=True):
        fault = int(shown.split()[-1])
        at = program.sites[fault - 1] if fault else ("", "", 0)
        assert at[0] == ("budget" if line else "") and at[2] == line, message


def test_gp_4_an_iteration_of_a_kernel_has_a_budget_of_its_own(cache: Cache) -> None:
    program = gpu.compile(each, max_steps=100)
    native, oracle = gpu.NativeKernel(program, cache), gpu.OracleKernel(program)
    for kernel, out in ((native, array("i", [0] * 50)), (oracle, [0] * 50)):
        kernel(100, out)
        assert list(out) == [100] * 50
        with pytest.raises(DeviceFault, match="budget") as caught:
            kernel(101, out)
        assert caught.value.line == line_of("while k < n:")


def test_gp_4_a_cell_of_a_stencil_has_a_budget_of_its_own(cache: Cache) -> None:
    program = gpu.compile(cell, max_steps=3)
    native, oracle = gpu.NativeKernel(program, cache), gpu.OracleKernel(program)
    for kernel, out in ((native, array("f", [0] * 4)), (oracle, [0.0] * 4)):
        grid = array("f", [1] * 4)
        kernel(grid, 3, shape=(2, 2), out=out)
        assert list(out) == [4] * 4
        with pytest.raises(DeviceFault, match="budget") as caught:
            kernel(grid, 4, shape=(2, 2), out=out)
        assert caught.value.line == line_of("for _ in range(n):")
