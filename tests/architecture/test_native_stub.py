"""``_native.pyi`` is the contract of the compiled module: neither has a name the other lacks."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import actinium._native as native

STUB = Path(__file__).resolve().parents[2] / "src/actinium/_native.pyi"


def _names(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    names: dict[str, ast.stmt] = {}
    for statement in body:
        match statement:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                names[name] = statement
            case ast.AnnAssign(target=ast.Name(id=name)):
                names[name] = statement
            case ast.Assign(targets=[ast.Name(id=name)]) if not isinstance(
                statement.value, ast.Call
            ):
                names[name] = statement
    return names


def _public(names: object) -> set[str]:
    return {name for name in names if not name.startswith("_")}  # type: ignore[attr-defined]


STUBBED = _names(ast.parse(STUB.read_text()).body)
CLASSES = sorted(name for name, node in STUBBED.items() if isinstance(node, ast.ClassDef))


def test_the_stub_and_the_module_have_the_same_names() -> None:
    assert _public(STUBBED) == _public(vars(native))


@pytest.mark.parametrize("name", CLASSES)
def test_the_stub_and_a_class_have_the_same_members(name: str) -> None:
    node, cls = STUBBED[name], getattr(native, name)
    assert isinstance(node, ast.ClassDef) and inspect.isclass(cls)
    assert _public(_names(node.body)) == _public(vars(cls))


@pytest.mark.slow
def test_stubtest_agrees(tmp_path: Path) -> None:
    # Which layouts exclude each other (PEP 800) is of no use to callers of this module.
    flags = ["--ignore-disjoint-bases"]
    if sys.version_info < (3, 12):  # buffers have no method that Python code sees before PEP 688
        allowed = tmp_path / "allowed"
        allowed.write_text(r"actinium\._native\.(Block|Payload)\.__buffer__" + "\n")
        flags += ["--allowlist", str(allowed)]
    command = [sys.executable, "-m", "mypy.stubtest", "actinium._native", *flags]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
