"""Types by name: ``module:qualname`` there and back."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from actinium.errors import DecodeError, NotEncodable

MAIN = "__main__"
MAIN_HERE = "__actinium_main__"
"""The name under which a worker process imports the program's main file."""

_load_main: Callable[[], Any] = lambda: importlib.import_module(MAIN)  # noqa: E731


def load_main_with(loader: Callable[[], Any]) -> None:
    """Sets what imports the program's main module when one of its types is first needed."""
    global _load_main
    _load_main = loader


def name_of(cls: type) -> str:
    """The name under which another process can import a class.

    Raises NotEncodable for a class inside a function, which no other process could find.
    """
    module, qualname = cls.__module__, cls.__qualname__
    if "<" in qualname:
        raise NotEncodable(
            f"{qualname} ({module}) is defined inside a function, so another process cannot "
            "import it; move the class to the top of its module"
        )
    return f"{MAIN if module == MAIN_HERE else module}:{qualname}"


def find_type(name: str) -> type[Any]:
    """The class of a name, imported if need be; raises DecodeError if there is none."""
    module, colon, qualname = name.partition(":")
    if not colon or not qualname:
        raise DecodeError(f"expected a type as 'module:Name', got {name[:200]!r}")
    try:
        found: Any = _load_main() if module == MAIN else importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except Exception as e:
        advice = (
            'put what starts the program below `if __name__ == "__main__":`, or the class into a '
            "module of its own"
            if module == MAIN
            else "every process of a system needs the same modules"
        )
        raise DecodeError(
            f"the type {name[:200]!r} cannot be imported here ({type(e).__name__}: {e}); {advice}"
        ) from e
    if not isinstance(found, type):
        raise DecodeError(f"expected {name!r} to be a class, got {type(found).__name__}")
    return found
