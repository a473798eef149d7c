"""Named places where a test may let something go wrong; armed by ``actinium.testkit.Faults``.

Code that has such a place writes

    if faults.plan is not None:
        kind = faults.plan.strike("link.send", path, frame)

which is one branch while nothing is armed, and nothing is outside of tests.
"""

from __future__ import annotations

from typing import Protocol


class Plan(Protocol):
    """Decides about each pass over a fault point."""

    def strike(self, point: str, where: str, what: object = None) -> str | None:
        """The kind of fault to act out here, or None. Raises what is armed as ``fail``."""


plan: Plan | None = None
"""What is armed in this process."""
