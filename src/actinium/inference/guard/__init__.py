"""What stands around deployments that have limits, budgets, retries or a fallback."""

from .build import build_chains
from .chain import Chain
from .guard import Guard

__all__ = ["Chain", "Guard", "build_chains"]
