"""The program's main module, as a worker process gets hold of it."""

from __future__ import annotations

import os
import runpy
import sys
import types

from actinium.errors import Unavailable
from actinium.wire import names


def main_module() -> str:
    """How a worker can import this process's main module; empty if it cannot."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return f"module:{spec.name}"
    file = getattr(main, "__file__", None)
    return f"file:{os.path.abspath(file)}" if file and os.path.isfile(file) else ""


class MainModule:
    """Imports the main module under another name, as its guard expects."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._module: types.ModuleType | None = None

    def load(self) -> types.ModuleType:
        """The module; raises Unavailable if there is no file to import, or what it raises."""
        if self._module is None:
            kind, _, where = self._what.partition(":")
            if not where:
                raise Unavailable(
                    "the class is defined in a program that is no file (python -c, or a prompt); "
                    "put it into a module"
                )
            module = types.ModuleType(names.MAIN_HERE)
            self._module = sys.modules[names.MAIN_HERE] = module
            try:
                found = (
                    runpy.run_module(where, run_name=names.MAIN_HERE, alter_sys=False)
                    if kind == "module"
                    else runpy.run_path(where, run_name=names.MAIN_HERE)
                )
            except BaseException:
                self._module = None
                raise
            module.__dict__.update(found)
        return self._module
