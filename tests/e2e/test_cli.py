"""``actinium`` as a user runs it: real processes, real sockets, the embedded model."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from cli_support import Server, environment, serving
from slow_upstream import SlowUpstream, slow_upstream

from actinium.cli.serve.announce import python_lines


def run(
    home: Path, *arguments: str, text: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "actinium", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env=environment(home, **env),
        cwd=home,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_answers_drains_and_reports(tmp_path: Path, number: int) -> None:
    with serving(tmp_path) as server:
        assert server.ready == f"ready: {server.url} serves embedded\n"
        assert server.get("/healthz")[0] == 200
        assert server.get("/readyz")[0] == 200
        status, answer = server.chat("Hello!", temperature=0, session="me")
        assert status == 200 and answer["choices"][0]["message"]["content"]
        assert server.chat("Hello!", temperature="hot")[0] == 400
        server.signal(number)
        code, out, err = server.end()
    assert code == 0, err
    assert out.endswith(
        "1 request served, 1 request refused or failed, 1 session turn, 0 answers cut off, "
        "0 messages lost\n"
    )
    assert "loading 100 %: embedded: ready" in err
    assert "Traceback" not in err and "\x1b" not in out + err


def test_ctrl_c_while_loading_ends_in_order(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "actinium", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    )
    assert process.stdout is not None and process.stderr is not None
    with process, process.stdout, process.stderr:
        while b"loading" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 0, err
    assert b"0 requests served, 0 session turns, 0 answers cut off, 0 messages lost" in out
    assert b"Traceback" not in err


def test_the_lines_to_try_work(tmp_path: Path) -> None:
    with serving(tmp_path, ACTINIUM_API_KEY="k1") as server:
        lines = "\n".join(python_lines(server.url, "embedded", keyed=True))
        result = subprocess.run(
            [sys.executable, "-c", lines],
            capture_output=True,
            text=True,
            check=False,
            env=environment(tmp_path, ACTINIUM_API_KEY="k1"),
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.strip()
        assert server.get("/v1/models")[0] == 401


def test_a_session_outlives_kill_9(tmp_path: Path) -> None:
    """SE-2: a turn whose answer the client saw end is there after the process was killed."""
    with serving(tmp_path) as server:
        _, fresh = server.chat("What is my name?", temperature=0)
        server.chat("Hello! My name is Anna.", temperature=0, session="s")
        server.signal(signal.SIGKILL)
        server.end()
    with serving(tmp_path) as server:
        status, answer = server.chat("What is my name?", temperature=0, session="s")
        assert status == 200
        assert answer["usage"]["prompt_tokens"] > fresh["usage"]["prompt_tokens"]
    shown = run(tmp_path, "chat", "--session", "s", text="/history\n")
    assert "user: Hello! My name is Anna.\n" in shown.stdout
    assert shown.stdout.count("user: What is my name?\n") == 1


def test_without_a_store_a_session_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, "--no-store") as server:
        status, answer = server.chat("Hello!", session="s")
        assert status == 400 and "keeps no sessions" in answer["error"]["message"]
    assert not (tmp_path / "actinium").exists()


def test_a_port_that_is_taken_ends_with_3(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        result = run(tmp_path, "serve", "--port", str(port), "--no-store")
    assert result.returncode == 3
    assert result.stdout == ""
    error, hint = result.stderr.splitlines()
    assert error == f"error: port {port} on 127.0.0.1 is taken by another program"
    assert hint.startswith("hint: choose another one with --port ")


def test_a_store_that_is_damaged_ends_with_1(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(b"no database" * 1000)
    result = run(tmp_path, "serve", "--port", "0", "--store", str(path))
    assert result.returncode == 1
    assert result.stderr.startswith("error: the session store cannot be opened: ")
    assert "Traceback" not in result.stderr


def test_serve_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "actinium.toml").write_text(
        "[system]\nstore = 'own/sessions.db'\n"
        "[[deployment]]\nname = 'small'\naliases = ['embedded']\noptions = { slots = 2 }\n"
    )
    with serving(tmp_path, "actinium.toml") as server:
        assert server.ready.endswith(" serves small, embedded\n")
        assert server.chat("Hello!", session="s")[0] == 200
    assert (tmp_path / "own" / "sessions.db").exists()


def _begin(server: Server) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """A streamed answer whose first chunk has come."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    messages = [{"role": "user", "content": "Hello!"}]
    body = {"model": "slow", "stream": True, "messages": messages}
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    response = connection.getresponse()
    while b"first" not in response.readline():
        pass
    return connection, response


def _slow(upstream: SlowUpstream) -> tuple[str, ...]:
    return "--model", "slow", "--base-url", upstream.url


def test_an_answer_under_way_may_end(tmp_path: Path) -> None:
    with slow_upstream() as upstream, serving(tmp_path, *_slow(upstream)) as server:
        connection, response = _begin(server)
        with closing(connection):
            server.signal()
            assert server.line().startswith("stopping: 1 answer under way may take 30 s more")
            upstream.release.set()
            rest = response.read()
        code, out, _ = server.end()
    assert b" last" in rest and rest.endswith(b"data: [DONE]\n\n")
    assert code == 0
    assert "1 request served, 0 session turns, 0 answers cut off, 0 messages lost" in out


@pytest.mark.parametrize("way", ["a second signal", "no time to drain"])
def test_what_does_not_end_is_cut_off_and_told(tmp_path: Path, way: str) -> None:
    drain = ("--drain", "0") if way == "no time to drain" else ()
    with slow_upstream() as upstream, serving(tmp_path, *_slow(upstream), *drain) as server:
        connection, response = _begin(server)
        with closing(connection):
            server.signal()
            assert server.line().startswith("stopping: 1 answer under way")
            if not drain:
                server.signal()
            rest = response.read()
        code, out, err = server.end()
    assert b'"error"' in rest and b"[DONE]" not in rest
    assert code == 0
    assert "1 answer cut off" in out and out.endswith("0 messages lost\n")
    assert "Traceback" not in err


def test_chat_in_this_process(tmp_path: Path) -> None:
    result = run(tmp_path, "chat", text="Hello!\n/sesion\n")
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) >= 1
    assert "did you mean /session?" in result.stderr
    assert run(tmp_path, "chat", "--no-store", text="Hello!\n").returncode == 0


def test_chat_with_a_gateway(tmp_path: Path) -> None:
    with serving(tmp_path, ACTINIUM_API_KEY="k1") as server:
        address = ("chat", "--url", server.url, "--session", "anna")
        said = run(
            tmp_path, *address, text="My name is Anna.\nThanks!\n/model\n", ACTINIUM_API_KEY="k1"
        )
        assert said.returncode == 0, said.stderr
        assert said.stdout.endswith("* embedded\n")
        refused = run(tmp_path, *address)
        assert refused.returncode == 2
        assert "wants an API key (it answered 401)" in refused.stderr
    stored = run(tmp_path, "chat", "--session", "anna", text="/history\n")
    assert stored.stdout.count("user: ") == 2
    gone = run(tmp_path, "chat", "--url", server.url)
    assert gone.returncode == 1
    assert gone.stderr.startswith(f"error: cannot connect to {server.url}/v1: ")
