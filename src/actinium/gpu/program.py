"""A compiled actor or kernel: its operations, layouts, C++ text and places that may stop it."""

from __future__ import annotations

from functools import cached_property
from importlib import resources
from typing import Any

from actinium.errors import UnsupportedType, UsageError

from .codegen.cpp import LEVELS, Sites, Writer, held
from .ir.budget import MAX_STEPS, checked, counts
from .ir.nodes import Function, Value, walk
from .ir.passes import optimise
from .ir.text import show
from .lang.lower import Lowered, lower_handler, lower_kernel
from .lang.marks import ActorSpec, Kernel
from .layout.header import header, nested, stored
from .layout.record import Record
from .layout.scalar import I64, U64

TARGETS = ("cpu", "cuda", "emulator")
"""The emulator's text is CUDA's but for intrinsics, which are spelled as for the CPU."""
HANDLED, UNKNOWN = 0, 1
"""What a dispatch answers: the kind was handled, or no handler takes it."""


class Program:
    """What :func:`compile` makes. It is complete: nothing of it is read from the class again."""

    def __init__(self, what: Any, strict: bool, max_steps: int) -> None:
        self.max_steps = checked(max_steps)
        """How many counted rounds of loops a handler may run (0: any number)."""
        self.strict = strict
        """Whether the C++ compiler may not join a product and a sum into one rounding."""
        self.spec: ActorSpec | None = getattr(what, "__gpu_actor__", None)
        self.kernel: Kernel | None = what if isinstance(what, Kernel) else None
        self.lowered: list[Lowered] = []
        self.messages: list[Any] = []
        if self.spec is not None:
            self.name = self.spec.cls.__name__
            self.level = self.spec.level
            for message, method in self.spec.handlers.items():
                self.messages.append(message)
                self.lowered.append(lower_handler(self.spec, message, method))
        elif self.kernel is not None:
            self.name = self.kernel.__name__
            self.level = "grid"
            self.lowered.append(lower_kernel(self.kernel))
        else:
            raise UsageError(
                f"expected a class with @gpu.actor, or a function with @gpu.kernel or @gpu.stencil, "
                f"got {what!r}"
            )
        for lowered in self.lowered:
            optimise(lowered.function)
        self.told = self._told()
        """The message classes that its handlers may tell, each once."""
        _ = self.records  # two layouts of one name are refused here, not when it is first used

    def __repr__(self) -> str:
        return f"<gpu program {self.name}: {self.level}, {len(self.lowered)} functions>"

    def check_capability(self, architecture: str) -> None:
        """Whether ``architecture`` (such as ``sm_90a``) has what the program asks of the hardware.

        Raises:
            UnsupportedType: it converts with ``native=True`` to what the architecture lacks.
        """
        digits = "".join(c for c in architecture if c.isdigit())
        have = (int(digits[:-1] or 0), int(digits[-1:] or 0))
        for function in self.functions:
            for op in walk(function.body):
                if op.attrs.get("native"):
                    type_ = op.result.scalar
                    if have < tuple(map(int, type_.min_cc.split("."))):
                        source, node = op.place
                        where = f"{source.file}:{node.lineno}, {architecture}"
                        raise UnsupportedType(type_.name, type_.min_cc, where)

    def _told(self) -> list[Any]:
        kinds: dict[int, Any] = {}
        for function in self.functions:
            for op in walk(function.body):
                if op.name != "tell":
                    continue
                message = op.attrs["record"].python
                if kinds.setdefault(op.attrs["kind"], message) is not message:
                    raise UsageError(
                        f"{self.name} tells messages of two classes of kind {op.attrs['kind']:#06x}: "
                        f"{kinds[op.attrs['kind']].__name__} and {message.__name__}; give each a kind "
                        "of its own"
                    )
        return list(kinds.values())

    @property
    def functions(self) -> list[Function]:
        return [lowered.function for lowered in self.lowered]

    @property
    def ir(self) -> str:
        """The operations as text."""
        return "\n".join(show(function) for function in self.functions)

    @cached_property
    def arguments(self) -> Record | None:
        """A kernel's arguments as one record: buffers as address and length, shape, numbers."""
        if self.kernel is None:
            return None
        function = self.functions[0]
        fields: dict[str, Any] = {}
        for root in function.roots:
            fields |= {f"p_{root.name}": U64, f"n_{root.name}": I64}
        if function.shape:
            fields |= {"p_out": U64, **{f"n{axis}": I64 for axis in "zyx"[3 - function.shape :]}}
        fields |= {f"a_{name}": value.type for name, value in function.params}
        return Record(f"{self.name}_arguments", fields or {"none": U64})

    @cached_property
    def records(self) -> list[Record]:
        """The layouts that the text declares, inner ones first."""
        found: list[Record] = []
        if self.spec is not None:
            found.append(self.spec.state)
        if self.arguments is not None:
            found.append(self.arguments)
        for function in self.functions:
            found += [r.type for r in function.roots if isinstance(r.type, Record)]
            if isinstance(function.result, Record):
                found.append(function.result)
            for value in _values(function):
                if isinstance(value.type, Record):
                    found.append(value.type)
        found += [message.__gpu_record__ for message in self.told]
        return nested(found)

    @cached_property
    def sites(self) -> list[tuple[str, str, int]]:
        """(fault, file, line) of each place that may stop it; number 1 is the first."""
        return self._write("cuda")[1]

    def text(self, target: str = "cpu") -> str:
        """The whole C++ text for ``"cpu"``, ``"cuda"`` or ``"emulator"``.

        Raises:
            UsageError: an unknown target.
        """
        if target not in TARGETS:
            raise UsageError(f"target must be one of {', '.join(TARGETS)}, got {target!r}")
        return self._write(target)[0]

    def _write(self, target: str) -> tuple[str, list[tuple[str, str, int]]]:
        sites = Sites()
        prelude = resources.files(__package__).joinpath("codegen/prelude.h").read_text()
        parts = [header(self.records), prelude]
        parts += [self._function(function, target, sites) for function in self.functions]
        parts.append(self._dispatch() if self.spec is not None else self._launch())
        parts.append(self._layouts(target))
        return "\n".join(parts), sites.all

    def _function(self, function: Function, target: str, sites: Sites) -> str:
        boundary = self.kernel.boundary if self.kernel is not None else ""
        writer = Writer(function, target, sites, boundary)
        writer.region(function.body)
        parameters = ["ac_ctx* ctx"]
        result = "void"
        for root in function.roots:
            if root.kind == "state":
                parameters.append(f"{stored(root.type)}* __restrict__ {root.name}")
            elif root.kind == "message":
                parameters.append(f"const {stored(root.type)}* __restrict__ {root.name}")
            else:
                const = "" if root.writable else "const "
                parameters.append(
                    f"{const}{stored(root.type)}* p_{root.name}, ac_i64 n_{root.name}"
                )
        if function.shape:
            result = stored(function.result)
            parameters += [f"ac_i64 {a}, ac_i64 n{a}" for a in "zyx"[3 - function.shape :]]
        elif function.result is not None:
            parameters.append(f"{stored(function.result)}* reply")
        parameters += [f"{held(value.type)} v{value.id}" for _, value in function.params]
        if any(op.name == "tell" for op in walk(function.body)):
            writer.lines.insert(0, "  ac_u32 ac_used = 0;")
        if any(map(counts, walk(function.body))):
            steps = "  ac_u64 ac_steps = 0;\n  const ac_u64 ac_limit = ctx->budget ? ctx->budget : ~0ull >> 1;"
            writer.lines.insert(0, steps)
        body = "\n".join(writer.lines)
        return f"AC_FN {result} {function.symbol}({', '.join(parameters)}) {{\n  (void)ctx;\n{body}\n}}\n"

    def _dispatch(self) -> str:
        """One entry for all kinds, and a CUDA kernel that handles one message with it."""
        assert self.spec is not None
        cases = []
        for message, function in zip(self.messages, self.functions, strict=True):
            arguments = [
                "ctx",
                f"({self.name}*)state",
                f"(const {message.__gpu_record__.name}*)message",
            ]
            if function.result is not None:
                arguments.append(f"({stored(function.result)}*)reply")
            cases.append(
                f"    case {message.__gpu_kind__:#06x}: {function.symbol}({', '.join(arguments)}); break;"
            )
        body = "\n".join(cases)
        level = LEVELS[self.level]
        return (
            "AC_FN ac_u32 ac_handle(ac_ctx* ctx, void* state, ac_u32 kind, const void* message, "
            f"void* reply) {{\n  switch (kind) {{\n{body}\n    default: return {UNKNOWN};\n  }}\n"
            f"  ac_sync<{level}>();\n  return {HANDLED};\n}}\n"
            "#if defined(AC_RESIDENT)\n#elif defined(__CUDACC__)\n"
            'extern "C" __global__ void ac_once(void* state, ac_u32 kind, const void* message, void* reply, '
            "ac_u32* result) {\n  __shared__ ac_ctx ctx;\n  if (threadIdx.x == 0) "
            f"ac_clear(&ctx, {self.max_steps}ull);\n"
            "  __syncthreads();\n  ac_u32 answer = ac_handle(&ctx, state, kind, message, reply);\n"
            "  __syncthreads();\n  if (threadIdx.x == 0) { result[0] = answer; result[1] = ctx.fault; }\n}\n"
            "#else\n"
            'extern "C" ac_u32 ac_dispatch(ac_ctx* ctx, void* state, ac_u32 kind, const void* message, '
            "void* reply) {\n  return ac_handle(ctx, state, kind, message, reply);\n}\n#endif\n"
        )

    def _launch(self) -> str:
        """A kernel's entry: its arguments unpacked, for a stencil the walk over the cells."""
        assert self.arguments is not None
        function = self.functions[0]
        arguments = ["&ctx"]
        for root in function.roots:
            const = "" if root.writable else "const "
            arguments.append(f"({const}{stored(root.type)}*)a.p_{root.name}, a.n_{root.name}")
        axes = "zyx"[3 - function.shape :] if function.shape else ""
        arguments += [f"{axis}, a.n{axis}" for axis in axes]
        arguments += [_argument(name, value) for name, value in function.params]
        call = f"{function.symbol}({', '.join(arguments)})"
        if function.shape:
            cells = " * ".join(f"a.n{axis}" for axis in axes)
            places = ["ac_i64 rest = (ac_i64)t;"]
            places += [
                f"const ac_i64 {axis} = rest % a.n{axis}; rest /= a.n{axis};"
                for axis in axes[:0:-1]
            ]
            places.append(f"const ac_i64 {axes[0]} = rest;")
            call = (
                f"for (ac_u64 t = ac_lane<3>(), end = (ac_u64)({cells}); t < end; t += ac_lanes<3>()) {{\n"
                f"    {' '.join(places)}\n    (({stored(function.result)}*)a.p_out)[t] = {call};\n  }}"
            )
        name = self.arguments.name
        return (
            "#ifdef __CUDACC__\n"
            f'extern "C" __global__ void ac_kernel({name} a, ac_u32* fault) {{\n'
            "  __shared__ ac_ctx ctx;\n  if (threadIdx.x == 0) "
            f"ac_clear(&ctx, {self.max_steps}ull);\n  __syncthreads();\n"
            f"  {call};\n  __syncthreads();\n"
            "  if (threadIdx.x == 0 && ctx.fault) atomicCAS(fault, 0u, ctx.fault);\n}\n#else\n"
            f'extern "C" void ac_kernel(const {name}* arguments, ac_u32* fault) {{\n'
            f"  const {name} a = *arguments;\n  ac_ctx ctx = {{}};\n  ctx.budget = {self.max_steps}ull;\n  {call};\n  *fault = ctx.fault;\n}}\n#endif\n"
        )

    def _layouts(self, target: str) -> str:
        """What a host compares before it hands over a byte."""
        if target != "cpu":
            return ""
        cases = "\n".join(
            f"    case {i}: return ac_layout_{record.name};"
            for i, record in enumerate(self.records)
        )
        return f'extern "C" ac_u64 ac_layout(ac_u32 i) {{\n  switch (i) {{\n{cases}\n    default: return 0;\n  }}\n}}\n'


def _argument(name: str, value: Value) -> str:
    type_ = value.scalar
    if type_.is_small:
        return f"ac_{type_}_from_bits(a.a_{name}.bits)"
    return f"a.a_{name} != 0" if type_.kind == "b" else f"a.a_{name}"


def _values(function: Function) -> list[Value]:
    return [value for op in walk(function.body) for value in op.results]


def compile(what: Any, *, strict: bool = True, max_steps: int = MAX_STEPS) -> Program:
    """Compiles an actor class, a kernel or a stencil into operations and C++ text.

    With ``strict`` the results of CPU and GPU are the same bits for + - * / and sqrt; without,
    the compilers may join a product and a sum (``fma``), which is faster and rounds once.

    ``max_steps`` is how many rounds of loops of unknown length a handler may run (in a kernel an
    iteration of ``gpu.prange``, in a stencil a cell); above it the fault is ``budget``. 0: any.

    Raises:
        CompileError: the program is outside the language; its text says what to write.
        LayoutError: two of its layouts have one name.
        UsageError: ``what`` is none of the three, ``max_steps`` is no such number, or two told
            message classes have one kind.
    """
    return Program(what, strict, max_steps)
