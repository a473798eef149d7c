"""Names of actors among their siblings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from actinium.errors import UsageError

if TYPE_CHECKING:
    from .ref import LocalRef

_NAME = re.compile(r"[A-Za-z0-9_.~-]{1,128}")


def check_name(name: object) -> None:
    """Raises UsageError unless ``name`` can name an actor."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"actor name {name!r}: expected 1-128 letters, digits, '_', '.', '~' or '-'"
        )


class Names:
    """The named children of each parent that are alive."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], LocalRef[Any]] = {}

    def add(self, parent: LocalRef[Any], name: str, cell: LocalRef[Any]) -> None:
        self._known[parent.uid, name] = cell

    def get(self, parent: LocalRef[Any], name: str) -> LocalRef[Any] | None:
        return self._known.get((parent.uid, name))

    def remove(self, parent: LocalRef[Any] | None, name: str) -> None:
        if parent is not None:
            self._known.pop((parent.uid, name), None)
