"""The commands for a running gateway, against the example with a fallback chain and tenants."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_support import Server, serving
from typer.testing import CliRunner

from actinium.cli.app import app

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/tenants.toml"
TOKEN = "token-of-the-test-1234"


class Operator:
    """Runs commands against a server, with its token."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, *words: str, code: int = 0, token: str | None = TOKEN) -> tuple[str, str]:
        variables: dict[str, str | None] = {
            "ACTINIUM_ADMIN_URL": self.url, "COLUMNS": "200", "ACTINIUM_ADMIN_TOKEN": token,
        }  # fmt: skip
        done = CliRunner().invoke(app, words, env=variables)
        assert done.exit_code == code, f"{words}: {done.output} {done.exception!r}"
        assert "Traceback" not in done.output
        if token is not None:
            assert token not in done.output
        return done.stdout, done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json")[0])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    with serving(home, str(EXAMPLE), ACTINIUM_ADMIN_TOKEN=TOKEN) as found:
        yield found


@pytest.fixture
def operator(server: Server) -> Operator:
    return Operator(server.url)


def chat(server: Server, key: str, model: str = "chat") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    body = {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "Hello!"}]}
    try:
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(body), {"authorization": f"Bearer {key}"}
        )
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_a_key_from_its_creation_to_its_end(server: Server, operator: Operator) -> None:
    """And the example's chain: nothing listens behind `chat` and `spare`, so `small` answers."""
    out, err = operator.run(
        "keys", "create", "web", "--tenant", "acme", "--rpm", "50", "--expires", "1d"
    )
    key = out.strip()
    assert key.startswith("ac_") and "shown now and never again" in err
    id = key.split("_")[1]
    status, answer = chat(server, key)
    assert status == 200 and answer["choices"][0]["message"]["content"], answer
    assert chat(server, key, "small")[0] == 404, "the tenant may ask for `chat` alone"
    out, _ = operator.run("keys", "list")
    line = next(line for line in out.splitlines() if line.startswith(id))
    assert "acme" in line and "50 rpm" in line and line.rstrip().endswith("in use")
    rows = operator.json("usage", "--by", "tenant,deployment", "--tenant", "acme")["usage"]
    assert [(r["tenant"], r["deployment"], r["requests"]) for r in rows] == [("acme", "small", 1)]
    out, _ = operator.run("usage", "--by", "tenant,deployment")
    assert "acme" in out and "cost_usd" in out
    new, told = operator.run("keys", "rotate", id, "--overlap", "1h")
    assert "The old one works until" in told
    assert chat(server, key)[0] == chat(server, new.strip())[0] == 200
    assert operator.run("keys", "disable", id)[0] == f"{id} (web) is disabled\n"
    assert chat(server, new.strip())[0] == 401
    assert operator.json("keys", "disable", id, "--undo")["disabled"] is False
    assert chat(server, new.strip())[0] == 200
    operator.run("keys", "delete", id)
    assert chat(server, new.strip())[0] == 401
    assert operator.json("keys", "list") == {"keys": []}


def test_deployments_are_shown_changed_and_drained(
    server: Server, operator: Operator, tmp_path: Path
) -> None:
    out, _ = operator.run("deployments", "list")
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["chat", "spare", "small"]
    assert "generation" in out
    file = tmp_path / "new.toml"
    text = EXAMPLE.read_text()
    file.write_text(text.replace('name = "small"', 'name = "small"\naliases = ["tiny"]'))
    shown = operator.json("deployments", "apply", str(file))
    assert shown["deployments"][2]["aliases"] == ["tiny"]
    out, _ = operator.run("deployments", "drain", "spare", "--wait", "0")
    assert out == "spare is closed; 0 answers cut off\n"
    states = {d["name"]: d["state"] for d in operator.json("deployments", "list")["deployments"]}
    assert states == {"chat": "ready", "spare": "closed", "small": "ready"}
    operator.run("deployments", "apply", str(EXAMPLE), "--drain", "5s")
    states = {d["name"]: d["state"] for d in operator.json("deployments", "list")["deployments"]}
    assert set(states.values()) == {"ready"}
    file.write_text("[[deployment]]\nname = 'x'\nmodle = 'y'\n")
    _, err = operator.run("deployments", "apply", str(file), code=2)
    assert "new.toml:3: unknown key 'modle'" in err


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("keys", "rotate", "none"), 1, "there is no key 'none'"),
        (("keys", "rotate", "../usage"), 2, "is no id of a key"),
        (("keys", "rotate", "x", "--overlap", "soon"), 2, "expected a time such as 24h"),
        (("keys", "create", "Web"), 2, "name"),
        (("keys", "create", "web", "--expires", "never"), 2, "--expires: expected a time"),
        (("keys", "create", "web", "--priority", "urgent"), 2, "urgent"),
        (("usage", "--by", "colour"), 2, "`$.by`"),
        (("usage", "--since", "yesterday"), 2, "since"),
        (("deployments", "drain", "none"), 1, "the model 'none' does not exist"),
    ],
)
def test_what_cannot_be_is_told(
    operator: Operator, words: tuple[str, ...], code: int, text: str
) -> None:
    _, err = operator.run(*words, code=code)
    assert text in err


def test_who_cannot_be_asked_is_told(operator: Operator, server: Server) -> None:
    _, err = operator.run("keys", "list", code=2, token=None)
    assert "ACTINIUM_ADMIN_TOKEN is not set" in err and "export ACTINIUM_ADMIN_TOKEN=" in err
    _, err = operator.run("keys", "list", code=1, token="another-token-5678")
    assert "does not take the token in ACTINIUM_ADMIN_TOKEN" in err
    key = operator.run("keys", "create", "web")[0].strip()
    _, err = operator.run("keys", "list", code=1, token=key)
    assert "is a key, and not the token of the admin API" in err
    _, err = operator.run("keys", "list", "--url", "http://127.0.0.1:1", code=1)
    assert "no gateway answers at http://127.0.0.1:1" in err and "actinium serve" in err
    _, err = operator.run("keys", "list", "--url", "http://example.org", code=2)
    assert "--url: plain http" in err
    _, err = operator.run("keys", "list", "--url", f"{server.url}/elsewhere", code=1)
    assert "has no admin API there" in err


@pytest.mark.parametrize(
    "words", [("keys",), ("deployments",), ("keys", "create", "-h"), ("usage", "-h")]
)
def test_help_teaches(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, words)
    assert "actinium" in done.output
    if len(words) > 1:
        assert "Examples" in done.output
