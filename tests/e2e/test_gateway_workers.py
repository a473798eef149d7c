"""``actinium serve --workers``: several processes behind one port."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from cli_support import Server, environment, serving

import actinium


def refused(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "actinium", "serve", "--workers", "2", *arguments],
        capture_output=True, text=True, check=False, env=environment(home), cwd=home,
    )  # fmt: skip


def name_of(server: Server, session: str) -> str:
    status, answer = server.chat("What is my name?", temperature=0, session=session)
    assert status == 200, answer
    text: str = answer["choices"][0]["message"]["content"]
    return text


def test_sessions_are_one_whichever_worker_is_met(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as server:
        assert len(psutil.Process(server.process.pid).children()) == 2
        status, _ = server.chat("My name is Anna.", temperature=0, session="a")
        assert status == 200
        assert all("Anna" in name_of(server, "a") for _ in range(8))  # each a new connection
        page = server.text("/metrics")
        answers = r'actinium_http_answers_total{.*endpoint="chat",status="200"} (.*)'
        assert re.findall(answers, page) == ["9.0"]
        ready = r'actinium_deployment_ready{deployment="embedded",worker="(.)"} 1.0'
        assert re.findall(ready, page) == ["1", "2"]
        server.signal(signal.SIGTERM)
        code, out, err = server.end()
    assert code == 0, err
    assert "9 requests served, 9 session turns, 0 answers cut off, 0 messages lost" in out
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_killed_worker_comes_back_and_sessions_stay(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as server:
        parent = psutil.Process(server.process.pid)
        for session in "abcd":
            assert (
                server.chat(f"My name is A{session}na.", temperature=0, session=session)[0] == 200
            )
        victim = parent.children()[0].pid
        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + 60
        statuses: set[int] = set()
        while time.monotonic() < deadline:
            try:
                answers = [server.chat("Hello!", session=session)[0] for session in "abcd"]
            except ConnectionError:  # it was being made when the process died
                continue
            statuses |= set(answers)
            pids = [child.pid for child in parent.children()]
            if answers == [200] * 4 and victim not in pids and len(pids) == 2:
                break
        assert statuses <= {200, 503}
        assert time.monotonic() < deadline
        server.signal(signal.SIGINT)
        code, out, err = server.end()
    assert code == 0, err
    assert "0 answers cut off" in out


def test_what_workers_cannot_do_is_refused(tmp_path: Path) -> None:
    result = refused(tmp_path, "--store", "memory", "--port", "0")
    assert result.returncode == 2
    assert "give --store PATH, or --no-store" in result.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = refused(tmp_path, "--port", str(port))
    assert result.returncode == 3
    assert f"port {port} on 127.0.0.1 is taken by another program" in result.stderr


def test_a_model_that_cannot_be_loaded_ends_all(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    result = refused(tmp_path, "--model", "onnx/broken", "--port", "0")
    assert result.returncode == 2
    assert result.stderr.startswith("error: model folder 'broken' has no config.json")
    whole = Path(actinium.__file__).parent / "inference/runners/onnx/embedded"
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    (folder / "model.onnx").write_bytes(b"not a model")
    config = json.loads((folder / "config.json").read_text())
    config["sha256"] = hashlib.sha256(b"not a model").hexdigest()
    (folder / "config.json").write_text(json.dumps(config))
    result = refused(tmp_path, "--model", "onnx/broken", "--port", "0")
    assert result.returncode == 2
    assert (
        "\nerror: broken/model.onnx: onnxruntime cannot load it" in result.stderr
        and "Traceback" not in result.stderr
    )
    (tmp_path / "broken.toml").write_text(
        '[log]\nform = "json"\n[[deployment]]\nname = "broken"\nmodel = "onnx/broken"\n'
    )
    result = refused(tmp_path, "broken.toml", "--port", "0")
    told = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
    assert told and all("models could not be loaded" in line["message"] for line in told)
