"""What a request costs: a dated table of prices, and exact money."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from actinium.errors import ConfigError

from ..chunk import Usage
from .policy import Price, PriceTier

NANO: Final = 1_000_000_000
"""Nano-USD in a USD: the unit of all money here."""

_SUFFIX: Final = re.compile(r"(-latest|-preview|-\d{4}-\d{2}-\d{2}|-\d{8}|@\d{8}|-\d{3})$")


class PriceTable(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of models as of ``date``, in USD per million tokens."""

    date: str
    source: str
    unit: str
    models: dict[str, Price]

    def find(self, model: str) -> Price | None:
        """The price of a model: by its name, then without a prefix (``openai/``) and a date."""
        name = model.rsplit("/", 1)[-1].lower()
        while (price := self.models.get(name)) is None:
            shorter = _SUFFIX.sub("", name)
            if shorter == name:
                return None
            name = shorter
        return price


@cache
def price_table() -> PriceTable:
    """The table that comes with the package."""
    raw = (Path(__file__).parent / "prices.json").read_bytes()
    return msgspec.json.decode(raw, type=PriceTable)


class _Rates:
    """Prices in whole pico-USD per token: what a price of up to six decimals is exactly."""

    __slots__ = (
        "cache_write", "cached", "input", "most_input", "most_output", "output", "over",
        "reasoning",
    )  # fmt: skip

    def __init__(self, price: Price | PriceTier, over: int, base: _Rates | None) -> None:
        self.over = over
        self.input = _pico(price.input)
        self.output = _pico(price.output)
        self.cached = self.input if price.cached is None else _pico(price.cached)
        write = price.cache_write
        self.cache_write = self.input if write is None else _pico(write)
        reasoning = price.reasoning if isinstance(price, Price) else None
        self.reasoning = self.output if reasoning is None else _pico(reasoning)
        if base is not None and base.reasoning != base.output:
            self.reasoning = base.reasoning
        # Of tokens that are not known to be any cheaper.
        self.most_input = max(self.input, self.cache_write)
        self.most_output = max(self.output, self.reasoning)


class Tariff:
    """A price made ready for counting. ``FREE`` costs nothing, whatever is used."""

    __slots__ = ("_only", "_tiers")

    def __init__(self, price: Price | None) -> None:
        self._tiers: list[_Rates] = []
        if price is not None:
            base = _Rates(price, -1, None)
            tiers = (_Rates(tier, tier.over, base) for tier in price.tiers)
            self._tiers = sorted((base, *tiers), key=lambda rates: -rates.over)
        self._only = self._tiers[0] if len(self._tiers) == 1 else None

    def most(self, input: int, output: int) -> int:
        """Nano-USD of so many tokens, none of them cached."""
        rates = self._only or self._rates(input)
        if rates is None:
            return 0
        return -(-(input * rates.most_input + output * rates.most_output) // 1000)

    def _rates(self, input: int) -> _Rates | None:
        """The rates of a request with so many input tokens; None where it costs nothing."""
        return next((rates for rates in self._tiers if input > rates.over), None)

    def cost(self, usage: Usage) -> int:
        """Nano-USD of a request's whole usage, rounded up to one (CO-1).

        ``usage.input`` includes the cached tokens and ``usage.output`` the reasoning ones; each
        is priced once.
        """
        rates = self._only or self._rates(usage.input)
        if rates is None:
            return 0
        if not (usage.cached or usage.reasoning or usage.cache_write):
            return -(-(usage.input * rates.input + usage.output * rates.output) // 1000)
        cached = min(usage.cached, usage.input)
        written = min(usage.cache_write, usage.input - cached)
        reasoning = min(usage.reasoning, usage.output)
        pico = (
            (usage.input - cached - written) * rates.input
            + cached * rates.cached
            + written * rates.cache_write
            + (usage.output - reasoning) * rates.output
            + reasoning * rates.reasoning
        )
        return -(-pico // 1000)


def _pico(value: str | float) -> int:
    """USD per million tokens -> pico-USD per token."""
    try:
        exact = Decimal(str(value)) * 1_000_000
        if exact != exact.to_integral_value() or exact < 0:
            raise ConfigError(
                f"a price is 0 or more USD per million tokens with up to 6 decimals, got {value!r}"
            )
    except InvalidOperation:
        raise ConfigError(f"a price is a number of USD per million tokens, got {value!r}") from None
    return int(exact)
