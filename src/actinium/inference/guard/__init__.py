"""What stands around deployments that have limits, budgets, retries or a fallback."""

from .build import Chains
from .chain import Chain
from .guard import Guard

__all__ = ["Chain", "Chains", "Guard"]
