"""What a result was measured on."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import sys
import sysconfig
from typing import Any

PACKAGES = ("actinium", "msgspec", "uvloop", "pykka", "thespian", "xoscar")


def _first(path: str, key: str) -> str:
    try:
        with open(path, encoding="utf-8") as f:
            for line in f:
                if line.startswith(key):
                    return line.split("=" if "=" in line else ":", 1)[1].strip().strip('"')
    except OSError:
        pass
    return "unknown"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def record() -> dict[str, Any]:
    """Processor, system, interpreter and how busy the machine is (load average, 1 minute)."""
    optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _first("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "system": _first("/etc/os-release", "PRETTY_NAME"),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}"
        + (" (profile-guided build)" if optimised else " (build without profile guidance)"),
        "compiler": platform.python_compiler(),
        "packages": {p: v for p in PACKAGES if (v := _version(p)) is not None},
        "load": round(os.getloadavg()[0], 2),
        "arguments": sys.argv[1:],
    }


def shown(found: dict[str, Any]) -> str:
    """The record as one line per field."""
    return "\n".join(f"{key}: {value}" for key, value in found.items())
