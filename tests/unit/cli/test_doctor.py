"""The checks of ``actinium doctor``, each with the machine it should complain about."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from actinium.cli.doctor import machine, model, python
from actinium.inference.runners.onnx import folder


def test_a_port_that_is_taken() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        number = server.getsockname()[1]
        check = machine.port("127.0.0.1", number)
    assert (check.status, check.found) == ("warn", "taken on 127.0.0.1")
    assert check.fix.startswith("actinium serve --port ")
    assert machine.port("127.0.0.1", 0).status == "ok"


def test_an_address_that_is_not_of_this_machine() -> None:
    assert machine.port("192.0.2.1", 8080).status == "fail"


def test_little_memory(tmp_path: Path) -> None:
    info = tmp_path / "meminfo"
    info.write_text("MemTotal: 1000 kB\nMemAvailable:     102400 kB\n")
    check = machine.memory(info)
    assert (check.status, check.found) == ("warn", "100 MiB available")
    info.write_text("MemAvailable:     8388608 kB\n")
    assert machine.memory(info).status == "ok"
    assert machine.memory(tmp_path / "none").status == "warn"


def test_the_store(tmp_path: Path) -> None:
    path = tmp_path / "new" / "s.db"
    assert machine.store(str(path)).found.endswith("(will be made)")
    assert not path.parent.exists()  # looking changes nothing
    path = tmp_path / "s.db"
    path.write_bytes(b"this is no database, and long enough to be read as one " * 20)
    broken = machine.store(str(path))
    assert broken.status == "fail"
    assert "--store PATH" in broken.fix
    assert machine.store("none").status == "ok"
    blocked = tmp_path / "file"
    blocked.touch()
    assert machine.store(str(blocked / "s.db")).status == "fail"


def test_a_key_is_never_shown() -> None:
    assert machine.key("K", {"K": "sk-secret"}).found == "set"
    assert machine.key("K", {"K": ""}).found.startswith("not set")


def test_a_package_that_is_missing() -> None:
    check = python.package("no_such_module_", extra="serve", absent="fail", without="no HTTP")
    assert (check.status, check.found) == ("fail", "not installed: no HTTP")
    assert check.fix == 'pip install "actinium[serve]"'


def test_a_gpu_is_named_and_none_is_no_fault(tmp_path: Path) -> None:
    assert machine.gpu(tmp_path).found == "none; not needed"
    (tmp_path / "nvidia0").touch()
    assert machine.gpu(tmp_path).found == "nvidia0"


def test_the_embedded_model() -> None:
    assert model.embedded().status == "ok"


def test_a_damaged_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in folder.EMBEDDED.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(folder, "EMBEDDED", tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"x")
    damaged = model.embedded()
    assert damaged.status == "fail" and "SHA-256" in damaged.found
    (tmp_path / "tokenizer.json").unlink()
    assert "has no tokenizer.json" in model.embedded().found
