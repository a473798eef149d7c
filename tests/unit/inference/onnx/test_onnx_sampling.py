"""Sampling: what each field does, and that rows never look at each other."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.inference.request import Sampling
from actinium.inference.runners.onnx.plan import plan
from actinium.inference.runners.onnx.sampling import Row, choose

SIZE = 300  # not a multiple of the block that sums are taken over


def _row(choice: int = 0, *, size: int = SIZE, prompt: tuple[int, ...] = (), **kw: object) -> Row:
    return Row(plan(Sampling(**kw), size), choice, size, prompt, ())  # type: ignore[arg-type]


def _logits(seed: int, rows: int = 1, size: int = SIZE) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64(seed))
    return (generator.standard_normal((rows, size)) * 4).astype(np.float32)


def _counts(logits: list[float], draws: int = 4000, **kw: object) -> Counter[int]:
    row = _row(size=len(logits), seed=1, **kw)
    return Counter(choose(np.array([logits], np.float32), [row])[0] for _ in range(draws))


SAMPLINGS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0.0, 1e-40, 0.2, 1.0, 5.0]),
        "top_p": st.sampled_from([0.01, 0.5, 0.9, 1.0]),
        "top_k": st.sampled_from([1, 3, 64, 299, 1000]),
        "presence_penalty": st.sampled_from([-1.0, 1.5]),
        "frequency_penalty": st.sampled_from([-1.0, 1.5]),
        "repetition_penalty": st.sampled_from([0.7, 1.3]),
        "logit_bias": st.just({"3": -100.0, "4": 5.0}),
    },
)


@given(st.lists(SAMPLINGS, min_size=1, max_size=6), st.integers(0, 2**32))
def test_inf_lr_3_a_row_draws_the_same_tokens_alone_and_in_a_batch(
    samplings: list[dict[str, object]], seed: int
) -> None:
    count = len(samplings)
    together = [_row(prompt=(1, 2, 3), seed=seed, **kw) for kw in samplings]
    alone = [_row(prompt=(1, 2, 3), seed=seed, **kw) for kw in samplings]
    for step in range(4):
        logits = _logits(seed + step, count)
        expected = [choose(logits[n : n + 1].copy(), [row])[0] for n, row in enumerate(alone)]
        assert choose(logits, together) == expected


def test_zero_temperature_takes_the_likeliest() -> None:
    logits = _logits(1, 5)
    rows = [_row(temperature=0.0) for _ in range(5)]
    assert choose(logits.copy(), rows) == logits.argmax(axis=1).tolist()


@pytest.mark.parametrize("temperature", [1e-300, 1e-40, 1e-6])
def test_a_tiny_temperature_is_greedy_and_overflows_nothing(temperature: float) -> None:
    logits = _logits(2)
    assert choose(logits.copy(), [_row(temperature=temperature)]) == [int(logits.argmax())]


def test_a_seed_and_a_choice_fix_the_draws() -> None:
    def tokens(seed: int, choice: int) -> list[int]:
        row = _row(choice, seed=seed, temperature=2.0)
        return [choose(_logits(step), [row])[0] for step in range(20)]

    assert tokens(1, 0) == tokens(1, 0)
    assert tokens(1, 0) != tokens(2, 0)
    assert tokens(1, 0) != tokens(1, 1)


def test_frequencies_follow_the_softmax() -> None:
    weights = np.array([0.5, 0.3, 0.2])
    counts = _counts(list(np.log(weights)), temperature=1.0)
    assert [counts[n] / 4000 for n in range(3)] == pytest.approx(weights.tolist(), abs=0.03)


def test_frequencies_over_many_blocks_follow_the_softmax() -> None:
    counts = _counts([0.0] * SIZE, draws=6000, temperature=1.0)
    by_third = [sum(counts[n] for n in range(a, a + 100)) / 6000 for a in (0, 100, 200)]
    assert by_third == pytest.approx([1 / 3] * 3, abs=0.03)
    assert set(counts) <= set(range(SIZE))


def test_top_k_keeps_the_likeliest() -> None:
    counts = _counts([0.0, 2.0, 1.9, -1.0, 1.8], temperature=1.0, top_k=2)
    assert set(counts) == {1, 2}


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    logits = np.log([0.1, 0.5, 0.25, 0.15]).tolist()
    assert set(_counts(logits, temperature=1.0, top_p=0.4)) == {1}
    assert set(_counts(logits, temperature=1.0, top_p=0.7)) == {1, 2}
    assert set(_counts(logits, temperature=1.0, top_p=0.8)) == {1, 2, 3}


def test_top_p_looks_beyond_its_first_look() -> None:
    counts = _counts([0.0] * SIZE, draws=3000, temperature=1.0, top_p=0.9)
    assert 260 <= len(counts) <= 271


def test_top_p_is_taken_among_what_top_k_left() -> None:
    logits = np.log([0.4, 0.3, 0.2, 0.1]).tolist()
    assert set(_counts(logits, temperature=1.0, top_k=2, top_p=0.5)) == {0}
    assert set(_counts(logits, temperature=1.0, top_k=2, top_p=0.6)) == {0, 1}


def test_bias_is_added() -> None:
    logits = np.zeros((1, SIZE), np.float32)
    assert choose(logits, [_row(temperature=0.0, logit_bias={"17": 1.0})]) == [17]


def test_presence_counts_once_and_frequency_each_time() -> None:
    for field, tokens in (
        ("presence_penalty", [0, 0, 0]),
        ("frequency_penalty", [0, 0, 1]),
    ):
        row = _row(size=2, temperature=0.0, **{field: 1.0})
        gap = np.array([[1.5, 0.0]], np.float32)
        assert [choose(gap.copy(), [row])[0] for _ in range(3)] == tokens, field


def test_repetition_counts_the_prompt_and_the_answer() -> None:
    row = _row(size=3, temperature=0.0, repetition_penalty=2.0, prompt=(0,))
    logits = np.array([[3.0, 2.0, 1.2]], np.float32)
    assert [choose(logits.copy(), [row])[0] for _ in range(3)] == [1, 0, 0]
    negative = np.array([[-1.0, -1.5, -9.0]], np.float32)
    row = _row(size=3, temperature=0.0, repetition_penalty=2.0, prompt=(0,))
    assert choose(negative, [row]) == [1]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_banned_token_is_never_chosen(temperature: float) -> None:
    chosen = plan(Sampling(temperature=temperature, seed=1, logit_bias={"1": 100.0}), 2)
    row = Row(chosen, 0, 2, (), (1,))
    assert {choose(np.zeros((1, 2), np.float32), [row])[0] for _ in range(50)} == {0}


class _Edge(Row):
    """Draws the largest number below 1."""

    def draw(self) -> float:
        return float(np.nextafter(1.0, 0.0))


@given(st.integers(0, 2**32))
def test_the_largest_draw_takes_a_token_that_has_weight(seed: int) -> None:
    row = _Edge(plan(Sampling(temperature=0.5), SIZE), 0, SIZE, (), tuple(range(100, SIZE)))
    assert 0 <= choose(_logits(seed), [row])[0] < 100


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_are_an_error(temperature: float) -> None:
    logits = _logits(1, 2)
    logits[1, 7] = np.nan
    with pytest.raises(FloatingPointError, match="not numbers"):
        choose(logits, [_row(temperature=temperature), _row(temperature=temperature)])
