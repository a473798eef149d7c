"""Every program of the tests becomes machine code for sm_90a and sm_100a, without a GPU."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from gpu_samples import PROGRAMS
from test_intrinsics import text as all_rows

from actinium import gpu
from actinium.errors import CompilerFailed, UnsupportedType
from actinium.gpu.codegen.cache import Cache

nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="the extra gpu is not installed")

from actinium.gpu.codegen.nvrtc import ARCHITECTURES, _compile, cubin, version  # noqa: E402

pytestmark = pytest.mark.gpu_compile

REGISTERS = 64
"""Of a thread; with more, 1,024 threads of a block do not fit a multiprocessor's 65,536."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(Path(tmp_path_factory.mktemp("cubin")))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_tr_3_a_program_compiles_and_spills_nothing(
    cache: Cache, program: Any, architecture: str, record_property: Any
) -> None:
    made = cubin(gpu.compile(program), architecture, cache)
    record_property("registers", made.registers)
    record_property("spills", made.spills)
    assert made.data[:4] == b"\x7fELF" and made.entry in ("ac_once", "ac_kernel")
    assert made.spills == 0 and 0 < made.registers <= REGISTERS, made._replace(data=b"")


def _others() -> dict[str, Any]:
    """The programs of the other tests and of the examples, each by file and name."""
    root = Path(__file__).parents[3]
    files = [path for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)]
    files += [p for p in (root / "examples").rglob("*.py") if "import gpu" in p.read_text()]
    found: dict[str, Any] = {}
    for path in sorted(files):
        spec = importlib.util.spec_from_file_location(f"watched_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, value in vars(module).items():
            ours = isinstance(value, gpu.Kernel) or "__gpu_actor__" in getattr(
                value, "__dict__", {}
            )
            if ours and value not in found.values() and value not in PROGRAMS:
                found[f"{path.stem}.{name}"] = value
    return found


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tr_3_no_program_of_the_tests_and_examples_spills(cache: Cache, architecture: str) -> None:
    """What has grown over its registers shows here before it is slow on a device."""
    wrong = {}
    programs = _others()
    assert len(programs) >= 15
    for name, what in programs.items():
        program = gpu.compile(what)
        try:
            program.check_capability(architecture)
        except UnsupportedType:
            continue
        made = cubin(program, architecture, cache)
        if made.spills or not 0 < made.registers <= REGISTERS:
            wrong[name] = made._replace(data=b"")
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tr_3_every_row_compiles_at_every_level(architecture: str) -> None:
    options = (
        f"--gpu-architecture={architecture}",
        "--std=c++17",
        "--relocatable-device-code=true",
    )
    assert len(_compile(all_rows("cuda"), options)) > 10_000


def test_a_second_compilation_comes_from_the_cache(cache: Cache) -> None:
    program = gpu.compile(PROGRAMS[0])
    first = cubin(program, "sm_90a", cache)
    before = cache.misses
    assert cubin(program, "sm_90a", cache) == first and cache.misses == before
    cubin(gpu.compile(PROGRAMS[0], strict=False), "sm_90a", cache)
    assert cache.misses == before + 1, "the flags are part of the key"


def test_an_unknown_architecture_is_refused_with_the_compilers_words(cache: Cache) -> None:
    with pytest.raises(CompilerFailed, match="gpu-architecture"):
        cubin(gpu.compile(PROGRAMS[0]), "sm_1", cache)
    assert version() >= "13.0"
