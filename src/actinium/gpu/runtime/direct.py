"""Messages that go into the ring past the mailbox, where that is empty and nothing waits.

They are counted as accepted and handled, as those are that the shepherd hands over; what comes back
is put back or becomes a dead letter like theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from actinium.core.ref import LocalRef
from actinium.errors import AskTimeout, DeviceLost, LayoutError, UsageError

from ..abi.ring import Slot
from ..abi.words import REASON_SHIFT, Flag, Reason
from .block import Event, Unanswered

if TYPE_CHECKING:
    from actinium import _native

    from .place import Place
    from .ref import GpuRef


def no_answer(
    ref: GpuRef, place: Place, message: Any, event: Event | str, timeout: float
) -> _native.Reply:
    """The answer of an ask that a thread waited for, which now ends as any other.

    Raises:
        AskTimeout: there is none in time.
        DeviceLost: the kernel has ended.
    """
    core = ref.core
    if isinstance(event, str):
        if event != "full":  # otherwise it never went out
            core.passed(1)
            place.beside()
        place.launch.look()
        if event == "ended" or not place.launch.alive:
            raise DeviceLost(f"{place.launch.name}: its kernel has ended")
        raise AskTimeout(f"{ref.path} did not answer in {timeout:g} s")
    core.passed(1)
    flags, kind, dest, corr, _, data, _ = event
    reply = place.late(message, corr)
    if flags & Flag.BOUNCED:
        place.launch.turn()  # why it came back
        place.block.returns(Slot(kind, flags, dest, corr, data), Reason(flags >> REASON_SHIFT & 15))
    return reply


def tell_messages(ref: GpuRef, messages: Iterable[Any]) -> int:
    """Tells messages in order; how many were taken."""
    found = messages if isinstance(messages, list | tuple) else list(messages)
    place: Place | None = ref.instance._place if ref.clear(False) else None
    if place is None or not found or not place.direct:
        return LocalRef.tell_many(ref, found)
    cls = type(found[0])
    way = place.ways.get(cls)
    if way is None or any(type(message) is not cls for message in found):
        return LocalRef.tell_many(ref, found)
    end = place.block.end
    before = end.stats()["put"]
    with suppress(LayoutError):  # that message is refused by name when its turn comes
        end.tell_many(place.handle, way[0], found, 0.0, _sender(ref, place))
    put = (end.stats()["put"] - before) & 0xFFFFFFFF
    _gone(ref, place, put)
    return put + (LocalRef.tell_many(ref, found[put:]) if put < len(found) else 0)


def tell_packed(ref: GpuRef, messages: Any, of: Any, wait: float) -> int:
    """Tells packed messages of one class in order; how many were taken."""
    record = getattr(of, "__gpu_record__", None)
    if record is None:
        raise UsageError(f"of= names a class made with @gpu.message, got {of!r}")
    try:
        view = memoryview(messages)
    except TypeError:
        raise UsageError(
            f"with of= the messages are a buffer of packed records, got {type(messages).__name__}; "
            "tell messages without of="
        ) from None
    size = record.size
    if not view.c_contiguous or view.itemsize not in (1, size) or view.nbytes % size:
        raise UsageError(
            f"packed {of.__qualname__} messages have {size} bytes each, one after another; got "
            f"{view.nbytes} bytes in items of {view.itemsize}"
        )
    put = 0
    place: Place | None = ref.instance._place if ref.clear(False) else None
    way = place.ways.get(of) if place is not None and place.direct else None
    if place is not None and way is not None:
        put = place.block.end.tell_many(place.handle, way[0], view, wait, _sender(ref, place))
        _gone(ref, place, put)
    rest = view.tobytes()[put * size :] if put * size < view.nbytes else b""
    messages = [record.unpack(rest[i : i + size]) for i in range(0, len(rest), size)]
    return put + (LocalRef.tell_many(ref, messages) if messages else 0)


def _sender(ref: GpuRef, place: Place) -> int:
    return place.launch.handles.number(ref.core.snapshot()[0])


def _gone(ref: GpuRef, place: Place, count: int) -> None:
    if count:
        ref.core.passed(count)
        place.beside()


__all__ = ["Unanswered", "no_answer", "tell_messages", "tell_packed"]
