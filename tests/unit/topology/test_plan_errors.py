"""The texts of errors about ``actinium.toml``: file, line, expected, got, what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from actinium.errors import ConfigError, MissingCredentials, RuntimeNotInferred
from actinium.topology import parse_plan, read_plan

CASES = {
    "unknown section": (
        "[gatewai]\n",
        "t.toml:1: unknown section 'gatewai'; did you mean 'gateway'?",
    ),
    "unknown key": (
        "[gateway]\nhots = 'x'\n",
        "t.toml:2: unknown key 'hots' in gateway; did you mean 'host'?",
    ),
    "unknown nested key": (
        "[[deployment]]\nname = 'a'\n[deployment.timeouts]\nconect = 1\n",
        "t.toml:4: unknown key 'conect' in deployment[0].timeouts; did you mean 'connect'?",
    ),
    "unknown key like none": (
        "[gateway]\nzzzz = 1\n",
        "t.toml:2: unknown key 'zzzz' in gateway; known are host, port, api_key, insecure, drain, "
        "tls, workers, keys, admin",
    ),
    "wrong type": (
        "[[deployment]]\nname = 'a'\n\nqueue = 'many'\n",
        "t.toml:4: deployment[0].queue: expected `int`, got `str`; write for example queue = 1024",
    ),
    "wrong type in an array": (
        "[[deployment]]\nname = 'a'\naliases = [\n'b',\n1]\n",
        "t.toml:5: deployment[0].aliases[1]: expected `str`, got `int`",
    ),
    "wrong choice": (
        "[[deployment]]\nname = 'a'\nruntime = 'opnai'\n",
        "t.toml:3: deployment 'a': unknown runtime 'opnai'; did you mean 'openai'?",
    ),
    "no name": (
        "[[deployment]]\nmodel = 'embedded'\n",
        "t.toml:1: deployment[0]: object missing required field `name`",
    ),
    "one bracket": (
        "[deployment]\nname = 'a'\n",
        "t.toml:1: deployment: expected an array of tables, got a table; "
        "write [[deployment]] with two brackets on each side",
    ),
    "a section that is no table": (
        "gateway = 1\n",
        "t.toml:1: gateway: expected a table, got an integer",
    ),
    "port": (
        "[gateway]\nhost = '::1'\nport = 80800\n",
        "t.toml:3: gateway.port: expected 0 to 65535 (0: any free one), got 80800",
    ),
    "not a number": (
        "[system]\nask_timeout = nan\n",
        "t.toml:2: system.ask_timeout: expected a finite number, got nan",
    ),
    "timeout": (
        "[[deployment]]\nname='a'\ntimeouts.total = 0\n",
        "t.toml:3: deployment 'a': timeouts.total must be above 0 seconds, got 0.0",
    ),
    "name twice": (
        "[[deployment]]\nname='a'\naliases=['b']\n[[deployment]]\nname='b'\n",
        "t.toml:4: deployment 'b': the name 'b' belongs to deployment 'a' (line 1) already; "
        "each name and alias must be unique",
    ),
    "key in the file": (
        "[gateway]\napi_key = 'sk-very-secret'\n",
        "t.toml:2: gateway.api_key: expected a reference 'env:NAME' or 'file:PATH', got a text "
        "that is neither; put the key into a variable and write for example "
        'api_key = "env:ACTINIUM_API_KEY"',
    ),
    "url of a local model": (
        "[[deployment]]\nname='a'\nbase_url='http://localhost/v1'\n",
        "t.toml:3: deployment 'a': base_url is only for remote runtimes, this one is 'onnx' "
        "('embedded' is the model of the package)",
    ),
    "syntax": (
        "[gateway]\nport = \n",
        "t.toml:2:8: not valid TOML: Invalid value",
    ),
    "syntax at the end": (
        "[gateway]\nhost = 'x",
        't.toml:2: not valid TOML: Expected "\'" at the end of the file',
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_error_names_place_and_remedy(case: str) -> None:
    text, expected = CASES[case]
    with pytest.raises(ConfigError) as caught:
        parse_plan(text, "t.toml", {})
    assert str(caught.value) == expected


def test_the_policy_of_a_missing_runner_is_kept() -> None:
    with pytest.raises(RuntimeNotInferred, match=r"^t\.toml:3: deployment 'a': no runner"):
        parse_plan("[[deployment]]\nname='a'\nmodel='zephyr'\n", "t.toml", {})
    with pytest.raises(MissingCredentials, match=r"^t\.toml:3: .*OPENAI_API_KEY"):
        parse_plan("[[deployment]]\nname='a'\nmodel='gpt-4o'\n", "t.toml", {})


def test_a_secret_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_plan("[gateway]\napi_key = 'sk-very-secret'\n", "t.toml", {})
    assert "secret" not in str(caught.value)


def test_a_runner_that_cannot_be_made_names_its_place() -> None:
    text = "\n[[deployment]]\nname='a'\noptions = { slotz = 3 }\n"
    plan = parse_plan(text, "t.toml", {})
    with pytest.raises(ConfigError, match=r"^t\.toml:2: deployment 'a': .*slotz"):
        plan.runner(plan.deployments[0])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        read_plan(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_plan(tmp_path)
    bad = tmp_path / "bad.toml"
    bad.write_bytes(b"[gateway]\nhost = '\xff'\n")
    with pytest.raises(ConfigError, match=r"bad\.toml:2: expected UTF-8 text, got byte 0xff"):
        read_plan(bad)
    bad.write_bytes(b"#" * (1 << 21))
    with pytest.raises(ConfigError, match="at most 1 MiB"):
        read_plan(bad)
