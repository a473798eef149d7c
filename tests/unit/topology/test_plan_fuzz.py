"""CF-1: no key is ignored. Any text is one valid plan or one ConfigError, and always the same."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actinium.errors import ConfigError
from actinium.inference import Inference
from actinium.topology import Plan, parse_plan

SEED = """\
[system]
name = "demo"
store = "memory"
slice_us = 200
batch = 64
ask_timeout = 2.5
drain_timeout = 30.0
dead_letters = 4096
[gateway]
host = "127.0.0.1"
port = 9000
api_key = "env:MY_KEY"
insecure = false
drain = 5.0
[[deployment]]
name = "small"
model = "embedded"
runtime = "onnx"
aliases = ["tiny", "default"]
max_concurrent = 4
queue = 10
queue_timeout = 1.5
options = { slots = 8, threads = 1 }
[deployment.timeouts]
connect = 1.0
total = 90.0
[[deployment]]
name = "large"
model = "llama3"
base_url = "http://localhost:11434/v1"
credentials = "env:KEY"
"""
LINES = SEED.splitlines()
VALUES = [
    "0", "-1", "1", "1e400", "nan", "inf", "-inf", "9" * 40, "true", '""', "'x'", "[]", "[[]]",
    "{}", "{a=1}", "1979-05-27", "07:32:00", "1979-05-27T00:32:00Z", '["a", 1]', '"\\u0000"',
    "'" + "n" * 300 + "'", "0x10", "'embedded'", "'..'", "'~nobody/x'", "{connect={}}", "0.0",
    "{slots='x', \"\" = [nan]}", "'small'", "['small']", "'gpt-4o'", '"a\\nb"', "'é'",
]  # fmt: skip
KEYS = [
    "name", "model", "modle", "aliases", "timeouts", "timeouts.connect", "queue", "port", "host",
    "options", "options.headers.x", "store", '"a\\tb"', "''", "deployment", "gateway.port",
]  # fmt: skip

_value = st.sampled_from(VALUES)
_at = st.integers(0, len(LINES) - 1)
_edit = st.one_of(
    st.tuples(st.just("drop"), _at, st.just("")),
    st.tuples(st.just("value"), _at, _value),
    st.tuples(st.just("insert"), _at, st.tuples(st.sampled_from(KEYS), _value).map(" = ".join)),
    st.tuples(st.just("insert"), _at, st.sampled_from(LINES)),
    st.tuples(st.just("insert"), _at, st.text(max_size=12)),
    st.tuples(st.just("cut"), _at, st.just("")),
)


def mutated(edits: list[tuple[str, int, str]]) -> str:
    lines = list(LINES)
    for what, at, text in edits:
        at = min(at, len(lines) - 1)
        if not lines:
            break
        match what:
            case "drop":
                del lines[at]
            case "value":
                lines[at] = lines[at].partition("=")[0] + "= " + text
            case "insert":
                lines.insert(at, text)
            case "cut":
                lines[at] = lines[at][: len(lines[at]) // 2]
    return "\n".join(lines)


def read(text: str) -> Plan | None:
    try:
        return parse_plan(text, "f.toml", {"KEY": "k"})
    except ConfigError as error:
        assert str(error).startswith("f.toml:"), error
        assert "\n" not in str(error).splitlines()[0]
        return None


@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_edit, min_size=1, max_size=3))
def test_cf_1_a_mutated_file_is_a_plan_or_one_config_error(
    edits: list[tuple[str, int, str]],
) -> None:
    text = mutated(edits)
    plan = read(text)
    assert read(text) == plan
    if plan is None:
        return
    assert len(plan.deployments) == len(plan.routes) >= 1
    try:  # a valid plan can be made, but for what only its runner knows
        Inference(plan.deployments, runner_factory=plan.runner)
    except ConfigError as error:
        assert any(str(error).startswith(place) for place in plan.places.values()), error


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_cf_1_any_text_is_a_plan_or_one_config_error(text: str) -> None:
    read(text)


def test_the_unchanged_file_is_a_plan() -> None:
    assert read(SEED) is not None


def test_deep_nesting_is_refused() -> None:
    assert read("a = " + "[" * 100_000) is None
    assert read("a = " + "[" * 400 + "]" * 400) is None
