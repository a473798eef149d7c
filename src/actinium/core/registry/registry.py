"""``system.registry``: names and tags to refs, found by pattern, watched without a gap (RG-1)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from actinium.core.extra import not_on_stop, on_stop
from actinium.core.pattern import Pattern, pattern, split_name
from actinium.core.ref import LocalRef
from actinium.errors import ActorNotFound, ActorStopped, NameTaken, UsageError

from .changes import (
    NameAdded,
    NameChange,
    NameRemoved,
    NameReplaced,
    NameWatch,
    Registered,
)
from .trie import Trie


class Registry:
    """Names for refs, such as ``plant/7/sensor``; apart from the tree of actors.

    Patterns: ``?`` is one character and ``*`` any number of them within a segment; ``**`` is any
    number of whole segments, none included. The names of an actor are free again once it has
    stopped. Looking up is safe from any thread and sees one state; changes belong to the thread
    of the system's event loop, or to any of its shards.
    """

    def __init__(self) -> None:
        self.across: Callable[[Callable[[], object]], object] | None = None
        """Calls something on the thread of the watches, where shards change names too."""
        self._names: Trie[Registered] = Trie()
        self._of: dict[Any, set[str]] = {}
        self._watches: list[NameWatch] = []
        self._lock = threading.RLock()
        self._thread = threading.get_ident()
        self.version = 0
        """Grows with every change."""

    # -- changing

    def register(
        self,
        name: str,
        ref: Any,
        *,
        tags: Mapping[str, str] | None = None,
        replace: bool = False,
    ) -> Registered:
        """Gives a ref a name. An actor may have several.

        Raises NameTaken if another one has it and ``replace`` is not set, ActorStopped for a
        dead ref, UsageError for what is no name.
        """
        split_name(name, "a registered name")
        self._check_thread()
        if not hasattr(ref, "tell"):
            raise UsageError(f"register({name!r}, ...) takes a ref, got {ref!r}")
        if isinstance(ref, LocalRef) and ref.stopped_flag:
            raise ActorStopped(f"{ref.path} has stopped and cannot be registered as {name!r}")
        entry = Registered(name, ref, dict(tags or {}))
        with self._lock:
            found = self._names.get(name)
            before = self._live(found)
            if before is not None and not replace:
                raise NameTaken(
                    f"{name!r} is registered for {before.ref.path}; "
                    "unregister it first, or pass replace=True"
                )
            if found is not None:
                self._forget(found)
            self._names.put(name, entry)
            self._remember(entry)
            self.version += 1
        self._tell(NameReplaced(entry, before) if before is not None else NameAdded(entry))
        return entry

    def unregister(self, name: str) -> bool:
        """Frees a name; False if nobody had it."""
        self._check_thread()
        with self._lock:
            entry = self._names.remove(name)
            if entry is None:
                return False
            self._forget(entry)
            self.version += 1
        self._tell(NameRemoved(entry))
        return True

    def _check_thread(self) -> None:
        if self.across is None and threading.get_ident() != self._thread:
            raise UsageError(
                "names are registered and freed on the thread of the system's event loop; "
                "from another one use loop.call_soon_threadsafe(registry.register, name, ref)"
            )

    def _remember(self, entry: Registered) -> None:
        names = self._of.get(entry.ref)
        if names is None:
            names = self._of[entry.ref] = set()
            if isinstance(entry.ref, LocalRef):
                on_stop(entry.ref, self._stopped)
        names.add(entry.name)

    def _forget(self, entry: Registered) -> None:
        names = self._of.get(entry.ref)
        if names is None:
            return
        names.discard(entry.name)
        if not names:
            del self._of[entry.ref]
            if isinstance(entry.ref, LocalRef):
                not_on_stop(entry.ref, self._stopped)

    def _stopped(self, ref: LocalRef[Any], reason: str) -> None:
        for name in self.names(ref):
            self.unregister(name)

    # -- looking up

    def _live(self, entry: Registered | None) -> Registered | None:
        """An actor that is just stopping has its names no more."""
        if entry is None or (isinstance(entry.ref, LocalRef) and entry.ref.stopped_flag):
            return None
        return entry

    def get(self, name: str) -> Registered | None:
        """What one name stands for, None if it is free."""
        with self._lock:
            return self._live(self._names.get(name))

    def ref(self, name: str) -> Any:
        """The ref of a name; raises ActorNotFound if it is free."""
        entry = self.get(name)
        if entry is None:
            hint = "; find() takes patterns" if "*" in name or "?" in name else ""
            raise ActorNotFound(f"nobody is registered as {name!r}{hint}")
        return entry.ref

    def find(self, text: str, *, tags: Mapping[str, str] | None = None) -> list[Registered]:
        """The names that match a pattern and have all these tags, in the order of the names.

        >>> registry.find("plant/*/sensor", tags={"ver": "2"})
        """
        return self._find(pattern(text), tags or {})

    def _find(self, wanted: Pattern, tags: Mapping[str, str]) -> list[Registered]:
        with self._lock:
            found = [
                entry
                for _, entry in self._names.find(wanted)
                if _has(entry, tags) and self._live(entry) is not None
            ]
        return sorted(found, key=lambda entry: entry.name)

    def names(self, ref: Any) -> list[str]:
        """The names that a ref has, in order."""
        with self._lock:
            return sorted(self._of.get(ref, ()))

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    # -- watching

    def watch(
        self, text: str, *, tags: Mapping[str, str] | None = None, max_pending: int = 256
    ) -> NameWatch:
        """The names of a pattern now (``snapshot``), and their changes to come.

        >>> async with system.registry.watch("plant/**") as names:
        ...     known = {entry.name for entry in names.snapshot}
        ...     async for change in names: ...
        """
        if threading.get_ident() != self._thread:
            raise UsageError("watch() belongs to the thread of the system's event loop")
        wanted, having = pattern(text), dict(tags or {})
        watch = NameWatch(
            wanted, having, max_pending, lambda: self._find(wanted, having), self._unwatch
        )
        self._watches.append(watch)
        return watch

    def _unwatch(self, watch: NameWatch) -> None:
        if watch in self._watches:
            self._watches.remove(watch)

    def _tell(self, change: NameAdded | NameRemoved | NameReplaced) -> None:
        if self.across is not None and threading.get_ident() != self._thread:
            self.across(partial(self._tell, change))
            return
        entry = change.entry
        for watch in tuple(self._watches):
            if watch.pattern.matches(entry.name):
                seen = _seen_with(change, watch.tags)
                if seen is not None:
                    watch.offer(seen)

    def close(self) -> None:
        """Ends all watches; their readers get what waits for them."""
        for watch in tuple(self._watches):
            watch.close()


def _has(entry: Registered, tags: Mapping[str, str]) -> bool:
    return all(entry.tags.get(key) == value for key, value in tags.items())


def _seen_with(
    change: NameAdded | NameRemoved | NameReplaced, tags: Mapping[str, str]
) -> NameChange | None:
    """What a change is to someone who sees only names with these tags."""
    now = _has(change.entry, tags)
    if not isinstance(change, NameReplaced):
        return change if now else None
    before = _has(change.before, tags)
    if now and before:
        return change
    if now:
        return NameAdded(change.entry)
    return NameRemoved(change.before) if before else None
