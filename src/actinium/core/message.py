"""What may be sent: immutable values.

Inside a process a message travels by reference, so a value that the sender could still change
would be shared state. The check costs one table look-up per message in the native core; a type
met for the first time is judged here, once.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import pathlib
import types
import uuid
from typing import TYPE_CHECKING, Generic, TypeVar, dataclass_transform

import msgspec

from actinium import _native
from actinium.errors import NotAMessage

T = TypeVar("T")


if TYPE_CHECKING:
    # What a type checker has to know: subclasses are frozen without saying so.
    @dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
    class _Frozen(msgspec.Struct, frozen=True):
        pass

else:

    class _Frozen(msgspec.Struct, frozen=True):
        pass


class Message(_Frozen, frozen=True):
    """Base of your messages: an immutable struct with typed fields.

    >>> class Add(Message):
    ...     n: int
    >>> Add(2)
    Add(n=2)
    """


class Unchecked(Generic[T]):
    """Carries a mutable object to another actor of this process, at your own risk.

    The handler is annotated with ``ac.Unchecked`` and finds the object in ``value``. Sender and
    receiver then share it: agree who may change it.
    """

    __slots__ = ("value",)
    __match_args__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Unchecked({self.value!r})"


_IMMUTABLE: tuple[type, ...] = (
    int,
    float,
    complex,
    str,
    bytes,
    tuple,
    frozenset,
    types.NoneType,
    types.EllipsisType,
    range,
    type,
    enum.Enum,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.timezone,
    decimal.Decimal,
    fractions.Fraction,
    uuid.UUID,
    pathlib.PurePath,
    Unchecked,
    _native.Cell,
    _native.Reply,
    _native.Payload,
)


def is_message(cls: type) -> bool:
    """Whether values of this class may be sent; raises NotAMessage if not.

    Frozen structs, frozen dataclasses and immutable built-ins may, and so may refs.
    """
    if issubclass(cls, _IMMUTABLE):
        return True
    config = getattr(cls, "__struct_config__", None)
    if config is not None and config.frozen:
        return True
    params = getattr(cls, "__dataclass_params__", None)
    if params is not None and params.frozen:
        return True
    if getattr(cls, "__actinium_message__", False):
        return True
    raise NotAMessage(_advice(cls))


def _advice(cls: type) -> str:
    name = cls.__qualname__
    instead = {
        "list": "send a tuple: tuple(items)",
        "dict": "send a struct: class Data(ac.Message): ...",
        "set": "send a frozenset: frozenset(items)",
        "bytearray": "send bytes: bytes(data), or many of them as ac.Payload(data)",
        "memoryview": "send ac.Payload(view), which copies once, or the object behind the view",
        "Block": "seal it, which copies nothing: block.seal()",
    }.get(name)
    if instead is None:
        instead = f"declare it `class {name}(ac.Message)` or `@dataclass(frozen=True)`"
    return (
        f"a {name} cannot be a message because it can change while it is under way; "
        f"{instead}, or wrap it in ac.Unchecked(...) if you are sure"
    )
