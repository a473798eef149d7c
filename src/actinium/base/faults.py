"""Named places where a test may let something go wrong; armed by ``actinium.testkit.Faults``.

Code that has such a place writes

    if faults.plan is not None:
        kind = faults.plan.strike("link.send", path, frame)

which is one branch while nothing is armed, and nothing is outside of tests.
"""

from __future__ import annotations

from typing import Protocol


class Strike(Protocol):
    """What strikes at one pass: its kind, how long a delay takes, what ``fail`` raises."""

    @property
    def kind(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def error(self) -> BaseException: ...


class Plan(Protocol):
    """Decides about each pass over a fault point."""

    def at(self, point: str, where: str, what: object = None) -> Strike | None:
        """What strikes now, or None; for places that can be late as well."""

    def strike(self, point: str, where: str, what: object = None) -> str | None:
        """The kind of fault to act out here, or None. Raises what is armed as ``fail``."""


plan: Plan | None = None
"""What is armed in this process."""
