"""Programs out of a file that a user names."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from actinium.gpu.lang.marks import Kernel

from ..failures import USAGE, CommandFailed


def module_of(path: Path) -> ModuleType:
    """Runs a Python file as a module, its folder being the first place of its imports."""
    if not path.is_file():
        raise CommandFailed(f"there is no file {path}", code=USAGE)
    spec = importlib.util.spec_from_file_location(f"actinium_program_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise CommandFailed(f"{path} is not a Python file", code=USAGE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise CommandFailed(f"{path}:{error.lineno}: {error.msg}", code=USAGE) from error
    finally:
        sys.path.pop(0)
    return module


def _home(value: Any) -> str | None:
    """The module in which a program is defined; None for what is no program."""
    if isinstance(value, Kernel):
        return str(value.function.__module__)
    return value.__module__ if isinstance(value, type) and hasattr(value, "__gpu_actor__") else None


def programs_of(where: str) -> list[Any]:
    """What ``FILE.py`` or ``FILE.py:NAME`` defines: actor classes, kernels and stencils."""
    file, _, name = where.partition(":")
    module = module_of(Path(file))
    own = {key: value for key, value in vars(module).items() if _home(value) == module.__name__}
    found = ", ".join(own) or "nothing"
    if not name:
        if not own:
            raise CommandFailed(
                f"{file} defines no actor, kernel or stencil",
                "mark a class with @gpu.actor, or a function with @gpu.kernel or @gpu.stencil",
                USAGE,
            )
        return list(own.values())
    if name not in own:
        raise CommandFailed(f"{file} has no {name!r} that compiles; it defines {found}", code=USAGE)
    return [own[name]]
