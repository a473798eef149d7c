"""The commands as a user calls them, in this process."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import actinium
from actinium.cli.app import app

runner = CliRunner()


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("ACTINIUM_API_KEY", raising=False)


def test_version() -> None:
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"actinium {actinium.__version__}\n")


@pytest.mark.parametrize("command", ["serve", "chat", "check", "doctor"])
def test_help_teaches(command: str) -> None:
    result = runner.invoke(app, [command, "--help"])
    assert result.exit_code == 0
    if command != "doctor":
        assert f"actinium {command}" in result.stdout.partition("Example")[2]


def test_no_command_shows_the_help() -> None:
    result = runner.invoke(app, [])
    assert "actinium serve   |   actinium chat" in result.output


def _from_bash(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command below a shell of its own: completion asks which shell it was called from."""
    line = f"{shlex.join([sys.executable, '-m', 'actinium', *arguments])}; exit $?"
    return subprocess.run(
        ["/bin/bash", "-c", line],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(actinium.__file__).parents[1])} | environment,
    )


def test_completion_for_the_shell() -> None:
    result = _from_bash("--show-completion", "bash")
    assert result.returncode == 0, result.stderr
    assert "complete -o default" in result.stdout


def test_completion_is_installed_for_the_shell(tmp_path: Path) -> None:
    result = _from_bash("--install-completion", "bash", HOME=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert ".bash_completions" in (tmp_path / ".bashrc").read_text()


def test_check_prints_the_plan(tmp_path: Path) -> None:
    file = tmp_path / "actinium.toml"
    file.write_text("[gateway]\nport = 9000\n[[deployment]]\nname = 'small'\naliases = ['tiny']\n")
    result = runner.invoke(app, ["check", str(file)])
    assert result.exit_code == 0, result.output
    assert "a valid plan" in result.stdout
    assert "127.0.0.1:9000" in result.stdout
    assert f"small, tiny  ({file}:3)" in result.stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[gatewey]\n", "unknown section 'gatewey'; did you mean 'gateway'?"),
        ("[[deployment]]\nname='a'\noptions={slotz=1}\n", "slotz"),
        ("[[deployment]]\nname='a'\nmodel='gpt-4o'\ncredentials='env:NO_KEY'\n", "NO_KEY"),
        ("[gateway]\napi_key='env:NO_SUCH_KEY'\n", "NO_SUCH_KEY"),
    ],
)  # fmt: skip
def test_check_names_what_is_wrong(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "actinium.toml"
    file.write_text(text)
    result = runner.invoke(app, ["check", str(file)])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert expected in result.stderr
    assert "Traceback" not in result.output


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = runner.invoke(app, ["check", str(tmp_path / "none.toml"), "--debug"])
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "error: " in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--port", "80800"],
        ["serve", "--store", "x", "--no-store"],
        ["serve", "a.toml", "--config", "b.toml"],
        ["serve", "--prot", "1"],
        ["serve", "--model", "zephyr"],
        ["serve", "--host", "0.0.0.0"],
        ["serve", "--log-level", "loud"],
        ["chat", "--url", "ftp://x"],
        ["chat", "--url", "http://[::1"],
        ["chat", "--url", "http://localhost:1", "--store", "x"],
        ["chat", "--insecure"],
    ],
)
def test_a_wrong_call_ends_with_2(arguments: list[str]) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr and "Traceback" not in result.stderr


def test_doctor_reports_each_check_on_a_line() -> None:
    result = runner.invoke(app, ["doctor", "--port", "0"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert all(re.match(r"(ok|warn|fail) +\S", line) for line in lines[:-1]), lines
    assert any(line.startswith("ok    embedded model: ") for line in lines)


def test_doctor_fails_where_something_is_broken(tmp_path: Path) -> None:
    broken = tmp_path / "s.db"
    broken.write_bytes(b"no database" * 100)
    result = runner.invoke(app, ["doctor", "--store", str(broken)])
    assert result.exit_code == 1
    assert "1 of" in result.stdout.splitlines()[-1]


def test_the_commands_import_what_they_need_when_they_are_called() -> None:
    code = "import json, sys, actinium.cli.app; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(subprocess.check_output([sys.executable, "-c", code])))
    heavy = {"actinium.inference", "actinium.serve", "actinium.core", "uvloop", "onnxruntime"}
    assert loaded & heavy == set()


def test_a_package_that_a_command_needs_is_named() -> None:
    code = "import sys; sys.modules['httptools'] = None; from actinium.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "serve"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert 'pip install "actinium[serve]"' in result.stderr
    assert "Traceback" not in result.stderr


def test_without_the_extra_the_command_says_how_to_install_it() -> None:
    code = "import sys; sys.modules['typer'] = None; from actinium.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr == (
        'error: the command line needs an extra: pip install "actinium[cli]"\n'
    )
