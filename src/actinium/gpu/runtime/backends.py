"""Which executor runs a launch."""

from __future__ import annotations

import logging

from actinium.errors import GpuUnavailable, Unavailable, UsageError

from ..executors.resident import HOMES, executor_class

_log = logging.getLogger("actinium.gpu")

AUTO = ("cuda", "cpu", "oracle")
"""What ``"auto"`` tries, in this order."""


def missing(backend: str) -> tuple[str, str] | None:
    """(reason, hint) why a backend cannot run here; None where it can."""
    try:
        cls = executor_class(backend)
    except ImportError as e:
        return f"{backend} needs {e.name or e}", 'pip install "actinium[gpu]"'
    found: tuple[str, str] | None = cls.missing()
    return found


def choose(backend: str) -> str:
    """The backend itself, or what ``"auto"`` comes to here.

    Raises:
        UsageError: no such backend.
        GpuUnavailable: ``"cuda"`` cannot run here; it says why and what would mend it.
        Unavailable: the same for another one.
    """
    if backend == "auto":
        for name in AUTO:
            reason = missing(name)
            if reason is None:
                _log.info("GPU actors run on the backend %s", name)
                return name
            _log.info("the backend %s cannot run here: %s", name, reason[0])
    if backend not in HOMES:
        raise UsageError(f"backend must be auto, {', '.join(HOMES)}; got {backend!r}")
    why = missing(backend)
    if why is not None:
        if backend == "cuda":
            raise GpuUnavailable(*why)
        raise Unavailable(f"the backend {backend} cannot run here: {why[0]}; {why[1]}")
    return backend
