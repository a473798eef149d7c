"""Random handlers of a block, run by real threads under ThreadSanitizer: TR-1 and TR-4."""

from __future__ import annotations

import linecache
import random
from pathlib import Path
from typing import Any

import pytest
from test_levels import expected, run

import actinium as ac
from actinium import gpu

LENGTH = 12


class Maker:
    """Draws handlers whose threads never race, of integers, whose sums have no order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.fresh = 0

    def source(self, handlers: int) -> str:
        lines = []
        for i in range(handlers):
            lines += [
                f"@gpu.message(kind={0x100 + i})",
                f"class M{i}:",
                "    n: gpu.i32",
                "    k: gpu.i32",
            ]
        lines += ['@gpu.actor(level="block")', "class Made:"]
        lines += [f"    s{i}: gpu.i32" for i in range(3)]
        lines += [f"    a{i}: gpu.Array[gpu.i32, {LENGTH}]" for i in range(3)]
        for i in range(handlers):
            lines += ["    @ac.on", f"    def h{i}(self, m: M{i}) -> gpu.i32:"]
            lines += self.block(2, "        ")
            lines.append(f"        return {self.uniform(2)}")
        return "\n".join(lines) + "\n"

    def block(self, depth: int, pad: str) -> list[str]:
        out = []
        for _ in range(self.random.randint(2, 4)):
            out += self.statement(depth, pad)
        return out

    def uniform(self, depth: int) -> str:
        """An expression that is the same in all threads."""
        draw = self.random
        if depth == 0:
            leaves = ["m.n", "m.k", f"self.s{draw.randrange(3)}", str(draw.randint(0, 9))]
            leaves.append(f"self.a{draw.randrange(3)}[{draw.randrange(LENGTH)}]")
            return draw.choice(leaves)
        sign = draw.choice(("+", "-", "*", "^"))
        return f"gpu.i32({self.uniform(depth - 1)} {sign} gpu.i32({self.uniform(depth - 1)}))"

    def varying(self, index: str, arrays: list[str]) -> str:
        """An expression of one iteration, which reads only arrays that nobody writes meanwhile."""
        draw = self.random
        parts = [f"gpu.i32({index})", "m.k", f"self.s{draw.randrange(3)}"]
        parts += [f"self.{a}[({index} * 5 + {draw.randrange(9)}) % {LENGTH}]" for a in arrays]
        return f" {draw.choice('+-^')} ".join(draw.sample(parts, 2))

    def statement(self, depth: int, pad: str) -> list[str]:
        draw = self.random
        self.fresh += 1
        kind = draw.randrange(7 if depth else 5)
        arrays = ["a0", "a1", "a2"]
        bound = draw.choice((str(LENGTH), "m.n"))
        i = f"i{self.fresh}"
        if kind == 0:
            return [f"{pad}self.s{draw.randrange(3)} = {self.uniform(2)}"]
        if kind == 1:
            return [
                f"{pad}self.{draw.choice(arrays)}[{draw.randrange(LENGTH)}] += {self.uniform(1)}"
            ]
        if kind == 2:
            target = draw.choice(arrays)
            others = [a for a in arrays if a != target]
            return [
                f"{pad}for {i} in gpu.prange({bound}):",
                f"{pad}    self.{target}[{i}] = {self.varying(i, others)}",
            ]
        if kind == 3:
            x, how = f"x{self.fresh}", draw.choice(("add", "xor", "max"))
            step = {
                "add": f"{x} += {self.varying(i, arrays)}",
                "xor": f"{x} ^= {self.varying(i, arrays)}",
                "max": f"{x} = max({x}, {self.varying(i, arrays)})",
            }[how]
            return [
                f"{pad}{x}: gpu.i32 = {self.uniform(0)}",
                f"{pad}for {i} in gpu.prange({bound}):",
                f"{pad}    if {i} % 3 != m.k % 3:",
                f"{pad}        {step}",
                f"{pad}self.s{draw.randrange(3)} = gpu.reduce_{how}({x})",
            ]
        if kind == 4:
            target = draw.choice(arrays)
            others = [a for a in arrays if a != target]
            place = f"self.{target}[({i} * 7) % {LENGTH}]"
            return [
                f"{pad}for {i} in gpu.prange({bound}):",
                f"{pad}    gpu.atomic_add({place}, {self.varying(i, others)})",
            ]
        if kind == 5:
            lines = [f"{pad}if {self.uniform(1)} > {self.uniform(0)}:"]
            lines += self.block(depth - 1, pad + "    ")
            return [*lines, f"{pad}else:", *self.block(depth - 1, pad + "    ")]
        return [f"{pad}for {i} in range(3):", *self.block(depth - 1, pad + "    ")]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_tr_1_tr_4_threads_agree_with_the_oracle_and_never_race(tmp_path: Path, seed: int) -> None:
    source = Maker(seed).source(4)
    file = f"<block {seed}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"ac": ac, "gpu": gpu, "__name__": "made"}
    exec(compile(source, file, "exec"), scope)
    program = gpu.compile(scope["Made"])
    draw = random.Random(seed)
    messages = [
        scope[f"M{i % 4}"](draw.choice((0, 1, 7, LENGTH)), draw.randint(-5, 50)) for i in range(12)
    ]
    code, lines, words = run(tmp_path, program, messages)
    assert "WARNING: ThreadSanitizer" not in words, f"TR-4:\n{source}\n{words[:2000]}"
    assert code == 0 and lines == expected(program, messages), f"TR-1:\n{source}"
