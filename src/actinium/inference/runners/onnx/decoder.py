"""The graph and its key/value buffer.

Past and present of every layer are the same memory, bound by address: the graph appends keys
and values in place and only logits leave it. Row r of the buffer is one sequence; a step of n
rows takes rows 0..n-1, a prompt is fed to one row. The graph's inputs and outputs are those of
the operator GroupQueryAttention
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from actinium.errors import ConfigError

from .folder import MODEL, ModelFolder

Floats = npt.NDArray[np.float32]


class _Binding:
    """Arrays that the graph reads and writes for a number of rows, bound by address."""

    __slots__ = ("_io", "_session", "ids", "lengths", "logits", "total")

    def __init__(self, session: Any, cache: Floats, row: int, rows: int, vocab_size: int) -> None:
        self._session = session
        self._io = session.io_binding()
        self.ids: npt.NDArray[np.int64] = np.zeros((rows, 0), np.int64)
        self.lengths = np.zeros(rows, np.int32)
        self.total = np.zeros((), np.int32)
        self.logits: Floats = np.zeros((rows, vocab_size), np.float32)
        for name, array in (("seqlens_k", self.lengths), ("total_sequence_length", self.total)):
            self._bind(self._io.bind_input, name, array)
        self._bind(self._io.bind_output, "logits", self.logits)
        for layer in range(len(cache) // 2):
            for part, kind in enumerate(("key", "value")):
                held = cache[2 * layer + part, row : row + rows]
                self._bind(self._io.bind_input, f"past_key_values.{layer}.{kind}", held)
                self._bind(self._io.bind_output, f"present.{layer}.{kind}", held)

    def feed(self, ids: Sequence[Sequence[int]]) -> None:
        """Sets the tokens of every row; binds anew where their number is another."""
        if self.ids.shape[1] != len(ids[0]):
            self.ids = np.zeros((len(self.lengths), len(ids[0])), np.int64)
            self._bind(self._io.bind_input, "input_ids", self.ids)
        self.ids[: len(ids)] = ids

    def run(self) -> None:
        """One pass of the graph."""
        self.total[...] = int(self.lengths.max()) + 1
        self._session.run_with_iobinding(self._io)

    @staticmethod
    def _bind(bind: Callable[..., None], name: str, array: npt.NDArray[Any]) -> None:
        bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)


class Decoder:
    """A loaded model with room for ``slots`` sequences of ``context`` tokens.

    Memory: 2 * layers * slots * kv_heads * context * head_dim * 4 bytes, touched as it fills.
    ``least_rows`` is the smallest batch in which a row's logits have the same bits as in a full
    one (see :meth:`calibrate`); smaller steps are filled up to it. Raises ConfigError where the
    file is no such model. Not safe for threads: one thread steps it.
    """

    def __init__(self, folder: ModelFolder, slots: int, context: int, threads: int) -> None:
        self.config = folder.config
        self.slots = slots
        self.context = context
        self.least_rows = 1
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin would take the core that the event loop needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = folder.file(MODEL)
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has no common base class for its errors
            raise ConfigError(f"{path}: onnxruntime cannot load it: {error}") from error
        self._check_inputs(str(path))
        shape = (
            2 * self.config.n_layers,
            slots,
            self.config.n_kv_heads,
            context,
            self.config.head_dim,
        )
        self.cache: Floats = np.zeros(shape, np.float32)
        self._steps: dict[int, _Binding] = {}
        self._rows: dict[int, _Binding] = {}

    def prefill(self, row: int, ids: Sequence[int], start: int) -> Floats:
        """Feeds ``ids`` at positions ``start``... of ``row``; logits [1, vocab] of the last.

        They are valid, and may be changed, until the row is fed again.
        """
        binding = self._rows.get(row)
        if binding is None:
            binding = self._rows[row] = self._binding(row, 1)
        binding.feed([ids])
        binding.lengths[0] = start + len(ids) - 1
        binding.run()
        return binding.logits

    def decode(self, tokens: Sequence[int], lengths: Sequence[int], behind: int = 0) -> Floats:
        """Feeds one token to each of rows 0..n-1, of which ``lengths`` positions are filled.

        ``behind`` positions of row n are filled and kept; of the rows after it, none. The
        logits [n, vocab] are valid, and may be changed, until the next step.
        """
        count = len(tokens)
        rows = max(count, self.least_rows)
        binding = self._steps.get(rows)
        if binding is None:
            binding = self._steps[rows] = self._binding(0, rows)
        binding.feed([[token] for token in tokens])
        binding.lengths[:count] = lengths
        if rows > count:
            # Rows that only fill the batch take any token at one position behind what they
            # hold; whoever fills that row further writes the position before it is read.
            binding.lengths[count:] = 0
            binding.lengths[count] = behind
        binding.run()
        return binding.logits[:count]

    def copy(self, source: int, target: int, length: int) -> None:
        """Copies the first ``length`` positions of a row to another."""
        self.cache[:, target, :, :length] = self.cache[:, source, :, :length]

    def calibrate(self) -> int:
        """Finds and sets ``least_rows`` by comparing bits; returns it.

        Matrix kernels may sum in another order when a batch is small. Each size is compared
        with the full batch on this very machine; the rows are left filled with a test.
        """
        generator = np.random.Generator(np.random.PCG64(1))
        size = self.config.vocab_size
        lengths = [min(3 + 5 * row, self.context - 1) for row in range(self.slots)]
        for row, length in enumerate(lengths):
            self.prefill(row, generator.integers(0, size, length).tolist(), 0)
        # A full batch also differs from a small one by the longest row it may hold.
        lengths[-1] = self.context - 1
        tokens = generator.integers(0, size, self.slots).tolist()
        self.least_rows = 1
        full = self.decode(tokens, lengths).copy()
        for rows in range(self.slots - 1, 0, -1):
            if not np.array_equal(self.decode(tokens[:rows], lengths[:rows]), full[:rows]):
                self.least_rows = rows + 1
                break
        return self.least_rows

    def _binding(self, row: int, rows: int) -> _Binding:
        return _Binding(self._session, self.cache, row, rows, self.config.vocab_size)

    def _check_inputs(self, path: str) -> None:
        layers = range(self.config.n_layers)
        kinds = ("key", "value")
        inputs = {"input_ids", "seqlens_k", "total_sequence_length"}
        inputs |= {f"past_key_values.{i}.{kind}" for i in layers for kind in kinds}
        outputs = {"logits"} | {f"present.{i}.{kind}" for i in layers for kind in kinds}
        for what, expected, nodes in (
            ("inputs", inputs, self._session.get_inputs()),
            ("outputs", outputs, self._session.get_outputs()),
        ):
            found = {node.name for node in nodes}
            if found != expected:
                raise ConfigError(
                    f"{path}: its {what} are not those of config.json: missing "
                    f"{sorted(expected - found)}, unknown {sorted(found - expected)}"
                )
