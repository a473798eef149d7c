"""The texts of refused programs: where, what is wrong, what to write. Pinned in gpu_refusals.txt.

To change a text on purpose: ``python tests/messages/test_gpu_texts.py`` writes the file anew, and
the difference is read before it is committed.
"""

from __future__ import annotations

import linecache
import math
from pathlib import Path
from typing import Any

import pytest

import actinium as ac
from actinium import gpu
from actinium.errors import CompileError

GOLDEN = Path(__file__).with_name("gpu_refusals.txt")

HEAD = """
NAMES = ["a", "b"]
GREETING = "hello"
THREE = (1, 2, 3)

def plain(x):
    return x

@gpu.function
def twice(x: gpu.f32) -> gpu.f32:
    return x + x

@gpu.function
def endless(x: gpu.i32) -> gpu.i32:
    return endless(x) + 1

@gpu.function
def untyped(x) -> gpu.i32:
    return 1

@gpu.function
def widthless(x: int) -> gpu.i32:
    return 1

@gpu.function
def silent(x: gpu.i32):
    return x

@gpu.function
def maybe(x: gpu.i32) -> gpu.i32:
    if x > 0:
        return 1

@gpu.function
def many(*x: gpu.i32) -> gpu.i32:
    return 1

@gpu.function
def tiny(x: gpu.f32) -> gpu.f8e4m3:
    return gpu.f8e4m3(x)

@gpu.state
class Point:
    x: gpu.f32
    y: gpu.f32

@gpu.message(kind=0x100)
class M:
    i: gpu.i32
    u: gpu.u64
    l: gpu.i64
    f: gpu.f32
    d: gpu.f64
    flag: gpu.bool32
    to: gpu.Ref
    at: Point
    row: gpu.Array[gpu.i32, 4]

@gpu.actor(level="LEVEL")
class A:
    n: gpu.i32
    f: gpu.f32
    where: Point
    row: gpu.Array[gpu.i32, 4]
    big: gpu.Array[gpu.i32, 512]

    @ac.on
    def handle(self, m: M) -> gpu.i32:
"""
KERNEL = """
@gpu.kernel
def k(n: gpu.i32, x: gpu.Buffer[gpu.f32], y: gpu.Buffer[gpu.f32]) -> None:
"""
STENCIL = """
@gpu.stencil(dims=2)
def k(g: gpu.Grid[gpu.f32], n: gpu.i32) -> gpu.f32:
"""

# (name, what precedes the body, level, body)
_THREAD = """
list-comprehension: x = [i for i in range(3)]; return 1
set-comprehension: x = {i for i in range(3)}; return 1
dict-comprehension: x = {i: i for i in range(3)}; return 1
generator: x = (i for i in range(3)); return 1
list: x = [1, 2]; return 1
dict: x = {1: 2}; return 1
set: x = {1, 2}; return 1
lambda: f = lambda x: x; return 1
f-string: x = f"{m.i}"; return 1
string: x = "text"; return 1
bytes: x = b"text"; return 1
none: x = None; return 1
ellipsis: x = ...; return 1
complex: x = 2j; return 1
yield: yield m.i
yield-from: yield from m.row
walrus: x = (y := m.i); return 1
starred: x = (*THREE, 4); return 1
slice: x = m.row[1:2]; return 1
matmul: return m.i @ m.i
identity: return 1 if m.i is 3 else 2
membership: return 1 if m.i in (1, 2) else 2
try: |try:|    return 1|finally:|    pass
raise: raise ValueError
with: |with m:|    return 1
global: global NAMES; return 1
del: x = m.i; del x; return 1
import: import math; return 1
import-from: from math import pi; return 1
nested-def: |def f(): pass|return 1
nested-class: |class C: pass|return 1
loop-else-while: |while m.i > 0:|    pass|else:|    pass|return 1
loop-else-for: |for i in range(3):|    pass|else:|    pass|return 1
undefined-name: return nn + 1
undefined-near: return tvice(m.f)
maybe-undefined: |if m.i > 0:|    x = m.i|return x
maybe-undefined-loop: |for i in range(m.i):|    x = i|return x
no-field: return self.nn
no-field-of-message: return m.j
attribute: return m.i.real
unknown-attribute: return gpu.sqroot(m.f)
subscript: return m.i[0]
tuple-index: return THREE[m.i]
constant-index-tuple: return THREE[3]
constant-index: return m.row[4]
index-type: return m.row[m.f]
array-value: x = m.row; return x + 1
array-assigned: self.row = m.row; return 1
record-as-number: return m.at + 1
string-constant: return GREETING
mutable-constant: return NAMES[0]
type-mismatch-return: return m.l
type-mismatch-store: self.n = m.l; return 1
type-mismatch-float: self.f = m.d; return 1
type-mismatch-annotated: x: gpu.i32 = m.l; return x
no-common-type: return m.u + m.l
no-common-type-float: x = m.l * m.f; return 1
bool-arithmetic: return m.flag + 1
bool-number: return 1 if m.i == True else 0
bool-order: return 1 if m.flag < m.flag else 0
logic-type: return 1 if m.i and m.flag else 0
unary-type: return -m.flag
unary-float: return ~m.f
float-bits: x = m.f & 1.0; return 1
literal-range: return m.i + 5000000000
literal-range-u: x = m.u + -1; return 1
literal-choice: x: gpu.i8 = 300 if m.flag else 1; return 1
literal-float: x: gpu.i32 = 1.5; return x
constant: return 2 ** 5000
constant-overflow: return 1e300 ** 2
division-by-zero: return 1 // 0
division-by-zero-typed: return m.i // 0
wide-division: x = m.l / m.l; return 1
shift-count: return m.i << 32
shift-type: return m.i << m.f
signed-power: return m.i ** m.i
negative-power: return m.i ** -1
retype: x = m.i; x = m.f; return 1
retype-record: x = m.at; x = m.i; return 1
retype-number: x = m.i; x = m.at; return 1
two-annotations: x: gpu.i32 = 1; x: gpu.i64 = 2; return 1
annotation-type: x: int = 1; return x
small-implicit: x: gpu.f8e4m3 = m.f; return 1
small-arithmetic: x: gpu.f8e4m3 = tiny(m.f) * tiny(m.f); return 1
native: x = gpu.f16(m.f, native=True); return 1
native-value: x = gpu.f8e4m3(m.f, native=m.flag); return 1
annotated-field: self.n: gpu.i32 = 1; return 1
read-only: m.i = 1; return 1
read-only-element: m.row[0] = 1; return 1
assign-target: THREE.x = 1; return 1
unpack: a, b = 1, 2, 3; return a
unpack-number: a, b = m.i; return a
no-effect: m.i + 1; return 1
unknown-call: return plain(m.i)
unknown-print: print(m.i); return 1
unknown-builtin: return sorted(m.row)
call: return m.i(1)
keyword: return abs(x=m.i)
operand-count: return abs(m.i, m.i)
operand-count-cast: return gpu.i32()
arguments: x = twice(); return 1
argument-type: x = twice(m.at); return 1
argument-mismatch: x = twice(m.d); return 1
no-annotation: return untyped(1)
no-width: return widthless(1)
no-result: x = silent(1); return 1
missing-return: return maybe(1)
variadic: return many(1)
recursion: return endless(1)
intrinsic-type: return gpu.popc(m.f)
intrinsic-bool: x = gpu.sqrt(m.flag); return 1
range-type: |for i in range(m.f):|    pass|return 1
range-step: |for i in range(0, 9, m.i):|    pass|return 1
range-zero: |for i in range(0, 9, 0):|    pass|return 1
iterable: |for i in m.i:|    pass|return 1
unroll-bounds: |for i in gpu.unroll(m.i):|    pass|return 1
unroll-many: |for i in gpu.unroll(1000):|    pass|return 1
unroll-break: |for i in gpu.unroll(3):|    break|return 1
loop-name: |x = m.at|for i in range(3):|    x = self.where|return 1
len: return len(m.i)
record-field: p = Point(1.0); return 1
record-unknown: p = Point(1.0, 2.0, z=3.0); return 1
record-type: self.where = m.i; return 1
result-none: return
result-record: return m.at
pattern: |match m.i:|    case [a, b]:|        pass|return 1
atomic-place: return gpu.atomic_add(m.i, 1)
atomic-local: x = m.i; gpu.atomic_add(x, 1); return 1
atomic-type: x = gpu.atomic_min(self.f, 1.0); return 1
par-break: |for i in gpu.prange(3):|    break|return 1
par-return: |for i in gpu.prange(3):|    return 1|return 1
scan-message: gpu.scan_add(m.row); return 1
scan-number: gpu.scan_max(self.n); return 1
scan-count: gpu.scan_min(self.row, m.f); return 1
scan-operands: gpu.scan_add(); return 1
scan-value: x = gpu.scan_add(self.row); return 1
ref-arithmetic: x = m.to + 1; return 1
ref-order: return 1 if m.to < m.to else 0
ref-largest: x = max(m.to, m.to); return 1
ref-mixed: return 1 if m.to == m.u else 0
ref-number: return 1 if m.to == 5 else 0
ref-made: x = gpu.Ref(5); return 1
ref-made-of-a-number: x = gpu.Ref(m.u); return 1
ref-cast: x = gpu.i32(m.to); return 1
ref-unary: x = -m.to; return 1
ref-abs: x = abs(m.to); return 1
ref-retyped: |x = 0|if m.i:|    x = m.to|return 1
tell-who: gpu.tell(m.u, m); return 1
tell-what: gpu.tell(m.to, m.at); return 1
tell-count: gpu.tell(m.to); return 1
tell-value: x = gpu.tell(m.to, m); return 1
sender-count: x = gpu.sender(1); return 1
"""
_BLOCK = """
partial-value: |s = 0|for i in gpu.prange(m.i):|    s += i|return gpu.i32(s)
partial-other: |s = 0|for i in gpu.prange(m.i):|    s += i|return gpu.i32(gpu.reduce_max(s))
carried: |s = 0|for i in gpu.prange(m.i):|    s = s * 2 + i|return gpu.i32(gpu.reduce_add(s))
carried-read: |s = 0|for i in gpu.prange(m.i):|    s += s + i|return gpu.i32(gpu.reduce_add(s))
carried-mixed: |s = 1|for i in gpu.prange(m.i):|    s += i|    s *= 2|return gpu.i32(gpu.reduce_add(s))
racing-store: |for i in gpu.prange(m.i):|    self.n = i32(i)|return 1
racing-augmented: |for i in gpu.prange(m.i):|    self.n += 1|return 1
racing-element: |for i in gpu.prange(m.i):|    self.big[i % 7] = 1|return 1
racing-constant: |for i in gpu.prange(m.i):|    self.big[0] = 1|return 1
racing-negative: |for i in gpu.prange(-3, m.i):|    self.big[i] = 1|return 1
racing-two: |for i in gpu.prange(m.i):|    self.big[i] = 1|    self.big[i + 1] = 2|return 1
racing-read: |for i in gpu.prange(m.i):|    self.big[i] = self.big[i + 1]|return 1
racing-atomic-read: |for i in gpu.prange(m.i):|    gpu.atomic_add(self.n, 1)|    self.big[i] = self.n|return 1
nested-prange: |for i in gpu.prange(m.i):|    for j in gpu.prange(m.i):|        gpu.atomic_add(self.n, 1)|return 1
collective-varying: |for i in gpu.prange(m.i):|    self.big[i] = gpu.reduce_add(m.i)|return 1
scan-varying: |for i in gpu.prange(m.i):|    gpu.scan_add(self.row)|return 1
tell-varying: |for i in gpu.prange(m.i):|    gpu.tell(m.to, m)|return 1
atomic-uniform: gpu.atomic_add(self.n, 1); return 1
"""
_KERNEL = """
kernel-store: x[0] = 1.0
actor-only: z = gpu.me()
actor-only-tell: gpu.tell(0, n)
grid-collective: z = gpu.reduce_add(n)
kernel-carried: |s = 0.0|for i in gpu.prange(n):|    s += x[i]|for i in gpu.prange(n):|    y[i] = gpu.f32(s)
racing-loops: |for i in gpu.prange(n):|    y[i] = x[i]|for i in gpu.prange(n):|    x[i] = y[i] + 1.0
kernel-racing: |for i in gpu.prange(n):|    y[i // 2] = x[i]
"""
_STENCIL = """
stencil-offset: return g[n, 0]
stencil-dims: return g[0]
stencil-far: return g[0, 17]
stencil-store: g[0, 0] = 1.0; return 1.0
"""
_WHOLE = {
    "kernel-result": "@gpu.kernel\ndef k(n: gpu.i32) -> gpu.i32:\n    return n\n",
    "kernel-parameter": "@gpu.kernel\ndef k(n: gpu.Array[gpu.i32, 3]) -> None:\n    pass\n",
    "stencil-result": "@gpu.stencil(dims=2)\ndef k(n: gpu.i32) -> gpu.f32:\n    return 1.0\n",
    "async-def": "@gpu.kernel\nasync def k(n: gpu.i32) -> None:\n    pass\n",
    "lambda-def": "k = gpu.kernel(lambda n: None)\n",
}


def _lines(body: str) -> list[str]:
    return body.split("|")[1:] if body.startswith("|") else body.split("; ")


def _cases() -> dict[str, str]:
    """Name -> the whole program."""
    found: dict[str, str] = {}
    for level, table in (("thread", _THREAD), ("block", _BLOCK)):
        for line in table.strip().splitlines():
            name, body = line.split(": ", 1)
            text = "\n".join("        " + part for part in _lines(body)) + "\n"
            found[name] = HEAD.replace("LEVEL", level).lstrip() + text.replace(
                "i32(i)", "gpu.i32(i)"
            )
    for head, table in ((KERNEL, _KERNEL), (STENCIL, _STENCIL)):
        for line in table.strip().splitlines():
            name, body = line.split(": ", 1)
            found[name] = head.lstrip() + "\n".join("    " + part for part in _lines(body)) + "\n"
    return found | _WHOLE


CASES = _cases()


def message(name: str) -> str:
    """What a program is refused with, without its file and line."""
    file = f"<{name}>"
    source = CASES[name]
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"ac": ac, "gpu": gpu, "math": math, "__name__": "refused"}
    try:
        exec(compile(source, file, "exec", dont_inherit=True), scope)
        gpu.compile(scope.get("A") or scope["k"])
    except CompileError as e:
        assert e.file == file and source.splitlines()[e.line - 1].strip()
        return str(e).removeprefix(f"{file}:{e.line}: ")
    return "(taken)"


def golden() -> dict[str, str]:
    parts = GOLDEN.read_text().split("\n== ")[1:]
    return {part.split("\n", 1)[0]: part.split("\n", 1)[1].rstrip("\n") for part in parts}


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("name", CASES)
def test_a_program_outside_the_language_is_refused(name: str) -> None:
    assert message(name) == golden()[name]


def test_a_function_whose_text_is_lost_says_what_to_do() -> None:
    scope: dict[str, Any] = {"gpu": gpu}
    text = "@gpu.kernel\ndef k(n: gpu.i32) -> None:\n    pass\n"
    exec(compile(text, "<lost>", "exec", dont_inherit=True), scope)
    with pytest.raises(CompileError) as caught:
        gpu.compile(scope["k"])
    assert str(caught.value) == (
        "<lost>:1: the source of k is not to be had [no-source]\n"
        "  write: the function in a file, or put its text into linecache.cache before the exec"
    )


def test_at_least_60_kinds_are_refused() -> None:
    texts = golden()
    assert set(texts) == set(CASES)
    kinds = {text.split("[")[-1].split("]")[0] for text in map(_first, texts.values())}
    assert len(kinds) >= 60 and "(taken)" not in texts.values(), len(kinds)


def _first(text: str) -> str:
    return text.split("\n", 1)[0]


if __name__ == "__main__":
    GOLDEN.write_text(
        "Refused programs of test_gpu_texts.py.\n"
        + "".join(f"\n== {name}\n{message(name)}\n" for name in CASES)
    )
