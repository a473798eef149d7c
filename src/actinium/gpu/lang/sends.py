"""What a handler of an actor may do and a kernel may not: tell, and ask who and when it is."""

from __future__ import annotations

import ast
from typing import Any

from ..ir.nodes import Value
from ..layout.record import Record
from ..layout.scalar import REF, U64, Scalar
from . import marks
from .expressions import Expressions
from .values import Known, Operand, Place, Static, named

CONTEXT: dict[Any, tuple[str, Scalar]] = {
    marks.me: ("me", REF), marks.sender: ("sender", REF), marks.now_us: ("now", U64),
}  # fmt: skip
_HERE: tuple[str | None, ...] = ()


class Sends(Expressions):
    """Operands of calls, and the calls that concern other actors."""

    def note(self, node: ast.Call, kind: str, what: Any) -> None:
        """Tells the oracle how this call was understood."""
        self.notes.calls[(node.lineno, node.col_offset, node.end_col_offset)] = (kind, what)

    def operands(self, node: ast.Call, least: int, most: int | None = None) -> list[Operand]:
        most = least if most is None else most
        if node.keywords:
            self.refuse(
                node, "keyword", f"`{self.text(node.func)}` takes no keyword here",
                "the operands by place",
            )  # fmt: skip
        if not least <= len(node.args) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            wanted += " operand" if wanted == "1" else " operands"
            self.refuse(
                node, "operand-count",
                f"`{self.text(node.func)}` takes {wanted}, got {len(node.args)}", wanted,
            )  # fmt: skip
        return [self.operand(arg) for arg in node.args]

    def record_value(self, node: ast.AST, known: Known, record: Record) -> Value:
        if isinstance(known, Place) and known.type is record:
            return self.load(node, known)
        if isinstance(known, Value) and known.type is record:
            return known
        self.refuse(
            node, "record-type", f"`{self.text(node)}` is {named(known)}, where {record!r} is needed",
            f"`{record!r}(...)`",
        )  # fmt: skip

    def in_an_actor(self, node: ast.Call) -> None:
        if self.session.level == "grid":
            self.refuse(
                node, "actor-only", f"`{self.text(node.func)}` in a kernel, which is no actor",
                "a handler of a @gpu.actor class, or a result in a gpu.Buffer",
            )  # fmt: skip

    def context(self, node: ast.Call, what: tuple[str, Scalar]) -> Known:
        """``gpu.me()``, ``gpu.sender()`` and ``gpu.now_us()``."""
        self.in_an_actor(node)
        self.operands(node, 0)
        self.note(node, "context", what)
        return self.emit(node, "context", [], what[1], what=what[0]).result

    def tell(self, node: ast.Call) -> Known:
        """``gpu.tell(ref, message)``: the message is a record made here, or where it lies."""
        self.in_an_actor(node)
        if node.keywords or len(node.args) != 2:
            self.refuse(
                node,
                "operand-count",
                "`gpu.tell` takes who and what",
                "`gpu.tell(ref, Message(...))`",
            )
        who = self.operand(node.args[0])
        if self.type_of(who) is not REF:
            self.refuse(
                node.args[0], "tell-who", f"`{self.text(node.args[0])}` is {self.type_of(who)}",
                "a gpu.Ref out of the state or a message, `gpu.me()` or `gpu.sender()`",
            )  # fmt: skip
        known = self.expression(node.args[1])
        record = known.type if isinstance(known, Place | Value) else None
        kind = getattr(getattr(record, "python", None), "__gpu_kind__", None)
        if kind is None:
            self.refuse(
                node.args[1], "tell-what", f"`{self.text(node.args[1])}` is {named(known)}, and no message",
                "`Message(...)` of a @gpu.message class, or a field or an element of that type",
            )  # fmt: skip
        args = [self.value(node.args[0], who, REF)]
        root, path = None, _HERE
        if isinstance(known, Place):
            root, path = known.root, known.path
            args += known.indices
        else:
            assert isinstance(known, Value)
            args.append(known)
        self.note(node, "tell", None)
        self.emit(node, "tell", args, record=record, kind=kind, root=root, path=path)
        return Static(None)
