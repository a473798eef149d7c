"""From the options of ``actinium serve`` to a plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from actinium.cli.failures import USAGE, CommandFailed
from actinium.cli.serve.options import ServeOptions, gateway_key, plan_from, public_name
from actinium.errors import ConfigError, MissingCredentials
from actinium.inference import Deployment


def test_nothing_said_serves_the_embedded_model() -> None:
    plan = plan_from(ServeOptions(), {})
    assert plan.deployments == (Deployment(name="embedded"),)
    assert (plan.gateway.host, plan.gateway.port) == ("127.0.0.1", 8080)


def test_a_model_of_another_server() -> None:
    options = ServeOptions(
        models=("embedded", "meta-llama/Llama-3.1-8B"),
        base_url="http://localhost:11434/v1",
        api_key_env="KEY",
    )
    assert plan_from(options, {}).deployments == (
        Deployment(name="embedded"),
        Deployment(
            name="llama-3.1-8b",
            model="meta-llama/Llama-3.1-8B",
            base_url="http://localhost:11434/v1",
            credentials="env:KEY",
        ),
    )


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("openai/GPT-4o", "gpt-4o"),
        ("./models/My Model/", "my-model"),
        ("qwen2:7b", "qwen2-7b"),
        ("///", "model"),
        ("x" * 90, "x" * 63),
    ],
)
def test_the_public_name_of_a_model(model: str, name: str) -> None:
    assert public_name(model) == name
    Deployment(name=public_name(model))


def test_the_file_and_what_is_said_over_it(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[gateway]\nport = 9000\ndrain = 3\n[[deployment]]\nname = 'small'\n")
    plan = plan_from(ServeOptions(config=file, port=0, store="none"), {})
    assert (plan.gateway.port, plan.gateway.drain, plan.system.store) == (0, 3.0, "none")
    assert plan.deployments[0].name == "small"


@pytest.mark.parametrize("said", [{"models": ("m",)}, {"base_url": "u"}, {"api_key_env": "K"}])
def test_a_file_and_models_exclude_each_other(tmp_path: Path, said: dict[str, object]) -> None:
    file = tmp_path / "a.toml"
    file.touch()
    with pytest.raises(ConfigError, match="both say what is served"):
        plan_from(ServeOptions(config=file, **said), {})  # type: ignore[arg-type]


def test_a_url_without_its_model() -> None:
    with pytest.raises(ConfigError, match="name that model: --model NAME"):
        plan_from(ServeOptions(base_url="http://localhost/v1"), {})


def test_a_model_nobody_has() -> None:
    with pytest.raises(CommandFailed) as caught:
        plan_from(ServeOptions(models=("zephyr",)), {})
    assert caught.value.code == USAGE
    assert "no runner can be chosen for model 'zephyr'" in str(caught.value)
    assert "--base-url URL" in caught.value.hint


def test_two_models_of_one_name() -> None:
    with pytest.raises(ConfigError, match="the name 'm' is used twice"):
        plan_from(ServeOptions(models=("a/m", "b/m"), base_url="http://localhost/v1"), {})


def test_the_key_of_the_gateway(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[gateway]\nhost = '0.0.0.0'\napi_key = 'env:MY_KEY'\n")
    plan = plan_from(ServeOptions(config=file), {})
    given = gateway_key("k1", plan, {"MY_KEY": "k2"})
    assert given is not None and given.reveal() == "k1"
    of_file = gateway_key(None, plan, {"MY_KEY": "k2"})
    assert of_file is not None and of_file.reveal() == "k2"
    with pytest.raises(MissingCredentials, match=r"a\.toml: gateway\.api_key: .*MY_KEY is not set"):
        gateway_key(None, plan, {})
    with pytest.raises(ConfigError, match="--api-key is empty"):
        gateway_key("", plan, {})


def test_an_address_that_others_reach_needs_a_key() -> None:
    plan = plan_from(ServeOptions(host="0.0.0.0"), {})
    with pytest.raises(CommandFailed, match="can be reached from other machines") as caught:
        gateway_key(None, plan, {})
    assert "--insecure" in caught.value.hint
    assert gateway_key(None, plan_from(ServeOptions(host="0.0.0.0", insecure=True), {}), {}) is None
    assert gateway_key("k", plan, {}) is not None
