"""``actinium.toml`` -> a checked plan that can be served."""

from .plan import Plan, parse_plan, plan_of, read_plan
from .sections import AdminSection, GatewaySection, SystemSection

__all__ = [
    "AdminSection",
    "GatewaySection",
    "Plan",
    "SystemSection",
    "parse_plan",
    "plan_of",
    "read_plan",
]
