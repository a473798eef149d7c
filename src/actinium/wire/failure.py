"""Exceptions as data: the same class comes out, with its text, fields and cause."""

from __future__ import annotations

import builtins
import traceback
from typing import Any

import msgspec

from actinium.errors import ActiniumError, DecodeError, HandlerError, MessageError

from .codec import Codec
from .names import find_type, name_of

_DEEPEST = 4  # causes of causes


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """One exception: its class, its arguments and attributes as encoded values, its cause."""

    type: str
    text: str
    args: bytes = b""
    fields: bytes = b""
    cause: Failure | None = None
    trace: str = ""


def pack_failure(codec: Codec, error: BaseException, depth: int = 0) -> Failure:
    """The data of an exception; never raises: what cannot be encoded is left out or is its text."""
    known = error.fields() if isinstance(error, ActiniumError) else dict(vars(error))
    cause = known.pop("cause", None)
    if not isinstance(cause, BaseException):
        cause = error.__cause__
    known.pop("__notes__", None)
    try:
        name = name_of(type(error))
    except MessageError:
        name = ""
    return Failure(
        type=name,
        text=f"{type(error).__qualname__}: {error}" if not name else str(error),
        args=_encoded(codec, _arguments(error)),
        fields=_encoded(codec, known),
        cause=pack_failure(codec, cause, depth + 1)
        if cause is not None and depth < _DEEPEST
        else None,
        trace="".join(traceback.format_tb(error.__traceback__)[-8:]),
    )


def _arguments(error: BaseException) -> tuple[Any, ...]:
    if isinstance(error, OSError) and error.filename is not None:
        return (error.errno, error.strerror, error.filename)
    return tuple(error.args)


def _encoded(codec: Codec, value: Any) -> bytes:
    try:
        packed = codec.pack(value)
    except MessageError:
        if isinstance(value, tuple):
            return codec.pack(tuple(str(item) for item in value)).body
        kept = {k: v for k, v in value.items() if _can(codec, v)}
        return codec.pack(kept).body
    return packed.body if not packed.buffers else b""


def _can(codec: Codec, value: Any) -> bool:
    try:
        return not codec.pack((value,)).buffers
    except MessageError:
        return False


def unpack_failure(codec: Codec, failure: Failure, where: str = "") -> BaseException:
    """The exception again, of the same class if it can be imported here.

    ``where`` names the other process; a note with it and the traceback there is added.
    """
    cause = unpack_failure(codec, failure.cause, where) if failure.cause is not None else None
    try:
        error = _same_class(codec, failure)
    except (DecodeError, TypeError, ValueError):
        error = HandlerError(f"{failure.type or 'exception'}: {failure.text}")
    if cause is not None:
        error.__cause__ = cause
        if isinstance(error, ActiniumError) and hasattr(error, "cause"):
            error.cause = cause
    if failure.trace:
        error.add_note(f"{where or 'elsewhere'}:\n{failure.trace.rstrip()}")
    return error


def _same_class(codec: Codec, failure: Failure) -> BaseException:
    module, _, name = failure.type.partition(":")
    cls = getattr(builtins, name, None) if module == "builtins" else find_type(failure.type)
    if not (isinstance(cls, type) and issubclass(cls, BaseException)):
        raise DecodeError(f"{failure.type!r} is no exception")
    args = codec.unpack("", failure.args) if failure.args else (failure.text,)
    # Made without calling __init__, whose parameters nobody knows here.
    error: BaseException = cls.__new__(cls, *args)
    if not isinstance(error, OSError) or len(args) != 3:  # 3: it took the file's name out
        error.args = args
    if failure.fields:
        fields = codec.unpack("", failure.fields)
        if isinstance(fields, dict):
            vars(error).update({k: v for k, v in fields.items() if isinstance(k, str)})
    if issubclass(cls, HandlerError) and not hasattr(error, "cause"):
        error.cause = None  # type: ignore[attr-defined]
    return error
