"""The oracle: CPython runs the handler's source, and says what every other executor must give."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from actinium.errors import DeviceFault, Unhandled, UsageError

from ..intrinsics.lanes import updated
from ..intrinsics.row import Row
from ..ir.arithmetic import Fault, binary
from ..ir.budget import checked
from ..ir.promote import common
from ..lang.calls import declared
from ..lang.lower import Lowered
from ..lang.marks import initial_state
from ..lang.session import Notes
from ..lang.source import MISSING, Source
from ..layout.record import Record
from ..layout.scalar import I64, Scalar
from ..program import Program
from .native import OUTBOX, by_name, check_shape
from .number import Number, extreme, inside, plain, there, type_of, typed
from .rewrite import rewrite
from .views import ArrayView, GridView, RecordView, closed, opened


class Scene:
    """What the handlers of an actor see of the world, and what they told."""

    def __init__(self, outbox: int = 0) -> None:
        self.outbox = outbox
        self.me = self.sender = self.now = 0
        self.told: list[tuple[int, Any]] = []
        self.used = 0
        """Bytes of the outbox."""

    def tell(self, to: Any, message: RecordView) -> None:
        record = message.record
        self.used += 16 + record.size + -record.size % 8
        if self.used > self.outbox:
            raise Fault("outbox")
        self.told.append((int(plain(to)), closed(record, message.data)))


class Runner:
    """The functions of one handler or kernel, made runnable."""

    def __init__(self, lowered: Lowered, max_steps: int, scene: Scene | None = None) -> None:
        self.notes = lowered.notes
        self.scene = scene or Scene()
        self.limit = max_steps or math.inf
        self.steps = 0
        """Rounds of loops counted so far by the handler that runs."""
        self._made: dict[Any, Any] = {}
        self.entry = self.function(lowered.source)

    def function(self, source: Source) -> Any:
        """The runnable form of a function of the program."""
        key = source.function
        if key not in self._made:
            notes: Notes = self.notes[key]
            module, names = rewrite(source.tree, notes)
            scope = dict(key.__globals__) | notes.names | names
            scope |= {
                "__ac_typed": typed, "__ac_call": self.call, "__ac_fault": _fault,
                "__ac_result": self._result(source),
                "__ac_step": self.step, "__ac_all": self.count_all, "__ac_apart": self.count_apart,
            }  # fmt: skip
            exec(compile(module, source.file, "exec"), scope)
            self._made[key] = scope[source.tree.name]
        return self._made[key]

    @staticmethod
    def _result(source: Source) -> Any:
        annotation = source.annotation("return")
        if annotation in (None, MISSING):
            return lambda value: value
        type_ = declared(source, source.tree, "return")
        if isinstance(type_, Scalar):
            return lambda value: typed(type_, value)
        return lambda value: RecordView(type_, opened(type_, closed(type_, value.data)))

    def run(self, program: Program, *arguments: Any) -> Any:
        """Runs the handler from a fresh count."""
        self.steps = 0
        return _run(program, self.entry, *arguments)

    def step(self, rounds: int = 1) -> None:
        """Counts rounds of a loop."""
        self.steps += rounds
        if self.steps > self.limit:
            raise Fault("budget")

    def count_all(self, numbers: _Range) -> _Range:
        """A loop whose rounds are counted when it starts."""
        self.step(len(numbers.plain))
        return numbers

    def count_apart(self, numbers: _Range) -> Iterator[Any]:
        """The loop of a kernel: each round counts from what was counted before the loop."""
        before = self.steps
        for number in numbers:
            self.steps = before
            yield number
        self.steps = before

    def call(self, what: tuple[str, Any], *arguments: Any, **keywords: Any) -> Any:
        """A call, as the compiler understood it."""
        kind, target = what
        if kind == "cast":
            return typed(target, arguments[0])
        if kind in ("min", "max"):
            return extreme(kind, *arguments)
        if kind == "context":
            return typed(target[1], getattr(self.scene, target[0]))
        if kind == "scan":
            return _scan(*target, *arguments)
        if kind == "tell":
            return self.scene.tell(*arguments)
        if kind == "row":
            return _row(target[0], arguments)
        if kind == "atomic":
            return _atomic(target[0], target[1], *arguments)
        if kind == "range":
            return _range(*arguments)
        if kind == "make":
            return _make(target, arguments, keywords)
        return self._inlined(target, arguments, keywords)

    def _inlined(self, function: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        source = Source(function)
        bound = inspect.signature(function).bind(*arguments, **keywords)
        bound.apply_defaults()
        values = []
        for name, value in bound.arguments.items():
            annotation = source.annotation(name)
            if isinstance(annotation, Scalar):
                value = typed(annotation, value)
            values.append(value)
        return self.function(source)(*values)


def _fault(kind: str) -> NoReturn:
    raise Fault(kind)


def _row(row: Row, arguments: tuple[Any, ...]) -> Any:
    chosen = row.choose([type_of(a) for a in arguments])
    assert chosen is not None
    operands = [inside(t, a) for t, a in zip(row.operand_types(chosen), arguments, strict=True)]
    if not any(isinstance(a, Number) for a in arguments) and not row.effect:
        return row.compute(chosen, *operands)  # of literals: a literal
    return there(row.result_type(chosen), row.compute(chosen, *operands))


def _scan(how: str, type_: Scalar, array: ArrayView, count: Any = None) -> None:
    length = len(array) if count is None else int(plain(count))
    if not 0 <= length <= len(array):
        raise Fault("bounds")
    low, high = (-math.inf, math.inf) if type_.is_float else (type_.low, type_.high)
    total = type_({"add": 0, "min": high, "max": low}[how])
    for i in range(length):
        total = binary(how, type_, total, array.data[i])
        array[i] = there(type_, total)


def _atomic(row: Row, type_: Scalar, container: Any, key: Any, *operands: Any) -> Any:
    named = isinstance(container, RecordView)
    old = getattr(container, key) if named else container[key]
    new = updated(row.name, type_, plain(old), *(type_(plain(x)) for x in operands))
    if named:
        setattr(container, key, new)
    else:
        container[key] = new
    return old


class _Range:
    """Numbers of a type, one after another."""

    def __init__(self, type_: Scalar, plain: range) -> None:
        self.type = type_
        self.plain = plain

    def __iter__(self) -> Iterator[Any]:
        return (typed(self.type, i) for i in self.plain)


def _range(*bounds: Any) -> _Range:
    numbers = [int(plain(b)) for b in bounds]
    ends = bounds[: 1 if len(bounds) == 1 else 2]
    type_: Scalar | None = I64
    if any(isinstance(e, Number) for e in ends):
        type_ = type_of(ends[0])
        for end in ends[1:]:
            assert type_ is not None
            type_ = common(type_, type_of(end))
    assert type_ is not None
    return _Range(type_, range(*numbers))


def _make(cls: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> RecordView:
    record: Record = cls.__gpu_record__
    given = dict(zip(record.types, arguments, strict=False)) | keywords
    defaults = dict(
        zip(reversed(cls.__struct_fields__), reversed(cls.__struct_defaults__), strict=False)
    )
    data = {}
    for name, type_ in record.types.items():
        value = given.get(name, defaults.get(name))
        data[name] = (
            opened(type_, closed(type_, value.data))
            if isinstance(value, RecordView)
            else inside(type_, value)
        )
    return RecordView(record, data)


def _run(program: Program, entry: Any, *arguments: Any) -> Any:
    """Calls, and turns a fault into what the other executors raise, with the line it came from."""
    try:
        return entry(*arguments)
    except Fault as e:
        files = {(file, line) for _, file, line in program.sites}
        trace = e.__traceback__
        place = ("?", 0)
        while trace is not None:
            here = (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
            if here in files:
                place = here
            trace = trace.tb_next
        raise DeviceFault(e.kind, *place) from None


class OracleActor:
    """One actor of a program, run by CPython from its source. Slow, and right by definition.

    What it takes and has besides the program is what :class:`NativeActor` takes and has.
    """

    me = 0
    """What ``gpu.me()`` is."""
    now_us = 0
    """What ``gpu.now_us()`` is."""

    def __init__(
        self, program: Program, *, max_steps: int | None = None, outbox: int = OUTBOX
    ) -> None:
        if program.spec is None:
            raise UsageError(f"{program.name} is a kernel; call gpu.OracleKernel(program)")
        self.program = program
        limit = program.max_steps if max_steps is None else checked(max_steps)
        self._scene = Scene(outbox)
        self._runners = {
            message: Runner(lowered, limit, self._scene)
            for message, lowered in zip(program.messages, program.lowered, strict=True)
        }
        self.reset()

    def reset(self) -> None:
        """The state of a fresh actor."""
        spec = self.program.spec
        assert spec is not None
        self.state = spec.state.unpack(initial_state(spec))

    @property
    def state(self) -> Any:
        """A copy of the state, field by field."""
        return closed(self._record, self._data)

    @state.setter
    def state(self, values: Any) -> None:
        spec = self.program.spec
        assert spec is not None
        self._record = spec.state
        self._data = opened(spec.state, spec.state.unpack(spec.state.pack(values)))

    @property
    def told(self) -> list[tuple[int, Any]]:
        """What the last handler told: (gpu.Ref, message), in order."""
        return list(self._scene.told)

    def handle(self, message: Any, *, sender: int = 0) -> Any:
        """Runs the handler of one message and gives its reply; ``sender`` is its ``gpu.sender()``.

        Raises:
            Unhandled: no handler takes this message type.
            DeviceFault: the handler stopped.
        """
        runner = self._runners.get(type(message))
        if runner is None:
            raise Unhandled(f"{self.program.name} has no handler for {type(message).__name__}")
        scene = self._scene
        scene.told, scene.used = [], 0
        scene.me, scene.sender, scene.now = self.me, sender, self.now_us
        record = type(message).__gpu_record__
        given = RecordView(record, opened(record, record.unpack(record.pack(message))))
        reply = runner.run(self.program, RecordView(self._record, self._data), given)
        if isinstance(reply, RecordView):
            return closed(reply.record, reply.data)
        return plain(reply)


class OracleKernel:
    """A kernel or stencil of a program, run by CPython over lists."""

    def __init__(self, program: Program) -> None:
        if program.kernel is None:
            raise UsageError(f"{program.name} is an actor; call gpu.OracleActor(program)")
        self.program = program
        self._runner = Runner(program.lowered[0], program.max_steps)

    def __call__(self, *arguments: Any, shape: tuple[int, ...] = (), out: Any = None) -> None:
        """Runs it over lists of numbers and numbers; lists are changed in place.

        Raises:
            UsageError: the arguments are not those of the kernel.
            DeviceFault: it stopped.
        """
        function = self.program.functions[0]
        given = by_name(function, arguments)
        types = {name: value.type for name, value in function.params}
        values: dict[str, Any] = {name: typed(t, given[name]) for name, t in types.items()}
        grids: list[GridView] = []
        assert self.program.kernel is not None
        for root in function.roots:
            data = [root.type(x) if isinstance(root.type, Scalar) else x for x in given[root.name]]
            if function.shape:
                values[root.name] = GridView(root.type, data, shape, self.program.kernel.boundary)
                grids.append(values[root.name])
            else:
                values[root.name] = ArrayView(root.type, data)
        ordered = [values[name] for name in function.order]
        if not function.shape:
            try:
                self._runner.run(self.program, *ordered)
            finally:
                for root in function.roots:
                    given[root.name][:] = values[root.name].data
            return
        check_shape(function, shape)
        for flat, cell in enumerate(itertools.product(*(range(n) for n in shape))):
            for grid in grids:
                grid.cell = cell
            out[flat] = plain(self._runner.run(self.program, *ordered))
