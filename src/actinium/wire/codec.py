"""One message to bytes and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from actinium import _native
from actinium.errors import DecodeError, MessageError, MessageTooLarge, NotEncodable

from .frame import MAX_BUFFER
from .kinds import LEAVES, Shape, blob_fields, is_ref, may_travel
from .names import find_type, name_of
from .tree import TreeReader, TreeWriter, as_kind, take_buffer

MAX_MESSAGE = 16 * 1024 * 1024
"""Most bytes of one encoded message, the buffers beside it not counted."""

MAX_PAYLOAD = MAX_BUFFER - 16 * 1024 * 1024
"""Most bytes of the buffers beside one message."""

BLOB = 16 * 1024
"""From this many bytes on, a buffer goes beside its message instead of inside."""

SIMPLE: frozenset[type] = frozenset((str, float, bool, type(None)))
"""Values that are their own tree. An int may be too large for that."""

_REF = 1  # MessagePack extension type


class Packed(msgspec.Struct, frozen=True):
    """An encoded message: the name of its type (empty: a value that carries its types), the bytes,
    the fields whose buffers go beside it, and those buffers."""

    type: str
    body: bytes
    fields: tuple[int, ...] = ()
    buffers: tuple[Any, ...] = ()

    def raw(self) -> msgspec.Raw:
        """The bytes as a part of a larger encoding."""
        return msgspec.Raw(self.body)


class _Plan:
    """How messages of one class are encoded."""

    __slots__ = ("blobs", "name", "shape", "tree")

    def __init__(self, cls: type) -> None:
        self.name = ""
        self.shape: Shape | None = None
        self.blobs: tuple[tuple[str, type], ...] = ()
        self.tree = True
        if cls in LEAVES:
            self.tree, self.name = False, name_of(cls)
        elif issubclass(cls, msgspec.Struct) or hasattr(cls, "__dataclass_fields__"):
            self.name = name_of(cls)
            self.shape = Shape(cls)
            self.tree = not self.shape.exact
            if not self.tree:
                self.blobs = blob_fields(cls)


class Codec:
    """Encodes and decodes messages.

    ``pack_ref`` makes plain data of a ref inside a message, ``unpack_ref`` the ref again. Both
    have to be given for refs to travel. Encoding raises NotEncodable or MessageTooLarge, decoding
    DecodeError, and nothing else.
    """

    def __init__(
        self,
        pack_ref: Callable[[Any], Any] | None = None,
        unpack_ref: Callable[[Any], Any] | None = None,
        max_message: int = MAX_MESSAGE,
    ) -> None:
        self._pack_ref = pack_ref if pack_ref is not None else _no_refs
        self._unpack_ref = unpack_ref if unpack_ref is not None else _no_refs_here
        self._max = max_message
        self._plans: dict[type, _Plan] = {}
        self.encode = self._encode = msgspec.msgpack.Encoder(enc_hook=self._outward).encode
        self._trees = msgspec.msgpack.Decoder(ext_hook=self._extension)
        self._decoders: dict[str, tuple[Any, tuple[tuple[str, type], ...]]] = {}

    # -- the common case

    def is_simple(self, cls: type) -> bool:
        """Whether messages of this class are what the plain encoder makes of them."""
        if cls in SIMPLE:
            return True
        plan = self._plans.get(cls)
        return plan is not None and not (
            plan.tree or plan.blobs or (plan.shape is not None and plan.shape.inside)
        )

    def simple_decoder(self, type_name: str) -> Callable[[Any], Any] | None:
        """The decoder of a type, if that is all its messages need; None also for unknown ones."""
        if not type_name:
            return None
        try:
            known = self._decoders.get(type_name) or self._decoder(type_name)
        except DecodeError:
            return None
        decode: Callable[[Any], Any] = known[0].decode
        return decode

    # -- out

    def pack(self, msg: Any) -> Packed:
        """The bytes of a message; raises NotEncodable or MessageTooLarge."""
        cls = type(msg)
        plan = self._plans.get(cls)
        if plan is None:
            plan = self._plan(cls)
        try:
            if plan.tree or (plan.shape is not None and plan.shape.inside
                             and not plan.shape.still_exact()):  # fmt: skip
                buffers: list[Any] = []
                tree = TreeWriter(buffers, BLOB, self._pack_ref).write(msg)
                packed = Packed("", self._encode(tree), tuple(range(len(buffers))), tuple(buffers))
            elif plan.blobs:
                packed = self._with_blobs(plan, msg)
            else:
                packed = Packed(plan.name, self._encode(msg))
        except MessageError:
            raise
        except Exception as e:
            raise NotEncodable(f"this {cls.__qualname__} cannot be encoded: {e}") from e
        if len(packed.body) > self._max:
            raise MessageTooLarge(
                f"an encoded {cls.__qualname__} has {len(packed.body):,} bytes; the limit is "
                f"{self._max:,}. Send it in parts (a stream), or as a field of type bytes, which "
                "goes beside the message",
                len(packed.body),
                self._max,
            )
        if packed.buffers and sum(len(b) for b in packed.buffers) > MAX_PAYLOAD:
            size = sum(len(b) for b in packed.buffers)
            raise MessageTooLarge(
                f"the buffers of a {cls.__qualname__} have {size:,} bytes; the limit is "
                f"{MAX_PAYLOAD:,}. Send them in parts (a stream)",
                size,
                MAX_PAYLOAD,
            )
        return packed

    def _plan(self, cls: type) -> _Plan:
        plan = self._plans[cls] = _Plan(cls)
        return plan

    def _with_blobs(self, plan: _Plan, msg: Any) -> Packed:
        fields: list[int] = []
        buffers: list[Any] = []
        empty: dict[str, Any] = {}
        for index, (name, kind) in enumerate(plan.blobs):
            value: Any = getattr(msg, name)
            maker: Any = kind
            view: memoryview | None = _view(value) if type(value) is kind else None
            if view is not None and view.nbytes >= BLOB and view.contiguous:
                fields.append(index)
                buffers.append(view.cast("B"))
                empty[name] = maker(b"")
        if fields:
            msg = msgspec.structs.replace(msg, **empty)
        return Packed(plan.name, self._encode(msg), tuple(fields), tuple(buffers))

    def _outward(self, value: Any) -> Any:
        if isinstance(value, _native.Cell) or type(value).__name__ == "EntityRef":
            return msgspec.msgpack.Ext(_REF, msgspec.msgpack.encode(self._pack_ref(value)))
        if isinstance(value, _native.Payload):
            return memoryview(value)
        raise NotEncodable(f"a message holds a {type(value).__qualname__}, which cannot travel")

    # -- in

    def unpack(self, type_name: str, body: Any, fields: Any = (), buffers: Any = ()) -> Any:
        """The message of these bytes; raises DecodeError for anything that is none."""
        try:
            if not type_name:
                tree = self._trees.decode(body)
                return TreeReader(list(buffers), self._unpack_ref).read(tree)
            known = self._decoders.get(type_name)
            if known is None:
                known = self._decoder(type_name)
            decoder, blobs = known
            msg = decoder.decode(body)
            for index, field in enumerate(fields):
                name, kind = blobs[field]
                value = as_kind(kind, take_buffer(buffers, index))
                msgspec.structs.force_setattr(msg, name, value)
            return msg
        except DecodeError:
            raise
        except RecursionError:
            raise DecodeError("a message is nested too deeply") from None
        except Exception as e:
            raise DecodeError(f"no {type_name or 'message'}: {e}") from e

    def _decoder(self, type_name: str) -> Any:
        cls = find_type(type_name)
        if not may_travel(cls):
            raise DecodeError(f"{type_name} is no message class: expected a struct or dataclass")
        decoder = msgspec.msgpack.Decoder(cls, ext_hook=self._extension, dec_hook=_inward)
        known = self._decoders[type_name] = (decoder, blob_fields(cls))
        return known

    def _extension(self, code: int, data: memoryview) -> Any:
        if code != _REF:
            raise DecodeError(f"unknown extension {code} in a message")
        return self._unpack_ref(msgspec.msgpack.decode(data))


def _view(value: Any) -> memoryview:
    return memoryview(value)


def _inward(annotation: Any, value: Any) -> Any:
    if is_ref(annotation) and (
        isinstance(value, _native.Cell) or type(value).__name__ == "EntityRef"
    ):
        return value
    if annotation is _native.Payload and isinstance(value, bytes):
        return _native.Payload(value)
    raise DecodeError(f"expected a {annotation}, got a {type(value).__qualname__}")


def _no_refs(ref: Any) -> Any:
    raise NotEncodable(f"{ref!r} cannot be encoded: this codec knows no refs")


def _no_refs_here(data: Any) -> Any:
    raise DecodeError("a message holds a ref, and this codec knows none")
