"""The result of one look at the machine."""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["ok", "warn", "fail"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at and found; ``fix`` is what to do unless it is ok."""

    name: str
    status: Status
    found: str
    fix: str = ""
