"""``actinium gpu info``: driver, compilers, device, back ends, and a test of the rings."""

from __future__ import annotations

import dataclasses
from typing import Any

from actinium.errors import ActiniumError
from actinium.gpu.executors.resident import HOMES
from actinium.gpu.runtime.backends import missing

from ..admin.tables import show, table
from ..screen import Screen

_MEBI = 1 << 20


def info(screen: Screen, as_json: bool) -> bool:
    """Shows all of it; False if the rings failed their test."""
    found = facts()
    rows = [(name, line["status"], line["found"]) for name, line in found.items()]
    show(screen, found, as_json, table(("", "status", "found"), rows))
    return bool(found["rings"]["status"] != "fail")


def facts() -> dict[str, dict[str, Any]]:
    """Each part by name: ``status`` (ok, none or fail), ``found`` in words, and its figures."""
    found = {"device": device(), "NVRTC": nvrtc(), "C++ compiler": compiler()}
    for backend in HOMES:
        found[f"backend {backend}"] = _backend(backend)
    found["rings"] = rings()
    return found


def _line(status: str, text: str, **more: Any) -> dict[str, Any]:
    return {"status": status, "found": text, **more}


def device() -> dict[str, Any]:
    """The first GPU and what it can do."""
    from actinium.gpu.hardware.find import device as find

    try:
        gpu = find(0)
    except ActiniumError as error:
        return _line("none", str(error))
    caps = gpu.caps
    text = (
        f"{gpu.name}: {caps.architecture}, {caps.sms} multiprocessors, "
        f"{caps.memory_bytes // _MEBI:,} MiB, driver of CUDA {gpu.cuda[0]}.{gpu.cuda[1]}"
    )
    try:
        caps.require("resident actors")
    except ActiniumError as error:
        return _line("none", f"{text}; {error}", caps=dataclasses.asdict(caps))
    return _line("ok", text, caps=dataclasses.asdict(caps))


def nvrtc() -> dict[str, Any]:
    """Version of the compiler for GPUs."""
    from actinium.gpu.codegen.nvrtc import version

    try:
        return _line("ok", version())
    except (ActiniumError, RuntimeError) as error:  # RuntimeError: its library does not load
        return _line("none", str(error))


def compiler() -> dict[str, Any]:
    """The compiler for this processor."""
    from actinium.gpu.codegen.host import compiler as found

    try:
        path, version = found()
    except ActiniumError as error:
        return _line("none", str(error))
    return _line("ok", f"{version} ({path})")


def _backend(name: str) -> dict[str, Any]:
    why = missing(name)
    return _line("ok", "can run") if why is None else _line("none", "; ".join(filter(None, why)))


def rings() -> dict[str, Any]:
    """A million messages between two threads, each checked."""
    from actinium.gpu.selftest import hunt

    try:
        found = hunt(1_000_000)
    except ActiniumError as error:
        return _line("none", str(error))
    text = f"{found.messages:,} messages between threads, {found.torn:,} torn, lost or doubled"
    return _line("fail" if found.torn else "ok", text)
