"""Checkpoint to shipped artefacts: `python -m train_embedded.export --checkpoint ...`.

Writes `model.onnx` and `config.json`, then checks the file against the trained network:
prefill, chunked prefill and batched decoding on a shared cache, and that a row's logits do
not depend on the rows beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from tokenizers import Tokenizer

from .graph import build
from .model import Model, Shape, rope_tables
from .paths import SHIPPED, TOKENIZER
from .reference import Cache, Reference

NAME = "actinium-embedded-1"


def load(path: Path, average: bool) -> tuple[Model, dict[str, Any]]:
    """Model with weights rounded to half precision, and the checkpoint."""
    state = torch.load(path, weights_only=True)
    model = Model(Shape(**state["shape"]))
    weights = state["average" if average else "model"]
    model.load_state_dict({k: v.half().float() if v.ndim == 2 else v for k, v in weights.items()})
    return model.eval(), state


def config_of(folder: Path, shape: Shape, params: int, state: dict[str, Any]) -> dict[str, Any]:
    """What a runner must know about the model file."""
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    ids = {
        k: tokenizer.token_to_id(f"<|{k}|>")
        for k in ("pad", "bos", "end", "system", "user", "assistant", "tool", "call")
    }
    return {
        "name": NAME,
        "n_layers": shape.layers,
        "n_heads": shape.heads,
        "n_kv_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "vocab_size": shape.vocab,
        "max_context": shape.context,
        "special_tokens": ids,
        "bos_id": ids["bos"],
        "pad_id": ids["pad"],
        "end_id": ids["end"],
        "call_id": ids["call"],
        "stop_ids": [ids["end"]],
        "params": params,
        "trained_tokens": int(state["tokens"]),
        "trained_minutes": round(float(state["seconds"]) / 60),
        "train_steps": int(state["step"]),
        "license": "Apache-2.0",
        "sha256": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
    }


def torch_logits(model: Model, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Logits of every position of one row."""
    cos, sin = rope_tables(model.shape)
    n = len(ids)
    mask = torch.zeros(1, 1, n, n).masked_fill_(~torch.ones(n, n).tril().bool(), -1e9)
    with torch.no_grad():
        out = model(torch.from_numpy(ids)[None], cos[None, None, :n], sin[None, None, :n], mask)
    return np.asarray(out[0].numpy(), dtype=np.float32)


def check(model: Model, folder: Path) -> dict[str, float]:
    """Compare the exported file with the network; raises `ValueError` where they differ."""
    reference = Reference(folder, threads=1)
    config = reference.config
    rng = np.random.default_rng(7)
    rows = [rng.integers(8, model.shape.vocab, n) for n in rng.integers(20, 300, 16)]
    rows[3] = rng.integers(8, model.shape.vocab, 1000)
    worst = {"prefill": 0.0, "chunked": 0.0, "decode": 0.0}
    batch = Cache(config, len(rows), 1024)
    expected = [torch_logits(model, r) for r in rows]
    for n, row in enumerate(rows):
        head, steps = row[:-4], 1024
        one = Cache(config, 1, steps)
        got = reference.step(head[None], one)
        worst["prefill"] = max(worst["prefill"], float(abs(got[0] - expected[n][-5]).max()))
        chunked = Cache(config, 1, steps)
        for at in range(0, len(head), 96):
            got = reference.step(head[None, at : at + 96], chunked)
        worst["chunked"] = max(worst["chunked"], float(abs(got[0] - expected[n][-5]).max()))
        batch.put(n, one)
    differing: dict[int, int] = {}
    for step in range(4):
        ids = np.stack([r[len(r) - 4 + step : len(r) - 3 + step] for r in rows])
        before = [a.copy() for a in batch.arrays]
        lengths = batch.lengths.copy()
        got = reference.step(ids, batch)
        for n in range(len(rows)):
            off = len(rows[n]) - 4 + step
            worst["decode"] = max(worst["decode"], float(abs(got[n] - expected[n][off]).max()))
        for size in (1, 2, 3, 5, 8, 12):
            part = Cache(config, size, 1024)
            part.arrays = [np.ascontiguousarray(a[:size]) for a in before]
            part.lengths = lengths[:size].copy()
            alone = reference.step(ids[:size], part)
            differing[size] = differing.get(size, 0) + int((alone != got[:size]).any())
    for what, error in worst.items():
        if error > 2e-3:
            raise ValueError(f"{what}: logits differ by {error:.2e}, expected at most 2e-3")
    print("largest logit error:", {k: f"{v:.1e}" for k, v in worst.items()})
    print("steps whose logits differ from a batch of 16, by batch size:", differing)
    return worst


def speed(folder: Path) -> None:
    """Print decode and prefill rates on one thread."""
    reference = Reference(folder, threads=1)
    for rows in (1, 2, 16):
        cache = Cache(reference.config, rows, 512)
        cache.lengths[:] = 200
        ids = np.ones((rows, 1), dtype=np.int64)
        reference.step(ids, cache)
        start = time.perf_counter()
        for _ in range(100):
            reference.step(ids, cache)
        took = time.perf_counter() - start
        print(f"decode, batch {rows}: {100 * rows / took:,.0f} tokens/s, {10 * took:.2f} ms/step")
    cache = Cache(reference.config, 1, 512)
    start = time.perf_counter()
    reference.step(np.ones((1, 256), dtype=np.int64), cache)
    print(f"prefill: {256 / (time.perf_counter() - start):,.0f} tokens/s")


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=SHIPPED)
    parser.add_argument("--average", action="store_true", help="export the averaged weights")
    args = parser.parse_args()
    model, state = load(args.checkpoint, args.average)
    cos, sin = rope_tables(model.shape)
    weights = {k: v.numpy() for k, v in model.state_dict().items()}
    proto = build(weights, state["shape"], cos.numpy(), sin.numpy())
    onnx.save(proto, str(args.folder / "model.onnx.tmp"))
    (args.folder / "model.onnx.tmp").rename(args.folder / "model.onnx")
    config = config_of(args.folder, model.shape, model.count(), state)
    (args.folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    check(model, args.folder)
    speed(args.folder)
    total = sum(p.stat().st_size for p in args.folder.iterdir() if p.is_file())
    print(f"{args.folder.name}: {total / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
