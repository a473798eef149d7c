"""Operating a running system: measures, traces and logs, and where they go."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .actors import watch_system
    from .gpu import watch_gpu
    from .logs import LogHandler, LogSettings, set_up_logs
    from .metrics import render
    from .redact import Redactor
    from .requests import RequestLog
    from .tracing import Exporter, Memory, Tracing, TracingSettings
    from .writer import Writer

_HOMES = {
    "Exporter": "tracing",
    "LogHandler": "logs",
    "LogSettings": "logs",
    "Memory": "tracing",
    "Redactor": "redact",
    "RequestLog": "requests",
    "Tracing": "tracing",
    "TracingSettings": "tracing",
    "Writer": "writer",
    "render": "metrics",
    "set_up_logs": "logs",
    "watch_gpu": "gpu",
    "watch_system": "actors",
}

__all__ = [
    "Exporter",
    "LogHandler",
    "LogSettings",
    "Memory",
    "Redactor",
    "RequestLog",
    "Tracing",
    "TracingSettings",
    "Writer",
    "render",
    "set_up_logs",
    "watch_gpu",
    "watch_system",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'actinium.ops' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
