"""A plain decoder over the shipped ONNX file: prefill one row, decode many, greedy.

For export checks and evaluation; it has no scheduler and no streaming. The KV cache of a
batch is one pair of arrays per layer which past and present share.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from tokenizers import Tokenizer

from .paths import SHIPPED, TOKENIZER
from .render import render

Floats = npt.NDArray[np.float32]


class Cache:
    """Keys and values of `rows` conversations with room for `room` tokens each."""

    def __init__(self, config: dict[str, Any], rows: int, room: int) -> None:
        size = (rows, config["n_kv_heads"], room, config["head_dim"])
        self.arrays: list[Floats] = [
            np.zeros(size, dtype=np.float32) for _ in range(2 * config["n_layers"])
        ]
        self.lengths: npt.NDArray[np.int32] = np.zeros(rows, dtype=np.int32)

    def put(self, row: int, other: Cache) -> None:
        """Copy the single row of `other` into `row`."""
        for mine, theirs in zip(self.arrays, other.arrays, strict=True):
            mine[row, :, : theirs.shape[2]] = theirs[0]
        self.lengths[row] = other.lengths[0]


class Reference:
    """The shipped model, ready to complete conversations."""

    def __init__(self, folder: Path = SHIPPED, threads: int = 1) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.tokenizer: Tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self.template = folder / "chat_template.jinja"
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def step(self, ids: npt.NDArray[np.int64], cache: Cache) -> Floats:
        """Feed ids [rows, seq] behind the cache's tokens; logits [rows, vocab]."""
        rows, seq = ids.shape
        after = cache.lengths + seq
        logits = np.empty((rows, self.config["vocab_size"]), dtype=np.float32)
        lengths = (after - 1).astype(np.int32)
        total = np.asarray(after.max(), dtype=np.int32)
        ids = np.ascontiguousarray(ids)
        bind = self.session.io_binding()
        for name, array in (
            ("input_ids", ids),
            ("seqlens_k", lengths),
            ("total_sequence_length", total),
        ):
            bind.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for n, array in enumerate(cache.arrays):
            layer, kind = n // 2, ("key", "value")[n % 2]
            bound = ("cpu", 0, np.float32, array.shape, array.ctypes.data)
            bind.bind_input(f"past_key_values.{layer}.{kind}", *bound)
            bind.bind_output(f"present.{layer}.{kind}", *bound)
        bind.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        self.session.run_with_iobinding(bind)
        cache.lengths = after.astype(np.int32)
        return logits

    def encode(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] | None = None
    ) -> list[int]:
        """Prompt tokens of a conversation whose next turn is the assistant's."""
        text = render(messages, tools, add_generation_prompt=True, template=self.template)
        return list(self.tokenizer.encode(text).ids)

    def complete(self, prompts: Sequence[Sequence[int]], max_tokens: int = 160) -> list[list[int]]:
        """Greedy answers, stop token included if reached; rows are decoded as one batch."""
        limit = int(self.config["max_context"])
        room = min(limit, max(len(p) for p in prompts) + max_tokens)
        cache = Cache(self.config, len(prompts), room)
        answers: list[list[int]] = []
        for row, prompt in enumerate(prompts):
            single = Cache(self.config, 1, len(prompt))
            logits = self.step(np.asarray([prompt], dtype=np.int64), single)
            cache.put(row, single)
            answers.append([int(logits[0].argmax())])
        stop = set(self.config["stop_ids"])
        live = [a[-1] not in stop for a in answers]
        for _ in range(max_tokens - 1):
            if not any(live) or int(cache.lengths.max()) >= room:
                break
            ids = np.asarray([[a[-1]] for a in answers], dtype=np.int64)
            best = self.step(ids, cache).argmax(axis=1)
            for row, answer in enumerate(answers):
                if live[row]:
                    answer.append(int(best[row]))
                    live[row] = answer[-1] not in stop
        return answers

    def answer(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] | None = None
    ) -> str:
        """The assistant's next turn as text; a tool call keeps its `<|call|>` mark."""
        return self.text(self.complete([self.encode(messages, tools)])[0])

    def text(self, ids: Sequence[int]) -> str:
        """Text of answer tokens without the stop token."""
        stop = set(self.config["stop_ids"])
        kept = [i for i in ids if i not in stop]
        return str(self.tokenizer.decode(kept, skip_special_tokens=False))
