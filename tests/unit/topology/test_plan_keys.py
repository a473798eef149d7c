"""Tenants and keys in a configuration file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from actinium.errors import ConfigError
from actinium.topology import parse_plan

PAGE = (Path(__file__).resolve().parents[3] / "docs/howto/tenants.md").read_text()


def test_the_example_of_the_page_is_a_plan() -> None:
    (text,) = re.findall(r"```toml\n(\[\[tenant.*?)```", PAGE, re.DOTALL)
    plan = parse_plan(text, "t.toml", {})
    assert [tenant.name for tenant in plan.tenants] == ["acme"]
    (key,) = plan.keys
    assert (key.name, key.priority, key.expires is not None) == ("acme-web", "high", True)
    assert plan.keyed


@pytest.mark.parametrize(
    ("text", "keyed"),
    [
        ("", False),
        ("[gateway]\nkeys = true", True),
        ("[[tenant]]\nname = 'a'", True),
        ("[gateway]\nkeys = false\n[[tenant]]\nname = 'a'", False),
    ],
)
def test_when_keys_are_wanted(text: str, keyed: bool) -> None:
    assert parse_plan(text, "t.toml", {}).keyed is keyed


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[tenant]\nname = 'a'", "t.toml:1: tenant: expected an array of tables"),
        (
            "[[tenant]]\nname = 'a'\n[[tenant]]\nname = 'a'",
            "t.toml:3: tenant 'a' is declared twice",
        ),
        ("[[tenant]]\nname = 'a'\nmodel = 'x'", "t.toml:3: unknown key 'model' in tenant[0]; did"),
        ("[[tenant]]\nname = 'a'\nweight = 0.0", "weight must be above 0"),
        ("[[key]]\nname = 'a'", "t.toml:1: key 'a': give either secret"),
        ("[[key]]\nname = 'a'\nsecret = 'sk-1'", "expected a reference 'env:NAME'"),
        ("[[key]]\nname = 'a'\nsecret = 'env:A'\nlimits = { rpm = 0 }", "t.toml:4: key[0].limits"),
        ("[[key]]\nname = 'a'\nsecret = 'env:A'\nexpires = 2027-01-01T00:00:00", "key[0].expires"),
    ],
)
def test_an_error_names_place_and_remedy(text: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_plan(text, "t.toml", {})
    assert error in str(caught.value) and "sk-1" not in str(caught.value)
