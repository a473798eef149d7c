"""Limits, money, fairness and failure as plain objects on the event loop, without I/O."""

from .accounts import Accounts
from .budget import Purse
from .fair import FairQueue
from .gate import Gate, Permit
from .limiter import Limiter, Need
from .prices import PriceTable, Tariff, price_table

__all__ = [
    "Accounts",
    "FairQueue",
    "Gate",
    "Limiter",
    "Need",
    "Permit",
    "PriceTable",
    "Purse",
    "Tariff",
    "price_table",
]
