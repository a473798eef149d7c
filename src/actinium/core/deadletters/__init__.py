"""Where every message ends that reached no handler: kept, counted, replayable."""

from .letter import REASONS, DeadLetter, Reason, Replayed
from .letters import DeadLetters, Limits

__all__ = ["REASONS", "DeadLetter", "DeadLetters", "Limits", "Reason", "Replayed"]
