"""What may travel comes out equal and of the same type; everything else is refused by name."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import threading
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_types import (
    Add,
    Blob,
    Circle,
    Colour,
    Drawing,
    Loose,
    Point,
    Rich,
    Shape,
)

import actinium as ac
from actinium.errors import DecodeError, MessageTooLarge, NotEncodable
from actinium.wire import Codec

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary() | st.dates() | st.times() | st.timedeltas() | st.uuids()
    | st.decimals(allow_nan=False) | st.sampled_from(Colour) | st.builds(Add, st.integers(0, 9))
    | st.builds(Point, st.integers(-5, 5))
)  # fmt: skip
HASHABLE = st.none() | st.booleans() | st.integers() | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(HASHABLE, max_size=4)
        | st.frozensets(HASHABLE, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.builds(Loose, inner, inner)
    ),
    max_leaves=12,
)


def there_and_back(value: Any, codec: Codec | None = None) -> Any:
    packed = (codec or Codec()).pack(value)
    buffers = [bytearray(b) for b in packed.buffers]
    return Codec().unpack(packed.type, packed.body, packed.fields, buffers)


def same(a: Any, b: Any) -> bool:
    """Equal, and of equal types all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(v, b[k]) for k, v in a.items())
    return bool(a == b)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_every_value_that_may_travel_comes_out_the_same(value: Any) -> None:
    assert same(there_and_back(value), value)


def test_a_typed_message_is_checked_on_arrival() -> None:
    rich = Rich(
        datetime.datetime(2026, 1, 2, 3, 4, 5, 6, datetime.UTC),
        decimal.Decimal("1.10"), uuid.UUID(int=7), Colour.BLUE, frozenset("ab"), {"k": (1, 2)},
    )  # fmt: skip
    assert same(there_and_back(rich), rich)
    packed = Codec().pack(Add(1))
    with pytest.raises(DecodeError, match=r"Expected `int`, got `str` - at `\$\.n`"):
        Codec().unpack(packed.type, packed.body.replace(b"\x01", b"\xa1x"))


def test_a_subclass_in_a_field_of_its_base_is_not_cut_down() -> None:
    drawing = Drawing(Circle("c", 2.0), (Shape("s"), Circle("d", 1.0)))
    found = there_and_back(drawing)
    assert type(found.first) is Circle and found == drawing


def test_an_open_annotation_keeps_the_type_of_what_is_there() -> None:
    found = there_and_back(Loose(Circle("c", 1.0), (Add(1), [Point(1)])))
    assert found == Loose(Circle("c", 1.0), (Add(1), [Point(1)]))
    assert type(found.value) is Circle and type(found.other) is tuple


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_large_buffers_go_beside_the_message_uncopied(kind: Any) -> None:
    data = bytes(range(256)) * 400
    packed = Codec().pack(kind(data))
    assert len(packed.body) < 100 and len(packed.buffers) == 1
    assert packed.buffers[0].obj is not None and packed.buffers[0].nbytes == len(data)
    found = there_and_back(kind(data))
    assert type(found) is kind and bytes(found) == data


def test_the_buffers_of_a_struct_go_beside_it_too() -> None:
    data = b"x" * 50_000
    blob = Blob("n", data, memoryview(data))
    packed = Codec().pack(blob)
    assert packed.fields == (0, 1) and packed.buffers[0].obj is data
    found = there_and_back(blob)
    assert (found.name, found.data, bytes(found.view)) == ("n", data, data)
    assert found.view.readonly
    assert there_and_back(Blob("n", b"small")) == Blob("n", b"small")


def test_what_cannot_travel_says_what_can() -> None:
    class Inside(ac.Message):
        n: int

    with pytest.raises(NotEncodable, match="defined inside a function"):
        Codec().pack(Inside(1))
    with pytest.raises(NotEncodable, match="a lock cannot go to another process; send"):
        Codec().pack((threading.Lock(),))
    with pytest.raises(NotEncodable, match="within one process"):
        Codec().pack(ac.Unchecked([1]))
    with pytest.raises(NotEncodable, match="nested deeper than 64"):
        nested: Any = ()
        for _ in range(80):
            nested = (nested,)
        Codec().pack(nested)


def test_a_message_over_the_limit_is_refused_where_it_is_sent() -> None:
    with pytest.raises(MessageTooLarge, match=r"has 1,00\d bytes; the limit is 1,000") as caught:
        Codec(max_message=1000).pack("x" * 1000)
    assert (caught.value.size, caught.value.limit) == (1003, 1000)


def test_int_beyond_64_bits() -> None:
    assert there_and_back(2**200) == 2**200
    with pytest.raises(NotEncodable, match="cannot be encoded"):
        Codec().pack(Add(2**64))


@pytest.mark.parametrize(
    "name", ["os:system", "builtins:int", "subprocess:Popen", "nope:X", "x", ":"]
)
def test_a_name_that_is_no_message_class_is_refused(name: str) -> None:
    with pytest.raises(DecodeError):
        Codec().unpack(name, b"\x80")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["", "wire_types:Rich", "wire_types:Blob"]))
def test_hostile_bytes_are_a_decode_error_and_nothing_else(data: bytes, name: str) -> None:
    with contextlib.suppress(DecodeError):
        Codec().unpack(name, data, (0, 5), ())


@settings(max_examples=200, deadline=None)
@given(VALUES, st.integers(0, 1000), st.integers(1, 255))
def test_one_changed_byte_is_a_value_or_a_decode_error(value: Any, at: int, change: int) -> None:
    packed = Codec().pack(value)
    body = bytearray(packed.body)
    body[at % len(body)] ^= change
    with contextlib.suppress(DecodeError):
        Codec().unpack(packed.type, bytes(body))
