"""Who executes a statement where several threads run one handler, and what is refused (TR-4).

Three kinds of value: *uniform*, the same in all threads, is everything outside ``gpu.prange``;
*varying* is everything inside, where each thread has iterations of its own; *partial* is a local
that ``prange`` accumulates: each thread holds a part of it until a collective joins them.

- A store outside ``prange`` is done by one thread (``leader``), with a barrier before what reads
  it, and before it where others may still be reading the old value.
- A store inside goes to an element that belongs to the iteration, or it is refused; atomic
  updates may go anywhere.
- Collectives need all threads at once, so they stand outside ``prange``.
"""

from __future__ import annotations

from typing import Any, NoReturn

from ...intrinsics.lanes import REDUCTIONS
from ..nodes import Function, Op, Region, Value, walk

_ALONE = "thread"


def _refuse(op: Op, code: str, text: str, write: str) -> NoReturn:
    source, node = op.place
    raise source.refuse(node, code, text, write)


def run(function: Function) -> None:
    """Checks, and marks who stores and where the threads meet; nothing for a single thread.

    Raises:
        CompileError: threads would race, or miss each other.
    """
    if function.level == _ALONE or function.shape:
        return
    checker = _Checker(function.level)
    checker.region(function.body, None)
    if function.level != "grid":
        _Barriers(function).region(function.body)


class _Checker:
    def __init__(self, level: str) -> None:
        self.level = level
        self.partial: dict[Value, str] = {}
        self.stored: dict[Any, Op] = {}

    def region(self, region: Region, par: Op | None) -> None:
        for op in region.ops:
            self._arguments(op)
            if par is None:
                self._uniform(op)
            else:
                self._varying(op, par)
            for inner in op.regions:
                self.region(inner, op if op.name == "par" else par)
            if op.name == "par":
                self._races(op)
                self._reductions(op)

    def _arguments(self, op: Op) -> None:
        for i, argument in enumerate(op.args):
            how = self.partial.get(argument)
            if how is None:
                continue
            joins = op.name == "call" and REDUCTIONS.get(op.attrs["row"].name) == how
            if not joins and not (op.name == "par" and i >= 2):
                _refuse(
                    op, "partial-value", "each thread holds only a part of this value",
                    f"`gpu.reduce_{how}(...)` after the loop, which joins the parts",
                )  # fmt: skip

    def _uniform(self, op: Op) -> None:
        if op.name == "store":
            if self.level == "grid":
                _refuse(
                    op, "kernel-store", "a store outside `gpu.prange` by all threads of a grid",
                    "the store inside `for i in gpu.prange(...)`",
                )  # fmt: skip
            op.attrs["leader"] = True
        if op.name == "atomic":
            _refuse(
                op, "atomic-uniform", "outside `gpu.prange` an atomic update would run once per thread",
                "a plain assignment, which one thread does",
            )  # fmt: skip
        if self.level == "grid" and (
            op.name == "scan" or (op.name == "call" and op.attrs["row"].lanes)
        ):
            _refuse(
                op, "grid-collective", "the threads of a grid cannot wait for each other",
                "`gpu.atomic_add` into a buffer, or a second kernel",
            )  # fmt: skip

    def _varying(self, op: Op, par: Op) -> None:
        if op.name == "par":
            _refuse(
                op, "nested-prange", "`gpu.prange` within `gpu.prange`",
                "`range` for the inner loop",
            )  # fmt: skip
        if op.name == "scan" or (op.name == "call" and op.attrs["row"].lanes):
            name = f"scan_{op.attrs['how']}" if op.name == "scan" else op.attrs["row"].name
            _refuse(
                op, "collective-varying",
                f"`{name}` needs all threads, and each runs other iterations here",
                "the collective after the loop",
            )  # fmt: skip
        if op.name == "tell":
            _refuse(
                op, "tell-varying", "each thread would send a message of its own, in no order",
                "what is to be sent into the state, and `gpu.tell` in a `range` loop after this one",
            )  # fmt: skip
        if op.name == "store" and not self._own(op, par):
            _refuse(
                op, "racing-store", "several iterations may write this place",
                "an element indexed by the loop's variable, or `gpu.atomic_add(...)`",
            )  # fmt: skip

    def _own(self, op: Op, par: Op) -> bool:
        """Whether another iteration cannot store to the same place."""
        inside = {r for inner in walk(par.regions[0]) for r in inner.results}
        index = par.regions[0].params[0]
        return any(_injective(a, index, inside, par) for a in op.args[:-1])

    def _races(self, par: Op) -> None:
        """Reads of what another iteration writes, and two ways to write one array."""
        writes: dict[Any, Op] = {}
        for op in walk(par.regions[0]):
            if op.name in ("store", "atomic"):
                key = (op.attrs["root"], op.attrs["path"])
                before = writes.setdefault(key, op)
                if before is not op and (
                    before.name != op.name or _indices(before) != _indices(op)
                ):
                    if before.name == op.name == "atomic":
                        continue
                    _refuse(
                        op, "racing-store", "the loop writes this array in two ways",
                        "one of them in a loop of its own",
                    )  # fmt: skip
        for op in walk(par.regions[0]):
            if op.name == "load":
                write = writes.get((op.attrs["root"], op.attrs["path"]))
                if write is not None and (write.name == "atomic" or _indices(write) != op.args):
                    _refuse(
                        op, "racing-read", "another iteration of this loop may be writing this place",
                        "the reads in one loop and the writes in the next, or two arrays",
                    )  # fmt: skip
        if self.level == "grid":
            self._across(par, writes)

    def _across(self, par: Op, writes: dict[Any, Op]) -> None:
        """Between two loops of a kernel nothing waits."""
        for op in walk(par.regions[0]):
            if op.name in ("load", "store", "atomic") and op.attrs["root"] in self.stored:
                _refuse(
                    op, "racing-loops", f"`{op.attrs['root']}` was written by an earlier loop",
                    "a second kernel: between two loops of one, nothing waits",
                )  # fmt: skip
        for root, _ in writes:
            self.stored[root] = par

    def _reductions(self, par: Op) -> None:
        kinds: list[str] = []
        body = par.regions[0]
        for param, result in zip(body.params[1:], par.results, strict=True):
            ends = [
                op.args for op in walk(body) if op.name in ("yield", "continue") and _ends(op, body)
            ]
            at = body.params.index(param) - 1
            chains = [_chain(args[at], param) for args in ends]
            found = {chain[0] for chain in chains if chain is not None} - {"same"}
            steps = sum(chain[1] for chain in chains if chain is not None)
            uses = sum(op.args.count(param) for op in walk(body) if not op.info.terminator)
            broken = None in chains or len(found) != 1 or uses > steps
            if self.level == "grid" or broken:
                _refuse(
                    par, "carried", "an iteration of `gpu.prange` uses what another one left in a local",
                    "only `s += x` (also *=, |=, &=, ^=, min, max) on such a local, or `range`"
                    if self.level != "grid" else "`gpu.atomic_add` into a buffer",
                )  # fmt: skip
            how = found.pop()
            kinds.append(how)
            self.partial[result] = how
        par.attrs["joined"] = tuple(kinds)
        par.attrs["parts"] = tuple(a in self.partial for a in par.args[2:])


def _ends(op: Op, body: Region) -> bool:
    """Whether a terminator ends an iteration of this loop (and no inner loop or branch)."""
    return op is body.last or op.name == "continue"


def _indices(op: Op) -> list[Value]:
    return op.args[: len(op.args) - op.attrs.get("count", 1)]


_JOINS = {"add": "add", "sub": "add", "mul": "mul", "and": "and", "or": "or", "xor": "xor", "min": "min", "max": "max"}  # fmt: skip


def _chain(value: Value, param: Value) -> tuple[str, int] | None:
    """How ``value`` continues ``param`` (``same``: not at all), and how often that reads it.

    None where it is anything but joining more and more to it with one operation.
    """
    if value is param:
        return "same", 0
    op = value.op
    if op is None:
        return None
    if op.name in _JOINS:
        chains = [(side, _chain(side, param)) for side in op.args]
        known = [(side, chain) for side, chain in chains if chain is not None]
        if len(known) != 1 or (op.name == "sub" and chains[0][1] is None):
            return None
        side, (how, steps) = known[0]
        join = _JOINS[op.name]
        return (join, steps + (side is param)) if how in ("same", join) else None
    if op.name == "if":
        at = op.results.index(value)
        ends = [r.last for r in op.regions if r.last is not None and r.last.name == "yield"]
        sides = [_chain(end.args[at], param) for end in ends]
        kinds = {side[0] for side in sides if side is not None} - {"same"}
        if None in sides or len(kinds) > 1:
            return None
        return (kinds or {"same"}).pop(), sum(side[1] for side in sides if side is not None)
    return None


def _injective(value: Value, index: Value, inside: set[Value], par: Op) -> bool:
    """Whether two iterations never give the same value: index * constant + what does not vary."""
    if value is index:
        return True
    op = value.op
    if op is None or value not in inside:
        return False
    if op.name == "convert" and op.result.scalar.is_int:
        return op.result.scalar.bits >= op.args[0].scalar.bits and _injective(op.args[0], index, inside, par)  # fmt: skip
    if op.name == "index":
        return _injective(op.args[0], index, inside, par) and _not_negative(op.args[0], index, par)
    if op.name in ("add", "sub"):
        a, b = op.args
        fixed = [v.constant is not None or (v not in inside and v is not index) for v in (a, b)]
        return (fixed[1] and _injective(a, index, inside, par)) or (
            op.name == "add" and fixed[0] and _injective(b, index, inside, par)
        )
    if op.name in ("mul", "shl"):
        a, b = op.args
        if op.name == "mul" and a.constant is not None:
            a, b = b, a
        return bool(b.constant or (op.name == "shl" and b.constant == 0)) and _injective(
            a, index, inside, par
        )
    return False


def _not_negative(value: Value, index: Value, par: Op) -> bool:
    """Whether it counts from the start of an array, so that no two values meet in one element."""
    if value.scalar.kind == "u" or (value.constant or -1) >= 0:
        return True
    if value is index:
        first = par.args[0 if par.attrs["step"] > 0 else 1].constant
        return first is not None and first >= 0
    op = value.op
    return (
        op is not None
        and op.name in ("add", "mul", "shl", "convert")
        and all(_not_negative(a, index, par) for a in op.args)
    )


class _Barriers:
    """Puts ``sync`` where a read could come before, or a store after its time."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.dirty = False  # somebody stored since the last barrier
        self.shared = False  # and it was not the leader alone
        self.read = False  # somebody may still be reading what was there at the last barrier

    def _meet(self, out: list[Op], op: Op) -> None:
        out.append(Op("sync", [], {}, op.place))
        self.dirty = self.shared = self.read = False

    def region(self, region: Region) -> None:
        out: list[Op] = []
        for op in region.ops:
            if op.name in ("load", "tell") and op.attrs["root"] and op.attrs["root"].writable:
                if self.dirty:
                    self._meet(out, op)
                self.read = True
            elif op.name == "scan":  # it meets at its own end
                if self.dirty or self.read:
                    self._meet(out, op)
            elif op.name == "store":
                if self.read or self.shared:
                    self._meet(out, op)
                self.dirty = True
            elif op.name == "par":
                self._par(op, out)
            elif op.regions:
                self._inner(op)
            out.append(op)
        region.ops = out

    def _par(self, op: Op, out: list[Op]) -> None:
        names = [o.name for o in walk(op.regions[0])]
        writes = "store" in names or "atomic" in names
        loads = any(o.name == "load" and o.attrs["root"].writable for o in walk(op.regions[0]))
        if (self.dirty and (loads or writes)) or (writes and self.read):
            self._meet(out, op)
        self.read |= loads
        self.dirty |= writes
        self.shared |= writes

    def _inner(self, op: Op) -> None:
        looped = op.name in ("loop", "for")
        before = (self.dirty, self.shared, self.read)
        after = list(before)
        for region in op.regions:
            self.dirty, self.shared, self.read = (True, True, True) if looped else before
            self.region(region)
            ends = (self.dirty, self.shared, self.read)
            after = [a or b for a, b in zip(after, ends, strict=True)]
        self.dirty, self.shared, self.read = after if not looped else (True, True, True)
