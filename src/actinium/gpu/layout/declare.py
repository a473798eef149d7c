"""``@gpu.message`` and ``@gpu.state``: a class of annotated fields becomes a layout."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, dataclass_transform

import msgspec

from actinium.errors import LayoutError

from .header import RESERVED
from .record import ArrayType, Record
from .scalar import Scalar

C = TypeVar("C", bound=type)

SYSTEM_KINDS = 0x0100
"""Kinds below are the runtime's own (0 is none)."""

if TYPE_CHECKING:
    E = TypeVar("E")
    N = TypeVar("N")

    class Array(tuple[E, ...], typing.Generic[E, N]):
        """``Array[T, n]``: n elements of one type, side by side."""

        def __setitem__(self, index: int, value: E) -> None: ...

else:

    class Array:
        """``Array[T, n]``: a field of n elements of one type (``Literal[n]`` is taken too)."""

        def __class_getitem__(cls, item: Any) -> ArrayType:
            if not isinstance(item, tuple) or len(item) != 2:
                raise LayoutError(f"expected Array[type, length], got Array[{item!r}]")
            element, length = item
            if typing.get_origin(length) is Literal:
                (length,) = typing.get_args(length)
            if isinstance(length, bool) or not isinstance(length, int) or length < 1:
                raise LayoutError(f"the length of an Array is an integer above 0, got {length!r}")
            return ArrayType(_type_of(element, f"an element of Array[..., {length}]"), length)


def _type_of(annotation: Any, where: str) -> Any:
    """The layout type an annotation stands for."""
    if isinstance(annotation, Scalar | ArrayType | Record):
        return annotation
    record = getattr(annotation, "__gpu_record__", None)
    if isinstance(record, Record):
        return record
    instead = {int: "gpu.i64", float: "gpu.f32 or gpu.f64", bool: "gpu.bool32"}.get(annotation)
    if instead is not None:
        raise LayoutError(f"{where} is a plain {annotation.__name__}; write its width: {instead}")
    raise LayoutError(
        f"{where} has type {annotation!r}, which has no fixed layout; write a number type "
        "(gpu.i32, gpu.f32, ...), gpu.Array[T, n] or a @gpu.state class"
    )


def fields_of(cls: type, depth: int = 2) -> dict[str, Any]:
    """The annotated fields of a class body, as layout types."""
    scope: dict[str, Any] = {}
    frame = sys._getframe(depth)
    while frame is not None:  # names local to the function that defines the class
        for key, value in frame.f_locals.items():
            scope.setdefault(key, value)
        frame = frame.f_back  # type: ignore[assignment]
    module = sys.modules.get(cls.__module__)
    fields: dict[str, Any] = {}
    for name, annotation in inspect.get_annotations(cls).items():
        where = f"{cls.__name__}.{name}"
        if isinstance(annotation, str):
            try:
                annotation = eval(annotation, vars(module) if module else {}, scope)
            except NameError as e:
                raise LayoutError(f"{where}: the annotation {annotation!r} is unknown ({e})") from e
        if name in RESERVED or name.startswith("_"):
            raise LayoutError(
                f"{where} cannot be a field: the name means something in C++, or is private"
            )
        fields[name] = _type_of(annotation, where)
    if cls.__name__ in RESERVED:
        raise LayoutError(f"{cls.__name__} cannot name a layout: the name means something in C++")
    return fields


def _python_type(type_: Any) -> Any:
    if isinstance(type_, Scalar):
        return {"b": bool, "f": float}.get(type_.kind, int)
    if isinstance(type_, ArrayType):
        return tuple[_python_type(type_.element), ...]  # type: ignore[misc]
    return type_.python or dict


def _defaults(cls: type, fields: Mapping[str, Any]) -> list[Any]:
    """msgspec's field list; an immutable default of the class body stays one."""
    found: list[Any] = []
    for name, type_ in fields.items():
        python = _python_type(type_)
        if name in vars(cls):
            default = vars(cls)[name]
            found.append((name, python, tuple(default) if isinstance(default, list) else default))
        else:
            found.append((name, python))
    return found


def _view(cls: type, fields: Mapping[str, Any], base: type, frozen: bool) -> Any:
    kept = {
        name: value
        for name, value in vars(cls).items()
        if name not in fields and name not in ("__dict__", "__weakref__", "__annotations__")
    }
    try:
        view = msgspec.defstruct(
            cls.__name__,
            _defaults(cls, fields),
            bases=(base,),
            module=cls.__module__,
            namespace={"__doc__": cls.__doc__, "__qualname__": cls.__qualname__} | kept,
            frozen=frozen,
        )
    except TypeError as e:
        raise LayoutError(f"{cls.__name__}: {e}; give the later fields a default too") from e
    return view


@dataclass_transform(frozen_default=True)
def message(*, kind: int) -> Callable[[C], C]:
    """Makes a class of annotated fields a message of fixed layout.

    The result is an :class:`actinium.Message`: immutable, and sent like any other. ``kind`` is
    its number on a ring, 0x0100..0xFFFF, one for each message type of an actor.

    >>> @gpu.message(kind=0x0110)
    ... class Add:
    ...     amount: gpu.i64
    ...     who: gpu.u32 = 0
    >>> Add(2)
    Add(amount=2, who=0)

    Raises:
        LayoutError: a field has no fixed layout, or ``kind`` is out of range.
    """
    from actinium.core import Message  # here, so that layouts alone load no actors

    if isinstance(kind, bool) or not isinstance(kind, int) or not SYSTEM_KINDS <= kind <= 0xFFFF:
        raise LayoutError(f"kind must be 0x0100..0xFFFF, got {kind!r}")

    def make(cls: C) -> C:
        fields = fields_of(cls)
        view = _view(cls, fields, Message, frozen=True)
        view.__gpu_record__ = Record(cls.__name__, fields, view)
        view.__gpu_kind__ = kind
        return view  # type: ignore[no-any-return]

    return make


@dataclass_transform()
def state(cls: C) -> C:
    """Makes a class of annotated fields a record: a part of an actor's state, or of a message.

    Raises:
        LayoutError: a field has no fixed layout.
    """
    fields = fields_of(cls)
    view = _view(cls, fields, msgspec.Struct, frozen=False)
    view.__gpu_record__ = Record(cls.__name__, fields, view)
    return view  # type: ignore[no-any-return]


def record_of(cls: Any) -> Record:
    """The layout of a class made by ``@gpu.message``, ``@gpu.state`` or ``@gpu.actor``.

    Raises:
        LayoutError: it has none.
    """
    record = getattr(cls, "__gpu_record__", None)
    if not isinstance(record, Record):
        raise LayoutError(f"{cls!r} has no layout; decorate it with @gpu.message or @gpu.state")
    return record
