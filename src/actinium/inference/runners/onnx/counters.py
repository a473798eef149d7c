"""What an engine has done so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals since loading; written by the engine's thread alone.

    ``steps`` that decoded, ``tokens`` drawn, ``prefill_tokens`` fed; requests ``finished``,
    ``cancelled`` by their readers, ``failed``.
    """

    steps: int = 0
    tokens: int = 0
    prefill_tokens: int = 0
    finished: int = 0
    cancelled: int = 0
    failed: int = 0
