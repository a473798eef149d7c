"""Shards of conversations to training batches.

Conversations are packed into rows of 128 to 1024 tokens; of those over 256, which cost more
attention, only a share is used. Only the assistant's tokens carry loss. Attention and positions
stay inside a conversation, so nothing leaks from one dialogue into another. Every batch holds
the same number of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import Tensor

LENGTHS = (128, 256, 512, 1024)
KEEP_LONG = 0.4
CHUNK = 1000
_SHARD = re.compile(r"shard-(\d+)\.npz")


@dataclass(frozen=True)
class Batch:
    """Inputs of one step; `mask` is [batch, 1, seq, seq], `position` [batch, seq]."""

    ids: Tensor
    targets: Tensor
    weights: Tensor
    position: Tensor
    mask: Tensor


def _rows(docs: list[np.ndarray], rng: Random) -> dict[int, list[list[np.ndarray]]]:
    """Pack conversations into rows by length class: longest first, each where it fits best."""
    rng.shuffle(docs)
    docs = [d for d in docs if len(d) <= 256 or rng.random() < KEEP_LONG]
    rows: dict[int, list[list[np.ndarray]]] = {n: [] for n in LENGTHS}
    for at in range(0, len(docs), CHUNK):
        room_in: list[tuple[int, list[np.ndarray]]] = []
        for doc in sorted(docs[at : at + CHUNK], key=len, reverse=True):
            fits = [(room, i) for i, (room, _) in enumerate(room_in) if room >= len(doc)]
            if fits:
                room, i = min(fits)
                room_in[i][1].append(doc)
                room_in[i] = (room - len(doc), room_in[i][1])
            else:
                size = next(n for n in LENGTHS if len(doc) <= n)
                row = [doc]
                room_in.append((size - len(doc), row))
                rows[size].append(row)
    for packed in rows.values():
        rng.shuffle(packed)
    return rows


def _batch(rows: list[list[np.ndarray]], size: int, roles: dict[str, int]) -> Batch:
    ids = np.zeros((len(rows), size), dtype=np.int64)
    doc = np.full((len(rows), size), -1, dtype=np.int64)
    position = np.zeros((len(rows), size), dtype=np.int64)
    for r, row in enumerate(rows):
        at = 0
        for n, tokens in enumerate(row):
            ids[r, at : at + len(tokens)] = tokens
            doc[r, at : at + len(tokens)] = n
            position[r, at : at + len(tokens)] = np.arange(len(tokens))
            at += len(tokens)
    targets = np.zeros_like(ids)
    targets[:, :-1] = ids[:, 1:]
    same = np.zeros_like(ids, dtype=bool)
    same[:, :-1] = (doc[:, 1:] == doc[:, :-1]) & (doc[:, :-1] >= 0)
    weights = same & _assistant(ids, roles)
    allowed = (doc[:, :, None] == doc[:, None, :]) & np.tri(size, dtype=bool)[None]
    mask = torch.zeros(len(rows), 1, size, size)
    mask.masked_fill_(~torch.from_numpy(allowed)[:, None], -1e9)
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(targets),
        torch.from_numpy(weights.astype(np.float32)),
        torch.from_numpy(position),
        mask,
    )


def _assistant(ids: np.ndarray, roles: dict[str, int]) -> np.ndarray:
    """True where the next token is the assistant's: from its mark to the token before its end."""
    mark = np.zeros(ids.shape, dtype=np.int64)
    index = np.arange(ids.shape[1])[None, :]
    starts = np.isin(ids, list(roles.values()))
    mark = np.maximum.accumulate(np.where(starts, index, 0), axis=1)
    role = np.take_along_axis(ids, mark, axis=1)
    spoken: np.ndarray = (role == roles["<|assistant|>"]) & (ids != roles["<|end|>"])
    return spoken


def shard_index(path: Path) -> int:
    """Number in a shard's file name."""
    match = _SHARD.fullmatch(path.name)
    if match is None:
        raise ValueError(f"expected shard-<number>.npz, got {path.name}")
    return int(match[1])


def batches(
    folder: Path, first: int, rows_of_256: int, roles: dict[str, int], seed: int
) -> Iterator[tuple[int, Batch]]:
    """Endless batches with the index of their shard; shards in order, then again from 0.

    New shards may be added to the folder while training runs.
    """
    index = first
    while True:
        path = folder / f"shard-{index:04d}.npz"
        if not path.exists():
            index = min(shard_index(p) for p in folder.glob("shard-????.npz"))
            path = folder / f"shard-{index:04d}.npz"
        data = np.load(path)
        rng = Random(f"{seed} {index}")
        docs = np.split(data["ids"], np.cumsum(data["lengths"])[:-1])
        order: list[tuple[int, list[list[np.ndarray]]]] = []
        for size, rows in _rows(docs, rng).items():
            each = rows_of_256 * 256 // size
            order += [(size, rows[i : i + each]) for i in range(0, len(rows) - each + 1, each)]
        rng.shuffle(order)
        for size, rows in order:
            yield index, _batch(rows, size, roles)
        index += 1
