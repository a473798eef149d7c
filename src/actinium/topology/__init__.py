"""``actinium.toml`` -> a checked plan that can be served."""

from .plan import Plan, parse_plan, plan_of, read_plan
from .sections import GatewaySection, SystemSection

__all__ = [
    "GatewaySection",
    "Plan",
    "SystemSection",
    "parse_plan",
    "plan_of",
    "read_plan",
]
