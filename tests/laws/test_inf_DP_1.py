"""A deployment loads whole or not at all, and each of its fields does something."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium.errors import ConfigError
from actinium.inference import Deployment
from actinium.topology import parse_plan

ROOT = Path(__file__).parents[2]
ENVIRON = {"OPENAI_API_KEY": "k"}

EFFECTS = {
    "name": (
        "tests/unit/inference/test_replica_laws.py",
        "test_names_must_be_unique",
    ),
    "model": (
        "tests/unit/inference/test_route_and_endpoint.py",
        "test_inf_DP_2_rules",
    ),
    "runtime": (
        "tests/unit/inference/test_route_and_endpoint.py",
        "test_inf_DP_2_rules",
    ),
    "base_url": (
        "tests/unit/inference/test_route_and_endpoint.py",
        "test_inf_DP_2_rules",
    ),
    "credentials": (
        "tests/unit/inference/test_route_and_endpoint.py",
        "test_inf_SC_1_a_key_goes_only_where_it_was_meant_for",
    ),
    "aliases": (
        "tests/unit/inference/test_replica_laws.py",
        "test_names_must_be_unique",
    ),
    "max_concurrent": (
        "tests/e2e/test_gateway_faults.py",
        "test_full_queue_is_refused_with_a_hint",
    ),
    "queue": (
        "tests/e2e/test_gateway_faults.py",
        "test_full_queue_is_refused_with_a_hint",
    ),
    "queue_timeout": (
        "tests/e2e/test_gateway_faults.py",
        "test_waiting_too_long_is_refused",
    ),
    "timeouts": (
        "tests/unit/inference/test_replica_laws.py",
        "test_inf_DL_1_limits_have_their_own_errors",
    ),
    "options": (
        "tests/unit/inference/test_openai_wire.py",
        "test_options",
    ),
    "replicas": (
        "tests/unit/inference/guard/test_fallback.py",
        "test_requests_go_to_all_servers_of_a_deployment_and_back_to_the_one_that_knows_them",
    ),
    "limits": (
        "tests/unit/inference/guard/test_limits.py",
        "test_inf_lm_4_a_request_over_the_limit_waits_instead_of_failing",
    ),
    "budget": (
        "tests/unit/inference/guard/test_limits.py",
        "test_inf_bg_1_a_budget_is_reserved_before_and_never_overspent",
    ),
    "price": (
        "tests/unit/inference/guard/test_limits.py",
        "test_tenants_and_keys_have_purses_of_their_own",
    ),
    "retry": (
        "tests/unit/inference/guard/test_fallback.py",
        "test_inf_rt_1_pauses_have_full_jitter_and_grow",
    ),
    "breaker": (
        "tests/unit/inference/guard/test_fallback.py",
        "test_complaint_17_each_kind_of_end_has_its_weight",
    ),
    "fallback": (
        "tests/e2e/test_gateway_limits.py",
        "test_what_fails_before_the_first_content_is_answered_by_the_fallback",
    ),
    "idempotent": (
        "tests/unit/inference/guard/test_fallback.py",
        "test_inf_rt_1_a_deployment_that_is_not_idempotent_sees_a_request_once",
    ),
    "hedge": (
        "tests/unit/inference/guard/test_hedge.py",
        "test_the_second_wins_and_the_first_is_stopped_at_its_backend",
    ),
    "continuation": (
        "tests/unit/inference/guard/test_continuation.py",
        "test_without_the_setting_nothing_goes_on",
    ),
}
"""Which test shows what a field does: it fails where the field is not read."""


@pytest.mark.parametrize("field", Deployment.__struct_fields__)
def test_inf_DP_1_every_field_has_an_effect_that_is_tested(field: str) -> None:
    assert field in EFFECTS, f"DP-1: name the test that shows what {field!r} does"
    file, name = EFFECTS[field]
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{file} has no {name}"
    support = (ROOT / "tests/unit/inference/guard/guard_support.py").read_text(encoding="utf-8")
    assert field in text + support, f"{file} does not mention {field!r}"


JUNK = st.one_of(
    st.integers(-5, 10**12), st.floats(-2, 2), st.booleans(), st.text("a-/:.0 ", max_size=8),
    st.lists(st.text("ab", max_size=3), max_size=3),
    st.dictionaries(st.sampled_from(["rpm", "after", "attempts", "per_day", "x"]),
                    st.one_of(st.integers(-2, 9), st.text("ab", max_size=2)), max_size=3),
)  # fmt: skip


def toml(value: Any) -> str:
    """A value as TOML writes it inline."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return msgspec.json.encode(value).decode()
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
    return "{ " + ", ".join(f"{name} = {toml(item)}" for name, item in value.items()) + " }"


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(Deployment.__struct_fields__), JUNK, max_size=4))
def test_inf_DP_1_a_deployment_loads_whole_or_says_what_is_wrong(junk: dict[str, Any]) -> None:
    table = {"name": "a", "model": "gpt-4o", **junk}
    text = "[[deployment]]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in table.items())
    try:
        (found,) = parse_plan(text, "actinium.toml", ENVIRON).deployments
    except ConfigError as error:
        assert re.search(r"actinium\.toml:\d+|deployment", str(error)), error
        return
    for field, value in table.items():
        loaded = msgspec.to_builtins(getattr(found, field))
        if isinstance(value, dict):
            assert {k: loaded[k] for k in value} == value, "DP-1: a part was dropped"
        else:
            assert loaded == value or list(loaded) == value, "DP-1: a field was changed"
