"""How the messages of a launch are packed, with refs where a device has numbers."""

from __future__ import annotations

from typing import Any

from actinium._native import RecordPlan

from ..abi.sizes import Reply, Sizes
from ..layout.plan import plan_of, reply_plan
from ..layout.record import Record
from .handles import Handles, Own, holds_refs


class _WithRefs:
    """Stands for a record to its plan, which asks it for what the compiled code cannot pack."""

    def __init__(self, record: Record, handles: Handles, own: Own) -> None:
        self._record = record
        self._handles = handles
        self._own = own

    def pack(self, message: Any) -> bytes:
        return self._record.pack(self._handles.lowered(message))

    def unpack(self, data: bytes) -> Any:
        return self._handles.raised(self._record.unpack(data), self._record, self._own)


class _Answer:
    """The same for what a handler answers."""

    def __init__(self, reply: Reply, handles: Handles, own: Own) -> None:
        self._reply = reply
        self._handles = handles
        self._own = own

    def unpack(self, data: bytes) -> Any:
        return self._handles.raised(self._reply.unpack(data), self._reply.type, self._own)


Way = tuple[RecordPlan, RecordPlan | None]
"""The plan of a message, and of its reply."""


class Plans:
    """The plan of each message that a program takes or sends, by kind, and of each reply."""

    def __init__(self, sizes: Sizes, handles: Handles, own: Own) -> None:
        self.messages: dict[int, RecordPlan] = {}
        self.replies: dict[int, RecordPlan | None] = {}
        for kind, message in (sizes.told | sizes.messages).items():
            record = message.__gpu_record__
            codec = _WithRefs(record, handles, own) if holds_refs(record) else None
            self.messages[kind] = plan_of(record, kind, codec)
        for kind, reply in sizes.replies.items():
            plan = reply_plan(reply.type)
            if plan is not None and holds_refs(reply.type):
                plan = RecordPlan(
                    _Answer(reply, handles, own), None, 0, reply.size, False, plan_fields(reply)
                )
            self.replies[kind] = plan

    def ways(self, sizes: Sizes) -> dict[type, Way]:
        """The plans by the class of the message."""
        return {
            message: (self.messages[kind], self.replies[kind])
            for kind, message in sizes.messages.items()
        }


def plan_fields(reply: Reply) -> tuple[tuple[str, str, int, int, None], ...]:
    """One field that the compiled code leaves to who stands for the record."""
    return (("value", "-", 0, 0, None),) if reply.size else ()
