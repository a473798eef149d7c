"""Checks of Python and of the packages."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import sys

from .check import Check, Status

_LEAST = (3, 11)


def python() -> Check:
    """The interpreter is new enough."""
    found = f"{platform.python_implementation()} {platform.python_version()}"
    if sys.version_info < _LEAST:
        return Check(name="Python", status="fail", found=found, fix="install Python 3.11 or newer")
    return Check(name="Python", status="ok", found=found)


def system() -> Check:
    """Linux is what is tested."""
    found = f"{platform.system()} {platform.release()} {platform.machine()}"
    if platform.system() != "Linux":
        fix = "use Linux; nothing else is tested"
        return Check(name="platform", status="warn", found=found, fix=fix)
    return Check(name="platform", status="ok", found=found)


def native() -> Check:
    """The compiled core loads and handles a message."""
    try:
        module = importlib.import_module("actinium._native")
    except ImportError as error:
        return Check(
            name="native core",
            status="fail",
            found=f"does not load: {error}",
            fix="install again with a C++20 compiler: pip install --force-reinstall actinium",
        )
    return Check(name="native core", status="ok", found=str(module.__file__))


def package(name: str, *, extra: str, absent: Status, without: str) -> Check:
    """An optional package can be imported; ``without`` says what is missing otherwise."""
    fix = f'pip install "actinium[{extra}]"'
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return Check(name=name, status=absent, found=f"not installed: {without}", fix=fix)
    except ImportError as error:
        return Check(name=name, status="fail", found=f"does not load: {error}", fix=fix)
    return Check(name=name, status="ok", found=importlib.metadata.version(name))


def packages() -> list[Check]:
    """The packages that ``actinium serve`` uses."""
    no_model = "the embedded model cannot run"
    return [
        package("uvloop", extra="serve", absent="warn", without="asyncio's slower loop is used"),
        package("httptools", extra="serve", absent="fail", without="no HTTP"),
        package("onnxruntime", extra="embedded", absent="fail", without=no_model),
        package("tokenizers", extra="embedded", absent="fail", without=no_model),
    ]
