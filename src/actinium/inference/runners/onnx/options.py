"""The ``options`` of a deployment that this runner understands."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from actinium.errors import ConfigError


def _cores() -> int:
    """Cores this process may use; containers often allow fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class OnnxOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model runs.

    ``slots``: sequences in the running batch (1..256). ``threads``: threads of one step (None:
    half of the cores this process may use, at least 1). ``prefill_chunk``: prompt tokens fed
    between two decode steps (16..4096). ``context``: limit in tokens below the model's own
    (None: the model's).
    """

    slots: int = 16
    threads: int | None = None
    prefill_chunk: int = 128
    context: int | None = None

    def __post_init__(self) -> None:
        _within("slots", self.slots, 1, 256)
        _within("prefill_chunk", self.prefill_chunk, 16, 4096)
        if self.threads is not None:
            _within("threads", self.threads, 1, 256)
        if self.context is not None:
            _within("context", self.context, 2, 1 << 20)

    @classmethod
    def of(cls, options: dict[str, Any], deployment: str) -> OnnxOptions:
        """Decodes a deployment's options. Raises ConfigError naming the key."""
        try:
            return msgspec.convert(options, cls)
        except msgspec.ValidationError as error:
            known = ", ".join(cls.__struct_fields__)
            raise ConfigError(
                f"deployment {deployment!r}: options: {error}; the onnx runner knows {known}"
            ) from error

    def thread_count(self) -> int:
        """Threads of one step.

        A step waits for the slowest of its threads, so one that has to share its core with the
        event loop costs more than it brings: half of the cores is what pays under load.
        """
        return self.threads or max(1, _cores() // 2)


def _within(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{field} must be within {low}..{high}, got {value}")
