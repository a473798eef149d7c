"""Who stands behind a router."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from actinium.core import System
from actinium.core.pattern import pattern
from actinium.errors import UsageError


class Member(NamedTuple):
    """One routee, with the name that keyed routing knows it by."""

    name: str
    ref: Any


class Members(Protocol):
    """A changing set of routees; some may have stopped a moment ago."""

    def now(self) -> tuple[Member, ...]:
        """Those there are at this moment, in a stable order."""
        ...


def is_alive(ref: Any) -> bool:
    """Whether a ref still takes messages, as far as is known here."""
    return not getattr(ref, "closed_flag", False)


def alive(members: tuple[Member, ...]) -> tuple[Member, ...]:
    """Those that take messages; if none does, all, whose own refusals then say why."""
    return tuple(member for member in members if is_alive(member.ref)) or members


class Fixed:
    """The same refs for ever."""

    def __init__(self, refs: Iterable[Any]) -> None:
        self._all = tuple(Member(ref.path, ref) for ref in refs)
        if not self._all:
            raise UsageError(
                "a router needs routees: a list of refs, ac.Group(system, pattern) or an ac.Pool"
            )

    def now(self) -> tuple[Member, ...]:
        return self._all


class Group:
    """The refs registered under a pattern, as they come and go.

    >>> router = ac.Router(ac.RoundRobin(), ac.Group(system, "workers/*"))
    """

    def __init__(
        self, system: System, names: str, *, tags: Mapping[str, str] | None = None
    ) -> None:
        self.names = names
        pattern(names)  # a malformed one is refused here
        self.system = system
        self._registry = system.registry
        self._tags = dict(tags or {})
        self._version = -1
        self._found: tuple[Member, ...] = ()

    def now(self) -> tuple[Member, ...]:
        registry = self._registry
        if registry.version != self._version:
            self._version = registry.version
            self._found = tuple(
                Member(entry.name, entry.ref)
                for entry in registry.find(self.names, tags=self._tags)
            )
        return self._found
