"""Where a lower layer meets a higher one without importing it.

A lower layer names a plug and what it expects of it (a Protocol). The package's door, which knows
all layers, says which object of which module fills it; that module is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

_fillers: dict[str, str] = {}


def fill(plug: str, filler: str) -> None:
    """Names the object (``module:name``) that fills a plug."""
    _fillers[plug] = filler


def filled(plug: str) -> Any:
    """The object that fills a plug, imported now if it was not yet."""
    module, _, name = _fillers[plug].partition(":")
    return getattr(importlib.import_module(module), name)
