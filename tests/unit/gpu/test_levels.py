"""Handlers run by several threads: a block as real threads, watched by ThreadSanitizer.

Barriers, elected stores and collectives are those of the generated text; the test only says what
a lane and a barrier are. Results must be the oracle's, and a text without its barriers is caught.
"""

from __future__ import annotations

import random
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from gpu_samples import Histogram, Logits, Sampler, Statistics, Summary, Window

from actinium import gpu
from actinium.errors import DeviceFault
from actinium.gpu.codegen.cache import Cache
from actinium.gpu.codegen.host import compiler
from actinium.gpu.executors.native import reply_room
from actinium.gpu.lang.marks import initial_state

LANES = 8
_BEFORE = f"""
#include <pthread.h>
#include <stdio.h>
static thread_local unsigned lane, round_;
static pthread_barrier_t barrier[4];  // one would order, for the sanitizer, what only came later
static unsigned long long ac_test_lane() {{ return lane; }}
static unsigned long long ac_test_lanes() {{ return {LANES}; }}
static void ac_test_sync() {{ pthread_barrier_wait(&barrier[round_++ % 4]); }}
#define AC_THREADS 1
"""


def _array(data: bytes) -> str:
    return "{" + ",".join(map(str, data or b"\0")) + "}"


def _main(program: Any, messages: list[Any], budget: int) -> str:
    """Handles the messages one after another with all lanes, and prints what came of each."""
    spec = program.spec
    functions = dict(zip(program.messages, program.functions, strict=True))
    out = [f"alignas(16) static unsigned char state[] = {_array(initial_state(spec))};"]
    out.append("static ac_ctx ctx; alignas(16) static unsigned char reply[256], outbox[4096];")
    out.append("static void show(const unsigned char* p, int n) {")
    out.append('  for (int i = 0; i < n; i++) printf("%02x", p[i]);\n}')
    for i, message in enumerate(messages):
        packed = _array(type(message).__gpu_record__.pack(message))
        out.append(f"alignas(16) static unsigned char m{i}[] = {packed};")
    out.append("static void* run(void* id) {\n  lane = (unsigned)(unsigned long long)id;")
    for i, message in enumerate(messages):
        _, record = reply_room(functions[type(message)])
        size = record.size if record is not None else 0
        kind = type(message).__gpu_kind__
        out.append(f"  ac_dispatch(&ctx, state, {kind}, m{i}, reply);\n  ac_test_sync();")
        out.append(
            f'  if (lane == 0) {{ show(reply, {size}); printf(" ");'
            f"  show(state, {spec.state.size}); "
            '    if (ctx.told) { printf(" "); show(ctx.outbox, ctx.told); }\n'
            f'printf(" %u\\n", ctx.fault); ctx.fault = ctx.told = 0; }}\n  ac_test_sync();'
        )
    out.append(f"  return 0;\n}}\nint main() {{\n  pthread_t t[{LANES}];")
    out.append(f"  ctx.budget = {budget}; ctx.outbox = outbox; ctx.room = sizeof outbox;")
    out.append(f"  for (auto& b : barrier) pthread_barrier_init(&b, 0, {LANES});")
    out.append(f"  for (long i = 0; i < {LANES}; i++) pthread_create(&t[i], 0, run, (void*)i);")
    out.append(f"  for (int i = 0; i < {LANES}; i++) pthread_join(t[i], 0);\n}}")
    return "\n".join(out)


def run(
    folder: Path, program: Any, messages: list[Any], change: Any = str, tsan: bool = True,
    budget: int = 0,
) -> Any:  # fmt: skip
    """(exit code, lines, ThreadSanitizer's words) of a block of threads."""
    text = _BEFORE + change(program.text("cpu")) + _main(program, messages, budget)
    path = folder / "block.cpp"
    path.write_text(text)
    flags = ["-std=c++17", "-O1", "-ffp-contract=off", "-pthread", "-w", "-fno-strict-aliasing"]
    flags += ["-fsanitize=thread"] if tsan else []
    subprocess.run([compiler()[0], *flags, "-o", str(folder / "block"), str(path)], check=True)
    done = subprocess.run(
        [str(folder / "block")], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def inputs(seed: int) -> list[Any]:
    draw = random.Random(seed)
    found: list[Any] = []
    for n in (64, 1, 33, 0, 40):
        values = tuple(gpu.f32(draw.randint(-50, 50) / 4) for _ in range(64))
        found.append(Window(n, 0.5, values))
        found.append(Histogram(n, tuple(draw.randrange(256) for _ in range(64))))
    return found


def _entry(to: int, message: Any) -> str:
    """A message as it lies in the outbox."""
    data = type(message).__gpu_record__.pack(message)
    head = struct.pack("<QII", to, type(message).__gpu_kind__, len(data))
    return (head + data + bytes(-len(data) % 8)).hex()


def expected(program: Any, messages: list[Any]) -> list[str]:
    oracle = gpu.OracleActor(program)
    functions = dict(zip(program.messages, program.functions, strict=True))
    lines = []
    for message in messages:
        reply = oracle.handle(message)
        _, record = reply_room(functions[type(message)])
        packed = (
            b"" if record is None else record.pack(reply if record.python else {"value": reply})
        )
        told = "".join(_entry(*each) for each in oracle.told)
        state = program.spec.state.pack(oracle.state).hex()
        lines.append(f"{packed.hex()} {state} {told + ' ' if told else ''}0")
    return lines


def test_tr_1_a_block_of_threads_gives_what_the_oracle_gives(tmp_path: Path) -> None:
    """The values are quarters, so that sums are exact in any order."""
    program = gpu.compile(Statistics)
    messages = inputs(1)
    code, lines, words = run(tmp_path, program, messages)
    assert "WARNING: ThreadSanitizer" not in words, f"TR-4: {words[:3000]}"
    assert code == 0 and lines == expected(program, messages)


@pytest.mark.slow
def test_tr_1_a_warp_of_threads_gives_what_the_oracle_gives(tmp_path: Path) -> None:
    program = gpu.compile(Sampler)
    draw = random.Random(2)
    messages = [
        Logits(k, 0.25, tuple(gpu.f32(draw.randint(-9, 9)) for _ in range(128)))
        for k in (1, 5, 128)
    ]
    code, lines, words = run(tmp_path, program, messages)
    assert code == 0, words[:3000]
    tokens = [line[:8] for line in lines]
    assert tokens == [line[:8] for line in expected(program, messages)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("no barriers", lambda text: re.sub(r"\n  +ac_sync<2>\(\);", "", text)),
        (
            "no leader",
            lambda text: text.replace("if (ac_lane<2>() == 0) self->count", "self->count"),
        ),
        ("no atomic", lambda text: re.sub(r"ac_atomic_add\(&(\S+?\[\w+\]), 1\)", r"\1++", text)),
    ],
    ids=["no barriers", "no leader", "no atomic"],
)
def test_tr_4_a_text_without_its_safeguards_is_caught(
    tmp_path: Path, name: str, change: Any
) -> None:
    program = gpu.compile(Statistics)
    assert change(program.text("cpu")) != program.text("cpu")
    for seed in range(3):
        _, lines, words = run(tmp_path, program, inputs(seed), change)
        if "WARNING: ThreadSanitizer" in words or lines != expected(program, inputs(seed)):
            return
    raise AssertionError(f"TR-4: {name} was not noticed")


def test_collectives_of_one_thread_are_its_own_values(tmp_path: Path) -> None:
    """The CPU runs a block with one thread: the same text, the same state, the same replies."""
    program = gpu.compile(Statistics)
    native, oracle = gpu.NativeActor(program, Cache(tmp_path)), gpu.OracleActor(program)
    for message in inputs(3):
        assert native.handle(message) == oracle.handle(message) and native.state == oracle.state
    assert isinstance(native.handle(inputs(3)[0]), Summary)


def test_a_fault_inside_prange_is_reported_and_nobody_waits(tmp_path: Path) -> None:
    program = gpu.compile(Statistics)
    bad = Window(65, 1.0, (0.0,) * 64)
    code, lines, _ = run(tmp_path, program, [bad], tsan=False)
    fault, file, line = program.sites[int(lines[0].split()[-1]) - 1]
    assert code == 0 and fault == "bounds"
    for actor in (gpu.NativeActor(program, Cache(tmp_path)), gpu.OracleActor(program)):
        with pytest.raises(DeviceFault) as caught:
            actor.handle(bad)
        assert (caught.value.fault, caught.value.file, caught.value.line) == (fault, file, line)
