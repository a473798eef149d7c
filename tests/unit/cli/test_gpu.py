"""``actinium gpu`` as a user calls it, in this process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from actinium.cli.app import app
from actinium.cli.gpu import info as info_module
from actinium.cli.gpu.arguments import _emits
from actinium.gpu.codegen.nvrtc import version

runner = CliRunner()

PROGRAM = """
import actinium as ac
from actinium import gpu


@gpu.state
class Span:
    low: gpu.f32
    high: gpu.f32


@gpu.message(kind=0x0110)
class Add:
    amount: gpu.i64
    twice: gpu.bool32 = False


@gpu.message(kind=0x0111)
class Widen:
    by: gpu.Array[gpu.f32, 2]


@gpu.actor()
class Counter:
    total: gpu.i64
    span: Span

    @ac.on
    def add(self, m: Add) -> gpu.i64:
        assert m.amount >= 0
        self.total += m.amount
        if m.twice:
            self.total += m.amount
        return self.total

    @ac.on
    def widen(self, m: Widen) -> Span:
        self.span = Span(self.span.low - m.by[0], self.span.high + m.by[1])
        return self.span


@gpu.kernel
def double(x: gpu.Buffer[gpu.f32]) -> None:
    for i in gpu.prange(len(x)):
        x[i] = x[i] + x[i]
"""


def nvrtc_is_here() -> bool:
    try:
        return bool(version())
    except (ImportError, RuntimeError):
        return False


compiles = pytest.mark.skipif(not nvrtc_is_here(), reason="the extra gpu is not installed")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ACTINIUM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "some_actors.py").write_text(PROGRAM)
    return str(tmp_path / "some_actors.py")


def call(*words: str) -> tuple[int, str, str]:
    result = runner.invoke(app, ["gpu", *words])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("command", ["compile", "run"])
def test_help_teaches(command: str) -> None:
    code, out, _ = call(command, "--help")
    assert code == 0 and f"actinium gpu {command} counter.py" in out.partition("Example")[2]


def test_run_shows_replies_and_where_they_come_from(file: str) -> None:
    messages = ("--message", "Add amount=2", "--message", "Add amount=0x14 twice=true")
    code, out, _ = call("run", f"{file}:Counter", "--backend", "oracle", *messages)
    assert code == 0
    assert out.splitlines()[:2] == ["Add amount=2  ->  2", "Add amount=0x14 twice=true  ->  42"]
    assert out.splitlines()[2] == "on the backend oracle"


@pytest.mark.parametrize("backend", ["oracle", "cpu"])
def test_run_as_json(file: str, backend: str) -> None:
    words = ("--message", "Widen by=0.5,2", "--json", "--backend", backend, "--repeat", "2")
    code, out, err = call("run", f"{file}:Counter", *words)
    assert code == 0, err
    shown = json.loads(out)
    assert shown["backend"] == backend
    assert shown["replies"] == [{"low": -0.5, "high": 2.0}, {"low": -1.0, "high": 4.0}]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("Sub amount=1", "starts with none of Add, Widen"),
        ("", "starts with none of Add, Widen"),
        ("Add amount", "expected field=value with a field of amount, twice; got 'amount'"),
        ("Add many=1", "got 'many=1'"),
        ("Add amount=x", "Add.amount is i64, got 'x'"),
        ("Add amount=1 twice=maybe", "Add.twice is bool32, got 'maybe'"),
        ("Add", "Missing required argument 'amount'"),
        ("Widen by=1", "Widen.by has 2 elements, got 1"),
        ("Add 'amount=1", "No closing quotation"),
    ],
)
def test_a_message_that_is_none_is_explained(file: str, message: str, text: str) -> None:
    code, _, err = call("run", f"{file}:Counter", "--message", message)
    assert code == 2 and text in err


def test_a_fault_of_the_handler_is_a_line(file: str) -> None:
    code, _, err = call("run", f"{file}:Counter", "--message", "Add amount=-1")
    assert code == 1 and "assert at" in err and "some_actors.py:" in err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("run", "{file}:double", "--message", "x"), "must name one actor; found none"),
        (("run", "{file}:Counter"), "is sent nothing"),
        (("run", "{file}:Nobody", "--message", "x"), "it defines Counter, double"),
        (("compile", "nothing.py"), "there is no file nothing.py"),
        (("compile", "{file}", "--emit", "wasm"), "--emit takes ir, cpp, cuda, ptx, cubin, sass"),
        (("compile", "{file}", "--emit", "cubin"), "a CUBIN is no text"),
    ],
)
def test_a_wrong_call_is_explained(file: str, words: tuple[str, ...], text: str) -> None:
    code, _, err = call(*(word.format(file=file) for word in words))
    assert code == 2 and text in err


def test_texts_go_to_stdout(file: str) -> None:
    code, out, _ = call("compile", f"{file}:Counter", "--emit", "ir,cpp")
    assert code == 0
    assert "Counter_add(self: Counter, m: Add) -> i64" in out and "ac_handle(" in out


@compiles
def test_the_table_has_what_each_kernel_takes(file: str) -> None:
    code, out, _ = call("compile", file, "--json", "--arch", "sm_90a")
    assert code == 0
    rows = json.loads(out)
    assert [row["program"] for row in rows] == ["Counter", "double"]
    assert all(row["architecture"] == "sm_90a" and row["spills"] == 0 for row in rows)
    assert all(row["registers"] > 0 and row["code"] > 0 for row in rows)


@compiles
def test_files_are_written_and_named(file: str, tmp_path: Path) -> None:
    out = tmp_path / "made"
    words = ("--emit", "cubin,ptx,ir", "--arch", "sm_90a", "--out", str(out))
    code, shown, err = call("compile", f"{file}:double", *words)
    assert code == 0 and "double" in shown
    assert sorted(path.name for path in out.iterdir()) == [
        "double.ir", "double.sm_90a.cubin", "double.sm_90a.ptx",
    ]  # fmt: skip
    assert (out / "double.sm_90a.cubin").read_bytes()[:4] == b"\x7fELF"
    assert ".target sm_90a" in (out / "double.sm_90a.ptx").read_text()
    assert err.count("written: ") == 3


@compiles
def test_an_architecture_that_nvrtc_does_not_know(file: str) -> None:
    code, _, err = call("compile", f"{file}:double", "--arch", "sm_12345")
    assert code == 1 and "invalid value for --gpu-architecture" in err


def test_without_a_disassembler_it_says_what_to_install(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    code, _, err = call("compile", file, "--emit", "sass")
    assert code == 1 and "install cuda-nvdisasm" in err


@compiles
def test_a_disassembler_is_used_where_there_is_one(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvdisasm"
    tool.write_text('#!/bin/sh\necho "seen $1 $(head -c 4 "$2" | tail -c 3)"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    code, out, err = call("compile", f"{file}:double", "--emit", "sass", "--arch", "sm_90a")
    assert code == 0, err
    assert out == "seen -c ELF\n"


def test_the_shell_completes_lists() -> None:
    assert _emits("cu") == ["cuda", "cubin"]
    assert _emits("ir,c") == ["ir,cpp", "ir,cuda", "ir,cubin"]


def test_info_says_what_there_is_and_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    code, out, _ = call("info", "--json")
    found: dict[str, Any] = json.loads(out)
    assert code == 0
    assert found["device"]["status"] in ("ok", "none") and found["device"]["found"]
    for backend in ("cuda", "cpu", "emulator", "oracle"):
        assert found[f"backend {backend}"]["found"]
    assert found["backend oracle"]["status"] == found["backend cpu"]["status"] == "ok"
    assert "1,000,000 messages between threads, 0 torn" in found["rings"]["found"]


def test_info_fails_where_the_rings_do(monkeypatch: pytest.MonkeyPatch) -> None:
    torn = {"status": "fail", "found": "3 torn"}
    monkeypatch.setattr(info_module, "rings", lambda: torn)
    code, out, _ = call("info")
    assert code == 1 and "3 torn" in out


def test_the_benchmarks_are_where_the_source_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = call("bench")
    assert code == 1 and "below bench/gpu, and not in the package" in err
    (tmp_path / "bench/gpu").mkdir(parents=True)
    (tmp_path / "bench/gpu/__main__.py").write_text(
        "import sys\nsys.exit(sys.argv[1:] != ['--quick'])\n"
    )
    assert call("bench", "--quick")[0] == 0
    assert call("bench")[0] == 1
