"""What was done, read from the measures when a server has stopped."""

from __future__ import annotations

from typing import Final

import msgspec

from actinium.base.measures import Count, Family, Registry

from ..wording import count

_WORK: Final = ("chat", "completions", "responses", "embeddings", "messages")


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """Totals of one run. ``cut_off`` answers had not ended when the time to drain was over."""

    answered: int
    refused: int
    turns: int | None
    cut_off: int
    forced: int
    lost: int
    seconds: float

    def line(self) -> str:
        """One sentence for people and logs."""
        parts = [count(self.answered, "request") + " served"]
        if self.refused:
            parts.append(count(self.refused, "request") + " refused or failed")
        if self.turns is not None:
            parts.append(count(self.turns, "session turn"))
        parts.append(count(self.cut_off, "answer") + " cut off")
        if self.forced:
            parts.append(count(self.forced, "actor") + " stopped by force")
        parts.append(count(self.lost, "message") + " lost")
        return f"stopped in {self.seconds:.1f} s: " + ", ".join(parts)


def answers(registry: Registry) -> tuple[int, int]:
    """Requests for model work that were answered with 200, and all other ones."""
    good = bad = 0
    for measure in registry:
        if measure.name != "http_answers" or not isinstance(measure, Family):
            continue
        for (endpoint, _, status), child in measure:
            if endpoint in _WORK and isinstance(child, Count):
                good += int(child.value) if status == "200" else 0
                bad += 0 if status == "200" else int(child.value)
    return good, bad
