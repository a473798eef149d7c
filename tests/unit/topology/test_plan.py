"""From a TOML text to a plan."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from actinium.core import Settings
from actinium.errors import ConfigError
from actinium.inference import (
    BreakerPolicy,
    Budget,
    Deployment,
    Price,
    RateLimits,
    RetryPolicy,
    Timeouts,
)
from actinium.topology import SystemSection, parse_plan, plan_of, read_plan

TEXT = """
[system]
name = "demo"
store = "memory"
ask_timeout = 2

[gateway]
host = "127.0.0.1"
port = 9000
api_key = "env:MY_KEY"
drain = 5

[[deployment]]
name = "small"
aliases = ["tiny", "default"]
max_concurrent = 4
options = { slots = 8 }

[[deployment]]
name = "large"
model = "llama3"
base_url = "http://localhost:11434/v1"
timeouts = { total = 90 }
"""


def test_the_fields_arrive() -> None:
    plan = parse_plan(TEXT, "t.toml", {})
    assert plan.system.name == "demo"
    assert plan.system.settings() == Settings(ask_timeout=2)
    assert (plan.gateway.port, plan.gateway.api_key, plan.gateway.drain) == (9000, "env:MY_KEY", 5)
    small, large = plan.deployments
    assert small == Deployment(
        name="small", aliases=("tiny", "default"), max_concurrent=4, options={"slots": 8}
    )
    assert large.timeouts == Timeouts(total=90)
    assert [route.runtime for route in plan.routes] == ["onnx", "openai"]
    assert plan.places == {"small": "t.toml:13", "large": "t.toml:19"}


def test_without_a_deployment_the_embedded_model_is_served() -> None:
    plan = parse_plan("", "t.toml", {})
    assert plan.deployments == (Deployment(name="embedded"),)
    assert plan == msgspec.structs.replace(plan_of(plan.deployments, {}), file="t.toml")


def test_the_system_section_has_each_setting_but_those_no_gateway_has_a_use_for() -> None:
    section, settings = set(SystemSection.__struct_fields__), set(Settings.__struct_fields__)
    assert section - {"name", "store"} == settings - {"supervise", "move_us"}  # no shards


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    file = tmp_path / "actinium.toml"
    file.write_text(
        "[system]\nstore = 'state/s.db'\n[[deployment]]\nname='a'\nmodel='models/mine'\n"
    )
    plan = read_plan(file, {})
    assert plan.system.store == str(tmp_path / "state" / "s.db")
    assert plan.deployments[0].model == str(tmp_path / "models" / "mine")
    assert plan.routes[0].runtime == "onnx"


def test_a_byte_order_mark_and_crlf_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xef\xbb\xbf[gateway]\r\nport = 0\r\n")
    assert read_plan(file, {}).gateway.port == 0


def test_a_plan_without_a_file_checks_names_too() -> None:
    pair = [Deployment(name="a"), Deployment(name="b", aliases=("a",))]
    with pytest.raises(ConfigError, match="the name 'a' is used twice"):
        plan_of(pair, {})


def test_an_openai_name_needs_no_call_to_be_planned() -> None:
    text = "[[deployment]]\nname='g'\nmodel='gpt-4o-mini'\n"
    plan = parse_plan(text, "t.toml", {"OPENAI_API_KEY": "k"})
    assert plan.routes[0].rule == "a name of OpenAI's API"


TOML_CHAIN = """
[[deployment]]
name = "a"
model = "gpt-4o"
credentials = "env:KEY"
fallback = ["b"]
limits = { rpm = 60, tpm = 9000, weights = { acme = 2.0 } }
budget = { per_day = 20, on_exceeded = "fallback" }
retry = { attempts = 2 }
breaker = { failures = 3 }
price = { input = 1, output = "2.5" }

[[deployment]]
name = "b"
price = "free"
"""


def test_a_chain_with_limits_arrives() -> None:
    first, second = parse_plan(TOML_CHAIN, "t.toml", {"KEY": "k"}).deployments
    assert first.limits == RateLimits(rpm=60, tpm=9000, weights={"acme": 2.0})
    assert first.budget == Budget(per_day=20, on_exceeded="fallback")
    assert first.price == Price(input=1.0, output="2.5") and second.price == "free"
    assert first.retry == RetryPolicy(attempts=2) and first.breaker == BreakerPolicy(failures=3)
    assert first.fallback == ("b",)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('["b"]', '["c"]', "t.toml:6: deployment 'a': fallback 'c' is no other deployment"),
        ("rpm = 60", "rpm = 0", "t.toml:7: .*limits.rpm must be above 0, got 0"),
        ("rpm = 60", 'strict = "owner"', "t.toml:7: limits.strict = 'owner' is not supported"),
        ("rpm = 60", 'store = "redis://u:hush@h"', "t.toml:7: limits.store holds a user"),
        (
            "rpm = 60",
            'store = "localhost"',
            "t.toml:7: limits.store: expected the address of a Redis",
        ),
        ("rpm = 60", "rmp = 60", "t.toml:7: .*rmp"),
        ("attempts = 2", "attempts = 0", "t.toml:9: .*retry.attempts must be 1 or more"),
    ],
)
def test_a_chain_that_cannot_be_is_named_by_its_line(old: str, new: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        parse_plan(TOML_CHAIN.replace(old, new), "t.toml", {"KEY": "k"})


def test_several_keys_and_the_rule_of_each_runtime() -> None:
    text = """
[[deployment]]
name = "shared"
model = "gpt-5"
credentials = ["env:A", "env:B"]

[[deployment]]
name = "azure"
model = "gpt-4o"
base_url = "https://mine.openai.azure.com"
credentials = "env:A"
options = { deployment = "prod", api_version = "2024-10-21" }
"""
    plan = parse_plan(text, "t.toml", {"A": "sk-a", "B": "sk-b"})
    assert plan.deployments[0].credentials == ("env:A", "env:B")
    assert [(route.runtime, route.number) for route in plan.routes] == [("openai", 5), ("azure", 4)]
    for wrong in ("[]", '["env:A", "env:A"]'):
        with pytest.raises(ConfigError, match="credentials"):
            parse_plan(text.replace('["env:A", "env:B"]', wrong), "t.toml", {"A": "sk-a"})
