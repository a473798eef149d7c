"""A layout as C++: the struct, and assertions of every offset, its size and its alignment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from actinium.errors import LayoutError

from .record import ArrayType, Record
from .scalar import SCALARS, Scalar

BASICS = """\
#ifndef AC_TYPES
#define AC_TYPES
typedef signed char ac_i8; typedef short ac_i16; typedef int ac_i32; typedef long long ac_i64;
typedef unsigned char ac_u8; typedef unsigned short ac_u16; typedef unsigned int ac_u32;
typedef unsigned long long ac_u64;
typedef float ac_f32; typedef double ac_f64;
typedef unsigned int ac_bool32;
typedef ac_u64 ac_Ref;
// Bits at rest; computed with as float.
struct ac_f16 { unsigned short bits; };
struct ac_bf16 { unsigned short bits; };
struct ac_f8e4m3 { ac_u8 bits; }; struct ac_f8e5m2 { ac_u8 bits; };
struct ac_f6e3m2 { ac_u8 bits; }; struct ac_f6e2m3 { ac_u8 bits; }; struct ac_f4e2m1 { ac_u8 bits; };
#ifdef __CUDACC_RTC__  // NVRTC without headers has no other offsetof
#define AC_OFFSET(type, field) __INTADDR__(&(((type*)0)->field))
#else
#define AC_OFFSET(type, field) __builtin_offsetof(type, field)
#endif
#endif
"""


def stored(type_: Any) -> str:
    """The C++ name of a type in memory."""
    if isinstance(type_, Scalar):
        return f"ac_{type_.name}"
    return str(type_.name)


def nested(records: Iterable[Record]) -> list[Record]:
    """The records and all within them, each once, inner ones first.

    Raises:
        LayoutError: two of them have one name and are not alike.
    """
    found: dict[str, Record] = {}

    def add(record: Record) -> None:
        for field in record.fields:
            inner = field.type.element if isinstance(field.type, ArrayType) else field.type
            if isinstance(inner, Record):
                add(inner)
        before = found.setdefault(record.name, record)
        if before.description != record.description:
            raise LayoutError(
                f"two layouts are named {record.name}: {before.description} and "
                f"{record.description}; rename one of the classes"
            )

    for record in records:
        add(record)
    return list(found.values())


def declare(record: Record) -> str:
    """The struct with its padding named, and its static assertions."""
    holes = dict(record.padding)
    lines, end, pads = [], 0, 0

    def pad() -> None:
        nonlocal pads
        if end in holes:
            lines.append(f"  ac_u8 _pad{pads}[{holes[end]}];")
            pads += 1

    for field in record.fields:
        pad()
        if isinstance(field.type, ArrayType):
            lines.append(f"  {stored(field.type.element)} {field.name}[{field.type.length}];")
        else:
            lines.append(f"  {stored(field.type)} {field.name};")
        end = field.offset + field.type.size
    pad()
    name = record.name
    checks = [
        f"static_assert(AC_OFFSET({name}, {field.name}) == {field.offset}, "
        f'"{name}.{field.name} is not at {field.offset}");'
        for field in record.fields
    ]
    checks.append(
        f'static_assert(sizeof({name}) == {record.size}, "{name} is not {record.size} bytes");'
    )
    checks.append(
        f'static_assert(alignof({name}) == {record.alignment}, "{name} is not aligned to '
        f'{record.alignment}");'
    )
    body = "\n".join(lines)
    return f"struct {name} {{\n{body}\n}};\n" + "\n".join(checks) + "\n"


def header(records: Iterable[Record]) -> str:
    """A C++ header (no include needed, g++ and NVRTC alike) of these layouts and their hashes."""
    parts = [BASICS]
    for record in nested(records):
        parts.append(declare(record))
        parts.append(f"static const ac_u64 ac_layout_{record.name} = {record.hash:#018x}ull;\n")
    return "\n".join(parts)


def markdown(record: Record) -> str:
    """The layout as a table for documents: offset, bytes, field, type."""
    rows = [f"| {f.offset} | {f.type.size} | `{f.name}` | `{f.type!r}` |" for f in record.fields]
    rows += [f"| {offset} | {size} | | padding |" for offset, size in record.padding]
    rows.sort(key=lambda row: int(row.split("|")[1]))
    head = f"`{record.name}`: {record.size} bytes, aligned to {record.alignment}\n\n"
    return head + "| offset | bytes | field | type |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


_WORDS = """
alignas alignof and asm auto bitand bitor bool break case catch char class compl const
constexpr continue default delete do double else enum explicit export extern false float
for friend goto if inline int long mutable namespace new not nullptr operator or private
protected public register return short signed sizeof static struct switch template this
throw true try typedef typeid typename union unsigned using virtual void volatile while
xor
"""
RESERVED = frozenset(_WORDS.split()) | set(SCALARS)
"""Words that cannot name a field or a record, because they mean something in C++."""
