"""TR-1, TR-2: the oracle and the CPU give the same bits for programs that nobody wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_programs import Maker, compare, define
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import gpu
from actinium.gpu.codegen import host
from actinium.gpu.codegen.cache import Cache
from actinium.gpu.ir.nodes import walk
from actinium.gpu.lang.lower import lower_handler

SEEDS = st.integers(0, 1 << 32)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(Path(tmp_path_factory.mktemp("gpu")))


def test_tr_1_oracle_and_cpu_agree_bit_for_bit(cache: Cache) -> None:
    assert sum(compare(seed, cache, handlers=3) for seed in (1, 2)) == 36


@pytest.mark.slow
def test_tr_1_oracle_and_cpu_agree_on_many(cache: Cache) -> None:
    @given(SEEDS)
    @settings(max_examples=20, deadline=None)
    def agree(seed: int) -> None:
        compare(seed, cache)

    agree()


def test_gp_4_oracle_and_cpu_count_the_same_steps(cache: Cache) -> None:
    for seed in (3, 4):
        compare(seed, cache, handlers=4, max_steps=(1, 2, 3, 5, 8, 13))


@pytest.mark.slow
def test_the_text_has_no_undefined_behaviour(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What C++ leaves undefined may be right today and wrong with the next compiler."""
    watched = (*host.STRICT, "-O1", "-fsanitize=undefined,float-cast-overflow")
    monkeypatch.setattr(host, "STRICT", watched)
    for seed in range(4):
        compare(seed, cache)
    assert "runtime error" not in capfd.readouterr().err


@given(SEEDS)
@settings(max_examples=8, deadline=None)
def test_tr_2_no_pass_removes_or_reorders_an_effect(seed: int) -> None:
    """The stores, updates and assertions of straight-line code are those that were written."""
    maker = Maker(seed, handlers=2)
    scope = define(maker.source())
    spec = scope["Made"].__gpu_actor__
    program = gpu.compile(scope["Made"])
    for (message, method), after in zip(spec.handlers.items(), program.functions, strict=True):
        before = lower_handler(spec, message, method).function

        def effects(ops: list) -> list:  # type: ignore[type-arg]
            return [
                (op.name, op.attrs.get("path"), getattr(op.place[1], "lineno", 0))
                for op in ops
                if op.name in ("store", "check", "atomic")
            ]

        written, kept = effects(before.body.ops), effects(after.body.ops)
        stores = [e for e in written if e[0] == "store"]
        # a branch that is always taken may have brought others to this level
        assert [e for e in kept if e in stores] == stores, f"TR-2: {written} became {kept}"
        everywhere = set(effects(list(walk(before.body))))
        assert set(effects(list(walk(after.body)))) <= everywhere, "TR-2: an effect out of nothing"
