"""The how-to pages say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from actinium.inference import Deployment, Timeouts
from actinium.inference.runners.anthropic import Options as AnthropicOptions
from actinium.inference.runners.onnx import OnnxOptions
from actinium.inference.runners.openai.options import Options
from actinium.ops import LogSettings, TracingSettings
from actinium.topology import GatewaySection, SystemSection, parse_plan

ENVIRON = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
PAGE = (Path(__file__).resolve().parents[3] / "docs/howto/mix-backends.md").read_text()


def test_the_example_is_a_plan() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    plans = [parse_plan(block, "actinium.toml", ENVIRON) for block in blocks]
    assert [d.name for d in plans[0].deployments] == ["embedded", "llama", "gpt-4o-mini", "claude"]


@pytest.mark.parametrize(
    ("heading", "section"),
    [("[system]", SystemSection), ("[gateway]", GatewaySection), ("[[deployment]]", Deployment)],
)
def test_the_tables_have_the_fields_and_their_defaults(
    heading: str, section: type[msgspec.Struct]
) -> None:
    table = PAGE.partition(f"`{heading}`\n")[2].partition("\n\n`")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE))
    assert set(rows) == set(section.__struct_fields__)
    for field in msgspec.structs.fields(section):
        default = field.default
        if isinstance(default, bool | int | float | str):
            shown = f'`"{default}"`' if isinstance(default, str) else str(default).lower()
            assert rows[field.name] == shown, field.name


@pytest.mark.parametrize(
    ("heading", "section"), [("[tracing]", TracingSettings), ("[log]", LogSettings)]
)
def test_the_tables_of_observation_have_the_fields_and_their_defaults(
    heading: str, section: type[msgspec.Struct]
) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/howto/observe.md").read_text()
    table = page.partition(f"`{heading}`\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE))
    assert set(rows) == set(section.__struct_fields__)
    for field in msgspec.structs.fields(section):
        default = field.default
        if isinstance(default, bool | int | float | str):
            shown = f'`"{default}"`' if isinstance(default, str) else str(default).lower()
            assert rows[field.name] == shown, field.name
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    plan = parse_plan(block, "actinium.toml", ENVIRON)
    assert plan.tracing.exporter == "otlp" and plan.log.requests


@pytest.mark.parametrize("options", [Timeouts, OnnxOptions, Options, AnthropicOptions])
def test_every_option_is_named(options: type[msgspec.Struct]) -> None:
    assert [name for name in options.__struct_fields__ if f"`{name}`" not in PAGE] == []
