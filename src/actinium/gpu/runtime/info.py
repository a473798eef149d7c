"""A launch as people and metrics see it."""

from __future__ import annotations

from typing import Literal

import msgspec

LaunchState = Literal["starting", "running", "lost", "ending", "ended"]


class LaunchInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One launch as :meth:`Runtime.launches` shows it.

    ``queued``: messages in its rings that the device has not taken. ``starts``: how often its
    kernel was started, which is once more for each device that was lost.
    """

    name: str
    program: str
    backend: str
    state: LaunchState
    blocks: int
    places: int
    actors: int
    queued: int
    handled: int
    bounced: int
    faults: int
    full: int
    told: int
    starts: int
    running: str
