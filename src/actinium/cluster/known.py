"""Numbers and refs: how the actors of one process are known to the others, and theirs to it."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec

from actinium import _native
from actinium.core.remote import Elsewhere, RemoteRef
from actinium.errors import DecodeError, UsageError
from actinium.wire import find_type, name_of

from .address import PLACED
from .way import Way

if TYPE_CHECKING:
    from . import entries as e
    from .node import Node

KEPT_FAILURES = 65_536
"""How many placed actors that are gone a process remembers, and why each went."""


class Known:
    """The actors that leave or enter a process by their number, and the refs to those elsewhere."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._ids: dict[Any, int] = {}
        self.cells: dict[Any, Any] = {}
        """Actors of this process that others know, by number or placed key."""
        self.id_bytes: dict[Any, bytes] = {None: b"\0"}
        """Encoded numbers of actors of this process, for their messages' senders."""
        self._sweep_at = 1024
        self.refs: dict[Any, Any] = {}
        """Refs to actors elsewhere: by placed key, entity, or (process, incarnation, number)."""
        self._refs_sweep_at = 1024
        self.past: OrderedDict[int, BaseException | None] = OrderedDict()
        """Placed actors that lived here and are gone, the latest ones."""

    def id_of(self, cell: Any) -> int:
        """The number by which others know an actor of this process."""
        found = self._ids.get(cell)
        if found is None:
            found = cell.uid
            if len(self._ids) >= self._sweep_at:
                self._forget_stopped()
            self._know(found, cell)
        return found

    def _know(self, number: int, cell: Any) -> None:
        self._ids[cell] = number
        self.cells[number] = cell
        self.id_bytes[cell] = msgspec.msgpack.encode(number)

    def _forget(self, number: int, cell: Any) -> None:
        del self._ids[cell], self.cells[number], self.id_bytes[cell]

    def _forget_stopped(self) -> None:
        for cell, number in list(self._ids.items()):
            if cell.stopped_flag:
                self._forget(number, cell)
        self._sweep_at = max(1024, 2 * len(self._ids))

    def settle(self, key: int, cell: Any) -> None:
        """An actor with a placed key lives here from now on."""
        self._know(key, cell)

    def unsettle(self, key: int, failure: BaseException | None = None) -> None:
        """An actor with a placed key has stopped, or could not be made."""
        cell = self.cells.get(key)
        if cell is not None:
            self._forget(key, cell)
        self.past[key] = failure
        if len(self.past) > KEPT_FAILURES:
            self.past.popitem(last=False)

    def here(self, number: int) -> Any:
        """The actor of this process with that number, or None."""
        return self.cells.get(number)

    def pack_ref(self, ref: Any) -> Any:
        """The address of a ref as plain data."""
        if not isinstance(ref, _native.Cell):  # an EntityRef
            return [0, 0, [name_of(ref._cls), ref.key], ref.path]
        if ref.core is not self._node.core:
            raise UsageError(f"{ref!r} belongs to another system and cannot be sent in this one")
        if isinstance(ref, RemoteRef):
            way: Way = ref.extra
            return [way.node_index, way.node_incarnation, way.to, way.known_path]
        cell: Any = ref
        return [self._node.index, self._node.incarnation, self.id_of(cell), cell.path]

    def unpack_ref(self, data: Any) -> Any:
        """The ref of an address; raises DecodeError for what is none."""
        try:
            index, incarnation, to, path = data
            if isinstance(to, list):
                name, key = to
                return self._node.system.entity(find_type(name), key)
            if not all(isinstance(n, int) and n >= 0 for n in (index, incarnation, to)):
                raise ValueError("numbers expected")
            return self.ref(index, incarnation, to, str(path))
        except (TypeError, ValueError) as error:
            raise DecodeError(f"no address of an actor: {str(data)[:100]} ({error})") from None

    def ref(self, index: int, incarnation: int, to: e.To, path: str = "") -> Any:
        """The ref to an actor, the same object for the same actor while anybody holds it."""
        movable = isinstance(to, tuple) or to >= PLACED
        known: Any = to if movable else (index, incarnation, to)
        found = self.refs.get(known)
        if found is not None:
            if path and not found.extra.known_path:
                found.extra.known_path = path
            return found
        at_home = index == self._node.index and incarnation == self._node.incarnation
        if isinstance(to, int) and (movable or at_home):
            cell = self.cells.get(to)
            if cell is not None:
                return cell
        if len(self.refs) >= self._refs_sweep_at:
            self._forget_refs()
        ref = self._node.core.foreign(RemoteRef, Elsewhere)
        way = ref.extra = Way(self._node, index, incarnation, to, path)
        if not movable and at_home:
            way.reason = "stopped"
        self.refs[known] = ref
        return ref

    def way_changed(self) -> None:
        """Links came or went, or actors moved: the shortcuts of refs no longer hold."""
        for ref in self.refs.values():
            ref.extra.link = None

    def _forget_refs(self) -> None:
        """Lets go of refs that nobody else holds."""
        for link in self._node.links.values():
            link.forget_senders()
        for known, ref in list(self.refs.items()):
            way: Way = ref.extra
            # The table, the list, the loop's variable and the call's argument hold it.
            if sys.getrefcount(ref) <= 4 and not way.watchers and not way.waiting_for_end:
                del self.refs[known]
        self._refs_sweep_at = max(1024, 2 * len(self.refs))
