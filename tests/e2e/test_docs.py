"""The documents are true: their snippets run, their links lead somewhere, their tables hold.

A fenced block says by the words after its language how it is run:

- ``python``            a program of its own;
- ``python append``     more lines for the page's program so far, which is run anew as a whole;
- ``python test``       a file for pytest;
- ``python client``     a program beside ``actinium serve``, whose address stands for port 8080;
- ``sh client``         commands beside the same server;
- ``... after-kill``    as ``client``, after the server was killed (SIGKILL) and started again.

A block ``text output`` after one of them is exactly what it prints.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
USUAL_URL = "http://127.0.0.1:8080"

_FENCE = re.compile(r"^```(\w*)[ ]?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_TEST = re.compile(r"((?:native/)?tests/[\w/]+\.(?:py|cpp))(?:::(\w+))?")
_NAME = re.compile(r"`(actinium(?!\.toml)(?:\.\w+)+)`")
_RUN_WORDS = {"append", "test", "client", "after-kill"}


@dataclass
class Block:
    """One block that is run, with what it must print (None: anything)."""

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    code: str
    output: str | None = None

    @property
    def id(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass
class Server:
    """``actinium serve`` with a store of its own, started when first needed."""

    folder: Path
    process: subprocess.Popen[str] | None = None
    url: str = ""
    log: list[str] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.folder / "sessions.db"

    def start(self) -> None:
        if self.process is not None:
            return
        self.process = subprocess.Popen(
            [sys.executable, "-m", "actinium", "serve", "--port", "0",
             "--store", str(self.store), "--log-level", "warning"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(),
        )  # fmt: skip
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line)
            if found := re.search(r"ready: (http://\S+)", line):
                self.url = found[1]
                return
        pytest.fail("actinium serve did not come up:\n" + "".join(self.log))

    def stop(self, number: int) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        self.process = None


def environment() -> dict[str, str]:
    """The environment of a child: this checkout's package, wherever the child runs."""
    paths = [p for p in (str(ROOT / "src"), os.environ.get("PYTHONPATH", "")) if p]
    installed = importlib.import_module("actinium").__file__ or ""
    if not installed.startswith(str(ROOT / "src")):
        paths = paths[1:]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ACTINIUM_", "OPENAI_"))}
    return {**env, "PYTHONPATH": os.pathsep.join(paths), "no_proxy": "127.0.0.1"}


def blocks() -> Iterator[Block]:
    """All blocks that are run; an ``append`` holds its page's program up to there."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        program, printed = "", ""
        last: Block | None = None
        for fence in _FENCE.finditer(text):
            language, words, code = fence[1], tuple(fence[2].split()), fence[3]
            line = text.count("\n", 0, fence.start()) + 1
            if language == "text" and words == ("output",):
                assert last is not None, f"{page}:{line}: an output of nothing"
                printed += code
                last.output = printed
                continue
            last = None
            if language == "python" and not {"client", "after-kill", "test"} & set(words):
                program, printed = (program, printed) if "append" in words else ("", "")
                program += code
                code = program
            elif language != "python" and not _RUN_WORDS & set(words):
                continue
            else:
                printed = ""
            last = Block(page, line, language, words, code)
            yield last


BLOCKS = list(blocks())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    made.stop(signal.SIGTERM)


@pytest.mark.parametrize("block", BLOCKS, ids=[b.id for b in BLOCKS])
def test_snippet_runs(block: Block, server: Server, tmp_path: Path) -> None:
    unknown = set(block.words) - _RUN_WORDS
    assert not unknown, f"{block.id}: no way to run a block with {unknown}"
    code = block.code
    needs_server = bool({"client", "after-kill"} & set(block.words))
    if needs_server:
        if "after-kill" in block.words:
            if not server.store.exists():
                pytest.skip("runs after the blocks before it")
            server.stop(signal.SIGKILL)
        server.start()
        code = code.replace(USUAL_URL, server.url)
    file = tmp_path / ("test_snippet.py" if "test" in block.words else "snippet.py")
    file.write_text(code, encoding="utf-8")
    if block.language == "sh":
        if shutil.which("curl") is None:
            pytest.skip("there is no curl here")
        command = ["bash", "-euo", "pipefail", str(file)]
    elif "test" in block.words:
        plugin = ["-p", "actinium.testkit.plugin"]  # where the package is not installed
        command = [sys.executable, "-m", "pytest", "-q", *plugin, "-W", "error", str(file)]
    else:
        # What a library of a client warns of is not ours.
        strict = [] if needs_server else ["-W", "error"]
        command = [sys.executable, *strict, str(file)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, f"{block.id} failed:\n{done.stdout}\n{done.stderr}"
    if block.language == "sh":
        assert '"error"' not in done.stdout, f"{block.id} was answered:\n{done.stdout}"
    if block.output is not None:
        assert done.stdout == block.output, f"{block.id} printed:\n{done.stdout}\n{done.stderr}"


def test_session_of_the_tutorial_survived_the_kill(server: Server) -> None:
    """inf_SE_2: what the client saw end before SIGKILL is in the store, whole and in order."""
    import actinium as ac
    from actinium.inference.session import SessionActors

    if not any("after-kill" in b.words for b in BLOCKS) or not server.store.exists():
        pytest.skip("runs after the snippets of the tutorial")
    server.stop(signal.SIGKILL)

    async def read() -> list[str]:
        store = await ac.SqliteStore.open(server.store)
        try:
            async with ac.System(store=store) as system:
                return [m.role for m in await SessionActors(system).history("anna")]
        finally:
            await store.close()

    roles = asyncio.run(read())
    assert len(roles) >= 6
    assert roles == ["user", "assistant"] * (len(roles) // 2)


# -- links and names


def anchors(page: Path) -> set[str]:
    """The anchors GitHub makes of a page's headings."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    heads = re.findall(r"^#+ +(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.relative_to(ROOT)}: {target} leads nowhere"
        if anchor:
            assert anchor in anchors(found), f"{page.relative_to(ROOT)}: no heading for {target}"


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / to).resolve() for to in _LINK.findall(index.read_text("utf-8"))}
    assert set(PAGES) - linked == {ROOT / "README.md", index}


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_named_tests_exist(page: Path) -> None:
    for path, name in _TEST.findall(page.read_text(encoding="utf-8")):
        file = ROOT / path
        assert file.is_file(), f"{page.relative_to(ROOT)} names {path}, which is not there"
        if name:
            source = file.read_text(encoding="utf-8")
            assert re.search(rf"(def |class |^TEST\(){name}\b", source, re.MULTILINE), (
                f"{page.relative_to(ROOT)} names {path}::{name}, which is not there"
            )


def test_each_invariant_of_the_semantics_is_listed_with_its_test() -> None:
    listed = [row[0] for row in table_of("explain/semantics.md", "The tests")]
    assert len(listed) == len(set(listed))
    text = (ROOT / "docs/explain/semantics.md").read_text(encoding="utf-8").split("## The tests")[0]
    assert set(re.findall(r"\b(?:inf_)?[A-Z]{2}-\d\b", text)) <= set(listed)


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_named_objects_exist(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for dotted in sorted(set(_NAME.findall(text))):
        assert resolves(dotted), f"{page.relative_to(ROOT)} names {dotted}, which is not there"


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a module or an object in one."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError as error:
            if error.name is None or not dotted.startswith(error.name):
                raise
            continue
        for part in parts[cut:]:
            members = getattr(found, "__struct_fields__", ()) or ()
            if part in members:
                return True
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


# -- tables that the code decides


def table_of(page: str, heading: str) -> list[tuple[str, ...]]:
    """The rows (without the head) of the first table below a heading."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    part = text.split(f"\n## {heading}\n", 1)[1]
    rows = re.search(r"(^\|.*\|$\n?)+", part, re.MULTILINE)
    assert rows is not None, f"no table below {heading!r}"
    cells = [
        tuple(cell.strip() for cell in row.strip("|").split("|")) for row in rows[0].splitlines()
    ]
    return cells[2:]


def error_rows() -> list[tuple[str, ...]]:
    """What docs/reference/errors.md must hold, in the order of errors.py."""
    from actinium import errors
    from actinium.serve.openai.errors import detail_of, status_of

    rows: list[tuple[str, ...]] = []
    for name, cls in vars(errors).items():
        if not (isinstance(cls, type) and issubclass(cls, errors.ActiniumError)):
            continue
        error = cls.__new__(cls)
        error.code = None  # type: ignore[attr-defined]  # the instance's own, where it has one
        code = detail_of(error).code
        bases = ", ".join(base.__name__ for base in cls.__bases__)
        doc = (cls.__doc__ or "").strip().splitlines()[0]
        rows.append(
            (
                f"`{name}`", bases, str(status_of(error)), f"`{code}`" if code else "",
                "yes" if cls.retryable else "", doc.replace("|", "\\|"),
            )
        )  # fmt: skip
    return rows


def test_reference_of_errors_is_the_code() -> None:
    right = error_rows()
    lines = "\n".join("| " + " | ".join(row) + " |" for row in right)
    assert table_of("reference/errors.md", "All classes") == right, (
        f"docs/reference/errors.md, replace the table's rows by:\n{lines}"
    )


def test_every_error_is_used() -> None:
    from actinium import errors

    imported: set[str] = set()
    for file in (ROOT / "src" / "actinium").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "actinium.errors":
                imported |= {alias.name for alias in node.names}
    compiled = "".join(file.read_text() for file in (ROOT / "native/binding").glob("*.cpp"))
    imported |= set(re.findall(r'raise_named\("(\w+)"', compiled))  # raised by name
    bases = {base.__name__ for cls in vars(errors).values() if isinstance(cls, type)
             for base in cls.__bases__}  # fmt: skip
    assert {row[0].strip("`") for row in error_rows()} <= imported | bases


def test_reference_of_endpoints_is_the_code() -> None:
    from actinium.serve.routes import PUBLIC

    rows = table_of("reference/gateway.md", "Endpoints")
    named = {tuple(row[0].strip("`").split(" ", 1)) for row in rows}
    real = {
        (one.methods[0].decode(), path.decode())
        for path, route in PUBLIC.items()
        for one in (route, *route.also)
    }
    assert named - {("GET", "/openapi.json")} == real


def test_reference_of_the_admin_api_is_the_code() -> None:
    from actinium.inference import Inference
    from actinium.serve.admin.api import AdminApi
    from actinium.serve.admin.routes import admin_routes

    rows = table_of("reference/gateway.md", "Admin API")
    named = [tuple(row[0].strip("`").split(" ", 1)) for row in rows]
    real = [
        (one.methods[0].decode(), path.decode())
        for path, route in admin_routes(AdminApi(Inference([]), None)).items()
        for one in (route, *route.also)
    ]
    assert named == real


def test_reference_of_measures_is_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from tools import metrics_reference as reference

    assert reference.PAGE.read_text() == asyncio.run(reference.page()), (
        "docs/reference/metrics.md is not what the code says: python tools/metrics_reference.py"
    )


def test_reference_of_limits_is_the_code() -> None:
    from actinium.serve import Limits

    rows = {row[0].strip("`"): row[1] for row in table_of("reference/gateway.md", "Limits")}
    limits = Limits()
    assert rows == {name: f"{int(getattr(limits, name)):,}" for name in Limits.__struct_fields__}
