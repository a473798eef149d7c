"""A host in plain Python: the other side of a resident kernel, for tests of the kernel alone."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from actinium.gpu.abi.geometry import Geometry
from actinium.gpu.abi.lines import DEV_BLOCK, HOST_BLOCK, HOST_LINE
from actinium.gpu.abi.words import LINE, Command, Flag, Reason, Status, handle, lines_for
from actinium.gpu.codegen.resident import sizes
from actinium.gpu.codegen.resident_cuda import Resident
from actinium.gpu.executors.native import reply_room
from actinium.gpu.lang.marks import initial_state
from actinium.gpu.layout.scalar import Scalar
from actinium.gpu.program import Program

_HEAD = struct.Struct("<III")
_STAMP = struct.Struct("<QIIII")
OFFSETS = {
    record.name: {field.name: (field.offset, field.type.size) for field in record.fields}
    for record in (HOST_LINE, HOST_BLOCK, DEV_BLOCK)
}


class Slot(NamedTuple):
    kind: int
    flags: int
    dest: int
    corr: int
    data: bytes
    clock: int = 0
    source: int = 0
    deadline: int = 0

    @property
    def reason(self) -> Reason | None:
        return Reason(self.flags >> 10 & 15) if self.flags & Flag.BOUNCED else None

    @property
    def fault(self) -> int:
        assert self.flags & Flag.ERROR
        status, site, _ = struct.unpack("<III", self.data)
        assert status == Status.FAULT
        return int(site)

    @property
    def status(self) -> Status:
        assert self.kind < 0x100 and self.flags & Flag.REPLY
        return Status(struct.unpack_from("<I", self.data)[0])


def encode(slot: Slot, tag: int) -> bytes:
    word0 = slot.kind | slot.flags << 16
    body = _HEAD.pack(word0, slot.dest, slot.corr)
    if slot.flags & Flag.STAMPED:
        body += _STAMP.pack(slot.clock, slot.source, slot.deadline, len(slot.data), 0)
    body += slot.data
    body += bytes(-len(body) % 48)
    mark = struct.pack("<I", tag & 0xFFFFFFFF)
    return b"".join(body[i : i + 12] + mark for i in range(0, len(body), 12))


class Host:
    """One launch: region, rings, what came back by block."""

    def __init__(self, program: Program, *, warps: int = 4, **changes: Any) -> None:
        spec = program.spec
        assert spec is not None
        self.program = program
        self.sizes = sizes(program)
        most_in = max(size for size, _ in self.sizes.values()) + 8
        most_out = max(most_in, 32, *(reply for _, reply in self.sizes.values()))
        given = {
            "program": 1, "blocks": 1, "actors": 4, "capacity": 16, "in_bytes": most_in,
            "out_bytes": most_out, "state_size": spec.state.size, "budget": program.max_steps,
        }  # fmt: skip
        self.geometry = Geometry(**(given | changes))
        g = self.geometry
        self.shape = Resident(program, g, warps)
        self.region = bytearray(g.size)
        self.region[: len(g.config)] = g.config
        for i in range(g.blocks * g.actors):
            at = g.init(i)
            self.region[at : at + spec.state.size] = initial_state(spec)
        self.put_at = [0] * g.blocks
        self.got_at = [0] * g.blocks
        self.beat()

    # Words

    def word(self, record: Any, at: int, name: str, value: int | None = None) -> int:
        offset, size = OFFSETS[record.name][name]
        if value is not None:
            self.region[at + offset : at + offset + size] = value.to_bytes(size, "little")
        return int.from_bytes(self.region[at + offset : at + offset + size], "little")

    def dev(self, name: str, block: int = 0) -> int:
        return self.word(DEV_BLOCK, self.geometry.dev_block(block), name)

    def line(self, name: str, value: int | None = None) -> int:
        return self.word(HOST_LINE, self.geometry.offsets["host_line"], name, value)

    def mine(self, name: str, block: int = 0, value: int | None = None) -> int:
        return self.word(HOST_BLOCK, self.geometry.host_block(block), name, value)

    def beat(self, wall_us: int | None = None) -> None:
        self.line("heartbeat", self.line("heartbeat") + 1)
        if wall_us is not None:
            self.line("wall_us", wall_us)

    def kill(self, index: int, generation: int) -> None:
        at = self.geometry.kill(index)
        self.region[at : at + 4] = (generation + 1).to_bytes(4, "little")
        block = index // self.geometry.actors
        self.mine("kill_epoch", block, self.mine("kill_epoch", block) + 1)

    # Rings

    def room(self, block: int = 0) -> int:
        return self.geometry.capacity - (
            (self.put_at[block] - self.dev("h2k_read", block)) & 0xFFFFFFFF
        )

    def chunks(self, slot: Slot) -> list[tuple[int, bytes]]:
        """The writes of the next slot, (place, 16 bytes) each; none while the ring is full."""
        g = self.geometry
        block = (slot.dest & 0xFFFFF) // g.actors
        if self.room(block) == 0:
            return []
        lines = encode(slot, self.put_at[block] + 1)
        at = g.h2k(block) + (self.put_at[block] % g.capacity) * g.in_slot
        self.put_at[block] += 1
        return [(at + i, lines[i : i + 16]) for i in range(0, len(lines), 16)]

    def put(self, slot: Slot) -> bool:
        found = self.chunks(slot)
        for at, chunk in found:
            self.region[at : at + 16] = chunk
        return bool(found)

    def send(
        self, index: int, message: Any, corr: int = 0, generation: int = 0, *,
        sender: int | None = None, flags: int = 0, **stamp: int,
    ) -> bool:  # fmt: skip
        data = type(message).__gpu_record__.pack(message)
        if sender is not None:
            data, flags = sender.to_bytes(8, "little") + data, flags | Flag.SENDER
        if stamp:
            flags |= Flag.STAMPED
        kind = type(message).__gpu_kind__
        return self.put(Slot(kind, flags, handle(index, generation), corr, data, **stamp))

    def command(self, kind: int, index: int, generation: int = 0, corr: int = 1) -> bool:
        return self.put(Slot(kind, 0, handle(index, generation), corr, b""))

    def take(self, block: int = 0) -> Slot | None:
        """The next slot on the way back, if all its chunks are there; credit is posted at once."""
        g = self.geometry
        tag = struct.pack("<I", (self.got_at[block] + 1) & 0xFFFFFFFF)
        at = g.k2h(block) + (self.got_at[block] % g.capacity) * g.out_slot
        plain = self._plain(at, tag)
        if plain is None:
            return None
        word0, dest, corr = _HEAD.unpack_from(plain)
        kind, flags = word0 & 0xFFFF, word0 >> 16
        start, stamp = 12, (0, 0, 0)
        if flags & Flag.STAMPED:
            clock, source, deadline, size, _ = _STAMP.unpack_from(plain, 12)
            start, stamp = 36, (clock, source, deadline)
        else:
            size = self._size(kind, flags)
        for i in range(1, lines_for(size, bool(flags & Flag.STAMPED))):
            more = self._plain(at + i * LINE, tag)
            if more is None:
                return None
            plain += more
        self.got_at[block] += 1
        self.mine("k2h_read", block, self.got_at[block])
        return Slot(kind, flags, dest, corr, plain[start : start + size], *stamp)

    def _plain(self, at: int, tag: bytes) -> bytes | None:
        line = bytes(self.region[at : at + LINE])
        if any(line[i + 12 : i + 16] != tag for i in range(0, LINE, 16)):
            return None
        return b"".join(line[i : i + 12] for i in range(0, LINE, 16))

    def _size(self, kind: int, flags: int) -> int:
        if flags & Flag.ERROR:
            return 12
        if flags & Flag.REPLY:
            known = {int(Command.PING): 16, int(Command.STATS): 32}
            return known.get(kind, 8) if kind < 0x100 else self.sizes[kind][1]
        told_sizes = {m.__gpu_kind__: m.__gpu_record__.size for m in self.program.told}
        if flags & Flag.TOLD and not flags & Flag.BOUNCED:
            return told_sizes[kind] + 4
        size = self.sizes[kind][0] if kind in self.sizes else 36
        return size + (8 if flags & Flag.SENDER else 0)

    def take_all(self, block: int = 0) -> list[Slot]:
        found = []
        while (slot := self.take(block)) is not None:
            found.append(slot)
        return found

    def reply(self, slot: Slot) -> Any:
        """The value in a reply, as its handler gave it."""
        for message, function in zip(self.program.messages, self.program.functions, strict=True):
            if message.__gpu_kind__ == slot.kind:
                _, record = reply_room(function)
                if record is None:
                    return None
                value = record.unpack(slot.data)
                return value["value"] if isinstance(function.result, Scalar) else value
        raise AssertionError(slot)
