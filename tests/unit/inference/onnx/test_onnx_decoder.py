"""The graph on its shared buffer: in place, in pieces, and with equal bits in any batch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_support import folder

from actinium.errors import ConfigError
from actinium.inference.runners.onnx import ModelFolder
from actinium.inference.runners.onnx.decoder import Decoder
from actinium.inference.runners.onnx.folder import EMBEDDED

SLOTS = 6
CONTEXT = 128


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(folder(), SLOTS, CONTEXT, threads=2)
    made.calibrate()
    yield made


def _ids(seed: int, count: int) -> list[int]:
    generator = np.random.Generator(np.random.PCG64(seed))
    return generator.integers(0, folder().config.vocab_size, count).tolist()


def _greedy(decoder: Decoder, prompts: list[list[int]], steps: int) -> list[list[np.ndarray]]:
    """Logits of every step of rows that decode together."""
    seen = [[decoder.prefill(row, p, 0)[0].copy()] for row, p in enumerate(prompts)]
    lengths = [len(p) for p in prompts]
    for _ in range(steps):
        logits = decoder.decode([int(s[-1].argmax()) for s in seen], lengths)
        lengths = [n + 1 for n in lengths]
        for row, rows in enumerate(seen):
            rows.append(logits[row].copy())
    return seen


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 2**32), st.integers(1, 90)), min_size=1, max_size=SLOTS))
def test_a_rows_logits_have_the_same_bits_alone_and_in_a_batch(
    decoder: Decoder, rows: list[tuple[int, int]]
) -> None:
    prompts = [_ids(seed, count) for seed, count in rows]
    together = _greedy(decoder, prompts, 4)
    for prompt, expected in zip(prompts, together, strict=True):
        [alone] = _greedy(decoder, [prompt], 4)
        assert all(np.array_equal(a, b) for a, b in zip(alone, expected, strict=True))


def test_a_prompt_in_pieces_is_the_whole_prompt(decoder: Decoder) -> None:
    ids = _ids(1, 70)
    whole = decoder.prefill(0, ids, 0)[0].copy()
    for start in range(0, 70, 32):
        pieces = decoder.prefill(1, ids[start : start + 32], start)
    assert np.allclose(pieces[0], whole, atol=1e-3)


def test_the_graph_writes_into_the_buffer_itself(decoder: Decoder) -> None:
    decoder.cache[:] = 0
    decoder.prefill(2, _ids(2, 5), 0)
    filled = np.abs(decoder.cache).sum(axis=(0, 2, 4)) > 0
    assert filled[2].tolist() == [True] * 5 + [False] * (CONTEXT - 5)
    assert not filled[[0, 1, 3, 4, 5]].any()


def test_a_copied_row_goes_on_as_its_source(decoder: Decoder) -> None:
    prompts = [_ids(3, 20), _ids(4, 30)]
    [_, [_, expected]] = _greedy(decoder, prompts, 1)
    logits = decoder.prefill(1, prompts[1], 0)
    token = int(logits[0].argmax())
    decoder.copy(1, 0, 30)
    assert np.array_equal(decoder.decode([token], [30])[0], expected)


def test_rows_that_fill_a_batch_disturb_nobody(decoder: Decoder) -> None:
    ids = _ids(5, 40)
    first = decoder.prefill(0, ids, 0)[0].copy()
    expected = decoder.prefill(1, ids, 0)[0].copy()
    decoder.prefill(1, ids[:32], 0)
    least, decoder.least_rows = decoder.least_rows, 3
    try:
        decoder.decode([int(first.argmax())], [40], behind=32)
    finally:
        decoder.least_rows = least
    assert np.allclose(decoder.prefill(1, ids[32:], 32)[0], expected, atol=1e-3)


def test_calibration_keeps_to_batches_whose_bits_agree(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Decoder(folder(), 4, 64, threads=1)
    real = Decoder.decode

    def other_kernel(self: Decoder, tokens: list[int], lengths: list[int], behind: int = 0):  # type: ignore[no-untyped-def]
        logits = real(self, tokens, lengths, behind)
        return logits + (1e-6 if max(len(tokens), self.least_rows) < 3 else 0)

    monkeypatch.setattr(Decoder, "decode", other_kernel)
    assert made.calibrate() == 3
    assert made.decode([1], [0]).shape == (1, folder().config.vocab_size)


def _copy(tmp_path: Path, **changes: object) -> ModelFolder:
    path = Path(shutil.copytree(EMBEDDED, tmp_path / "model"))
    config = msgspec.json.decode((path / "config.json").read_bytes())
    (path / "config.json").write_bytes(msgspec.json.encode(config | changes))
    return ModelFolder(path)


def test_a_graph_that_is_not_the_configs_is_refused(tmp_path: Path) -> None:
    wrong = _copy(tmp_path, n_layers=folder().config.n_layers + 1)
    with pytest.raises(ConfigError, match=r"its inputs are not those of config\.json: missing"):
        Decoder(wrong, 2, 64, 1)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    broken = _copy(tmp_path)
    broken.file("model.onnx").write_bytes(b"no graph")
    with pytest.raises(ConfigError, match="onnxruntime cannot load it"):
        Decoder(broken, 2, 64, 1)
