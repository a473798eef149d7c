"""Checks of what the machine gives: memory, cores, a port, a place to write."""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from ..places import NO_STORE, short, store_path
from .check import Check

_MEBI: Final = 1 << 20
_LEAST_MEMORY: Final = 512 * _MEBI


def memory(meminfo: Path = Path("/proc/meminfo")) -> Check:
    """Enough memory is free for the embedded model (MemAvailable of proc(5))."""
    name = "memory"
    try:
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError) as error:
        return Check(name=name, status="warn", found=f"unknown: {error}", fix="look with `free -m`")
    found = f"{free // _MEBI} MiB available"
    if free < _LEAST_MEMORY:
        fix = f"the embedded model needs about {_LEAST_MEMORY // _MEBI} MiB; end other programs"
        return Check(name=name, status="warn", found=found, fix=fix)
    return Check(name=name, status="ok", found=found)


def cores() -> Check:
    """How many cores this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check(name="cores", status="ok", found=f"{count or 'unknown'}")


def gpu(devices: Path = Path("/dev")) -> Check:
    """Says whether there is a GPU; nothing here needs one."""
    found = sorted(path.name for path in devices.glob("nvidia[0-9]*"))
    return Check(name="GPU", status="ok", found=", ".join(found) or "none; not needed")


def port(host: str, number: int) -> Check:
    """The address of the gateway can be bound."""
    name = f"port {number}"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
            probe.listen(1)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            return Check(
                name=name,
                status="warn" if taken else "fail",
                found=f"taken on {host}" if taken else f"cannot be bound on {host}: {error}",
                fix=f"actinium serve --port {number + 1 if number < 65535 else 0}",
            )
    return Check(name=name, status="ok", found=f"free on {host}")


def store(choice: str | None) -> Check:
    """The session store can be made and written; a file that exists is not changed."""
    path = store_path(choice)
    if path is None:
        what = "no sessions are kept" if choice == NO_STORE else "sessions end with the process"
        return Check(name="session store", status="ok", found=what)
    fix = "name another file with --store PATH, or use --no-store"
    try:
        exists = path.exists()
        if exists:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as db:
                db.execute("PRAGMA schema_version").fetchone()
        _check_writable(path)
    except (OSError, sqlite3.Error) as error:
        return Check(name="session store", status="fail", found=f"{short(path)}: {error}", fix=fix)
    state = f"{path.stat().st_size // 1024} KiB" if exists else "will be made"
    return Check(name="session store", status="ok", found=f"{short(path)} ({state})")


def _check_writable(path: Path) -> None:
    """Raises OSError where the file, or the nearest folder above it, cannot be written."""
    while not path.exists():
        path = path.parent
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(path))
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "not writable", str(path))


def key(variable: str, environ: Mapping[str, str]) -> Check:
    """Whether a variable with a key is set; its value is never shown."""
    if environ.get(variable):
        return Check(name=variable, status="ok", found="set")
    return Check(name=variable, status="ok", found="not set; only OpenAI's own models need it")
