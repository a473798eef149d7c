"""Prices, exactly."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal

import pytest

from actinium.errors import ConfigError
from actinium.inference import Price, PriceTier, Usage
from actinium.inference.limits import Tariff, price_table


def test_the_table_has_a_date_a_source_and_only_prices() -> None:
    table = price_table()
    assert date.fromisoformat(table.date) and table.source and "million" in table.unit
    for name, price in table.models.items():
        assert Tariff(price).cost(Usage(input=1_000_000, output=1_000_000)) > 0, name
        assert table.find(name) == price


@pytest.mark.parametrize(
    ("model", "usage", "nano"),
    [
        ("gpt-4o", Usage(input=1000, output=500), 1000 * 2500 + 500 * 10000),
        ("gpt-4o-2024-08-06", Usage(input=1000, cached=400), 600 * 2500 + 400 * 1250),
        ("openai/gpt-4o-mini", Usage(input=10, output=10), 10 * 150 + 10 * 600),
        ("o3", Usage(input=0, output=100, reasoning=90), 100 * 8000),
        ("claude-3-5-haiku-latest", Usage(input=100, output=1), 100 * 800 + 4000),
        ("claude-haiku-4-5-20251001", Usage(input=100, cached=100), 100 * 100),
        (
            "claude-sonnet-4-0",
            Usage(input=100, cached=30, cache_write=50, output=2),
            20 * 3000 + 30 * 300 + 50 * 3750 + 2 * 15_000,
        ),
        ("gemini-2.5-pro", Usage(input=200_000, output=1), 200_000 * 1250 + 10_000),
        ("gemini-2.5-pro", Usage(input=200_001, output=1), 200_001 * 2500 + 15_000),
        ("text-embedding-3-small", Usage(input=7), 7 * 20),
        ("gemini-2.5-flash-lite", Usage(input=3, cached=3), 30),
    ],
)
def test_inf_co_1_costs_are_right_to_the_nano_usd(model: str, usage: Usage, nano: int) -> None:
    price = price_table().find(model)
    assert price is not None
    assert Tariff(price).cost(usage) == nano


def test_inf_co_1_an_unknown_model_has_no_price() -> None:
    for model in ("gpt-4o-mega", "", "llama3.1:8b", "gpt-4o-"):
        assert price_table().find(model) is None


def test_inf_co_1_sums_are_exact() -> None:
    chance = random.Random(1)
    tariff = Tariff(Price(input="0.075", cached="0.0375", output="0.3", reasoning="0.25"))
    total, exact = 0, Decimal(0)
    for _ in range(20_000):
        usage = Usage(input=chance.randint(0, 9000), output=chance.randint(0, 900))
        total += tariff.cost(usage)
        exact += usage.input * Decimal("0.075") * 1000 + usage.output * Decimal("0.3") * 1000
    assert total == exact, "whole nano-USD per token: no rounding at all"
    assert tariff.cost(Usage(input=1, cached=1)) == 38, "37.5 rounds up: never below the bill"
    assert tariff.cost(Usage(output=10, reasoning=4)) == 6 * 300 + 4 * 250


def test_a_tier_holds_for_the_whole_request() -> None:
    price = Price(input=1.0, output=2.0, tiers=(PriceTier(over=10, input=3.0, output=4.0),))
    assert Tariff(price).cost(Usage(input=10, output=1)) == 12_000
    assert Tariff(price).cost(Usage(input=11, output=1)) == 37_000


@pytest.mark.parametrize("value", ["x", -1.0, "0.0000001"])
def test_what_is_no_price_is_refused(value: str | float) -> None:
    with pytest.raises(ConfigError, match="USD per million tokens"):
        Tariff(Price(input=value))


def test_free_is_free() -> None:
    assert Tariff(None).cost(Usage(input=10**9, output=10**9)) == 0
