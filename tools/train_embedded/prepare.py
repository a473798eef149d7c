"""Make the tokenizer and shards of training text: `python -m train_embedded.prepare`.

A shard holds whole conversations as token ids with their lengths; seeds of different
shards never overlap, and no seed reaches the range kept for evaluation.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from . import bpe, tokenizer_check
from .data.mixture import conversation, lesson
from .paths import SHIPPED, TOKENIZER
from .render import SPECIAL, render

SHARD = 5_000
LESSON_SHARDS = 3
MAX_TOKENS = 1024


def texts(first: int, count: int) -> Iterator[str]:
    """Rendered conversations of consecutive seeds, with many lessons first and fewer later."""
    for seed in range(first, first + count):
        easy = seed % 3 > 0 if seed < LESSON_SHARDS * SHARD else seed % 2 == 0
        talk = lesson(seed) if easy else conversation(seed)
        yield render(talk["messages"], talk["tools"])


def _plain(text: str) -> str:
    for token in SPECIAL:
        text = text.replace(token, "\n")
    return text


def write_shard(tokenizer: Tokenizer, index: int, out: Path) -> int:
    """Tokenise one shard; returns its number of tokens."""
    ids: list[np.ndarray] = []
    lengths: list[int] = []
    batch: list[str] = []
    for text in texts(index * SHARD, SHARD):
        batch.append(text)
        if len(batch) == 1000:
            for encoding in tokenizer.encode_batch(batch):
                if len(encoding.ids) <= MAX_TOKENS:
                    ids.append(np.asarray(encoding.ids, dtype=np.uint16))
                    lengths.append(len(encoding.ids))
            batch.clear()
    flat = np.concatenate(ids)
    np.savez(out / f"shard-{index:04d}.tmp.npz", ids=flat, lengths=np.asarray(lengths))
    (out / f"shard-{index:04d}.tmp.npz").rename(out / f"shard-{index:04d}.npz")
    return len(flat)


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for shards")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--first", type=int, default=0, help="index of the first shard")
    parser.add_argument("--vocab", type=int, default=1536)
    parser.add_argument("--tokenizer", type=Path, default=SHIPPED / TOKENIZER)
    parser.add_argument("--new-tokenizer", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.new_tokenizer or not args.tokenizer.exists():
        tokenizer = bpe.train((_plain(t) for t in texts(0, 15_000)), args.vocab)
        tokenizer.save(str(args.tokenizer))
        print(f"tokenizer: {tokenizer.get_vocab_size()} tokens -> {args.tokenizer}")
    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    tokenizer_check.check(tokenizer)
    total = 0
    for index in range(args.first, args.first + args.shards):
        start = time.time()
        total += write_shard(tokenizer, index, args.out)
        print(f"shard {index}: {total:,} tokens so far ({time.time() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
