"""How long each message of a program is, both ways."""

from __future__ import annotations

from typing import Any

from ..layout.record import Record
from ..layout.scalar import Scalar
from ..program import Program
from .words import Command, Flag

SENDER, SOURCE = 8, 4
"""Bytes that `Flag.SENDER` and `Flag.TOLD` put before a message."""
_COMMANDS = {Command.PING: 16, Command.STATS: 32}


class Sizes:
    """The messages of a program by kind, their replies, and the bytes of each."""

    def __init__(self, program: Program) -> None:
        self.messages: dict[int, Any] = {m.__gpu_kind__: m for m in program.messages}
        self.told: dict[int, Any] = {m.__gpu_kind__: m for m in program.told}
        """What its handlers tell others."""
        self.replies: dict[int, Reply] = {
            message.__gpu_kind__: Reply(function.result)
            for message, function in zip(program.messages, program.functions, strict=True)
        }
        self._in = {kind: int(m.__gpu_record__.size) for kind, m in self.messages.items()}
        self._told = {kind: int(m.__gpu_record__.size) for kind, m in self.told.items()}

    @property
    def in_bytes(self) -> int:
        """The longest message to the device, its sender included."""
        return SENDER + max(self._in.values())

    @property
    def out_bytes(self) -> int:
        """The longest message to the host."""
        replies = [reply.size for reply in self.replies.values()]
        told = [SOURCE + size for size in self._told.values()]
        return max(self.in_bytes, *_COMMANDS.values(), *replies, *told)

    def to_device(self, kind: int, flags: int) -> int:
        """Bytes of data of a message or command to the device.

        A kind that the program has not has none of its own.
        """
        return self._in.get(kind, 0) + (SENDER if flags & Flag.SENDER else 0)


class Reply:
    """What a handler answers with: nothing, a number or a record."""

    def __init__(self, result: Any) -> None:
        self.type = result
        self._scalar = isinstance(result, Scalar)
        self._record: Record | None = (
            Record("reply", {"value": result}) if isinstance(result, Scalar) else result
        )
        self.size = self._record.size if self._record is not None else 0

    def pack(self, value: Any) -> bytes:
        """The bytes of an answer."""
        if self._record is None:
            return b""
        return self._record.pack({"value": value} if self._scalar else value)

    def unpack(self, data: bytes) -> Any:
        """The answer that these bytes are."""
        if self._record is None:
            return None
        value = self._record.unpack(data)
        return value["value"] if self._scalar else value
