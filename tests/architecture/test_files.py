"""Rules about the source tree that no linter holds."""

from __future__ import annotations

import ast
import collections
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "native", "tests", "scripts", "bench", "examples", "tools")
SUFFIXES = {".py", ".pyi", ".cpp", ".hpp", ".h", ".sh"}


def _sources() -> list[Path]:
    return sorted(
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in SUFFIXES and path.is_file()
    )


def test_no_source_file_is_longer_than_800_lines() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in _sources()}
    assert {path: n for path, n in lengths.items() if n > 800} == {}


def test_the_native_core_sees_no_python_header() -> None:
    header = re.compile(r"^\s*#\s*include\s*[<\"]Python\.h|^\s*#\s*include.*binding/", re.MULTILINE)
    for folder in ("include", "src", "tests"):
        for path in (ROOT / "native" / folder).rglob("*"):
            if path.suffix in SUFFIXES:
                assert not header.search(path.read_text()), path


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "src/actinium/py.typed").is_file()


def test_every_part_of_the_package_has_its_layer() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    named = {name.strip(" ()") for layer in layers for name in layer.split("|")}
    parts = {
        path.stem
        for path in (ROOT / "src/actinium").iterdir()
        if (path.is_dir() or path.suffix in {".py", ".pyi"}) and path.name[:2] != "__"
    }
    assert parts <= named, "a new part needs a line in [tool.importlinter]"


@pytest.mark.parametrize(
    "module", ["pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve"]
)
def test_nothing_unpickles(module: str) -> None:
    use = re.compile(rf"^\s*(import|from)\s+{module}\b", re.MULTILINE)
    for path in (ROOT / "src").rglob("*.py"):
        assert not use.search(path.read_text()), f"{path} imports {module}"


def test_inside_the_package_only_the_compiled_module_is_imported_from_the_root() -> None:
    """The root re-exports every layer, so such an import would go up unseen by the linter."""
    for path in (ROOT / "src/actinium").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "actinium":
                names = {alias.name for alias in node.names}
                assert names == {"_native"}, f"{path}:{node.lineno}"
            elif isinstance(node, ast.Import):
                plain = [alias for alias in node.names if alias.name == "actinium"]
                assert plain == [], f"{path}:{node.lineno}"


def test_scripts_can_be_run() -> None:
    for name in ("setup_and_test", "setup_and_serve", "native_tests", "native_lint"):
        path = ROOT / "scripts" / f"{name}.sh"
        assert path.stat().st_mode & 0o111, f"{path} is not executable"
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_no_two_test_files_have_one_name() -> None:
    """Pytest imports them by their bare names."""
    names = collections.Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert not [name for name, count in names.items() if count > 1]
