"""The cache of compiled code: keys, damage, and folders that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_samples import Add, Counter

from actinium import gpu
from actinium.errors import CompilerFailed, LayoutMismatch, Unavailable
from actinium.gpu.codegen import host
from actinium.gpu.codegen.cache import Cache, default_folder
from actinium.gpu.executors.native import load


def test_the_key_is_of_every_part_and_its_borders() -> None:
    keys = {Cache.key(*parts) for parts in (("a", "b"), ("ab",), ("a", "b", ""), ("b", "a"))}
    assert len(keys) == 4 and Cache.key("a", "b") == Cache.key("a", "b")


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    made = [cache.get("k", lambda: b"code") for _ in range(3)]
    assert made == [b"code"] * 3 and (cache.hits, cache.misses) == (2, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["k"], "nothing is left beside it"


@pytest.mark.parametrize("damage", [b"", b"ACC1", b"garbage" * 20])
def test_a_damaged_entry_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    cache = Cache(tmp_path)
    cache.get("k", lambda: b"code")
    whole = (tmp_path / "k").read_bytes()
    (tmp_path / "k").write_bytes(damage or whole[:-1])
    assert cache.get("k", lambda: b"new") == b"new"
    assert Cache(tmp_path).get("k", lambda: b"unused") == b"new"


def test_a_folder_that_cannot_be_written_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "below")
    assert [cache.get("k", lambda: b"code") for _ in range(2)] == [b"code"] * 2
    assert cache.misses == 2


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTINIUM_CACHE", "/somewhere")
    assert default_folder() == Path("/somewhere/gpu")
    monkeypatch.delenv("ACTINIUM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert default_folder() == Path("/xdg/actinium/gpu")


def test_a_program_is_compiled_once_for_each_constant_that_it_captured(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for step in (1, 2, 1):

        @gpu.kernel
        def fill(x: gpu.Buffer[gpu.i32]) -> None:
            for i in gpu.prange(len(x)):
                x[i] = step  # noqa: B023

        data = bytearray(4)
        gpu.NativeKernel(gpu.compile(fill), cache)(data)
        assert data[0] == step
    assert (cache.hits, cache.misses) == (1, 2)


def test_a_library_of_other_layouts_is_refused(tmp_path: Path) -> None:
    program = gpu.compile(Counter)
    stale = program.text("cpu").replace(f"{gpu.record_of(Add).hash:#018x}", "0x0000000000000001")
    with pytest.raises(LayoutMismatch, match=r"Add.hash"):
        load(program, Cache(tmp_path), stale)


def test_text_that_the_compiler_refuses_is_shown(tmp_path: Path) -> None:
    with pytest.raises(CompilerFailed, match=r"error"):
        load(gpu.compile(Counter), Cache(tmp_path), "nonsense")


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    host.compiler.cache_clear()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(Unavailable, match=r"no C\+\+ compiler was found \(no-such-compiler\)"):
        gpu.NativeActor(gpu.compile(Counter))
    monkeypatch.undo()
    host.compiler.cache_clear()
