"""From logits to token ids, for all rows of a step at once.

Each row is computed by the same operations whatever rows stand beside it, and draws from its
own generator, keyed by seed and choice: a seeded request gives the same tokens alone and in a
batch. The order is that of the usual engines: repetition penalty, presence and frequency
penalty and bias, temperature, top-k, top-p.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .plan import Plan

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
_BLOCK = 64
_COLDEST = 1e-30
"""Divisor for lower temperatures: greedy in effect, and no logit overflows."""
_AHEAD = 32
_FIRST_LOOK = 64


class Row:
    """What one choice remembers between its tokens.

    ``prompt`` counts for the repetition penalty only; ``banned`` ids are never chosen.
    """

    __slots__ = ("_counted", "_draws", "_generator", "_offset", "_seen", "heat", "plan")

    def __init__(
        self, plan: Plan, choice: int, vocab_size: int, prompt: Sequence[int], banned: Sequence[int]
    ) -> None:
        self.plan = plan
        self.heat = max(plan.temperature, _COLDEST)
        self._generator = np.random.Generator(
            np.random.PCG64(np.random.SeedSequence((plan.seed, choice)))
        )
        self._draws: list[float] = []
        self._offset: Floats | None = None
        self._seen: npt.NDArray[np.bool_] | None = None
        if plan.bias or banned or plan.presence_penalty or plan.frequency_penalty:
            self._offset = np.zeros(vocab_size, np.float32)
            for token, bias in plan.bias.items():
                self._offset[token] = bias
            self._offset[list(banned)] = -np.inf
        if plan.repetition_penalty != 1.0:
            self._seen = np.zeros(vocab_size, np.bool_)
            self._seen[list(prompt)] = True
        # Presence counts once per token: this remembers for which it has been taken.
        self._counted: set[int] = set()

    def adjust(self, logits: Floats) -> None:
        """Applies penalties and bias to this row's logits, in place."""
        if self._seen is not None:
            factor = np.float32(self.plan.repetition_penalty)
            penalised = np.where(logits > 0, logits / factor, logits * factor)
            np.copyto(logits, penalised, where=self._seen)
        if self._offset is not None:
            logits += self._offset

    def took(self, token: int) -> None:
        """Remembers a chosen token."""
        if self._seen is not None:
            self._seen[token] = True
        plan = self.plan
        if self._offset is not None and (plan.presence_penalty or plan.frequency_penalty):
            if token not in self._counted:
                self._counted.add(token)
                self._offset[token] -= plan.presence_penalty
            self._offset[token] -= plan.frequency_penalty

    def draw(self) -> float:
        """The next number of this choice, uniform in [0, 1)."""
        if not self._draws:
            self._draws = self._generator.random(_AHEAD).tolist()
            self._draws.reverse()
        return self._draws.pop()


def choose(logits: Floats, rows: Sequence[Row]) -> list[int]:
    """One token per row of ``logits`` [rows, vocab], which is changed in place.

    Raises FloatingPointError where the logits hold a NaN.
    """
    for n, row in enumerate(rows):
        row.adjust(logits[n])
    top = logits.max(axis=1, keepdims=True)
    # A NaN is its row's maximum and makes any sum NaN, so this looks at every logit.
    if math.isnan(top.sum()):
        raise FloatingPointError("the model's logits are not numbers (NaN)")
    warm = [n for n, row in enumerate(rows) if row.plan.temperature > 0]
    if len(warm) == len(rows):
        picks = _sample(logits, top, rows)
    else:
        picks = logits.argmax(axis=1).tolist()
        if warm:
            drawn = _sample(logits[warm], top[warm], [rows[n] for n in warm])
            for n, token in zip(warm, drawn, strict=True):
                picks[n] = token
    for row, token in zip(rows, picks, strict=True):
        row.took(token)
    return picks


def _sample(logits: Floats, top: Floats, rows: Sequence[Row]) -> list[int]:
    """Tokens of rows with a temperature; ``top`` is the largest logit of each."""
    heat = np.array([[row.heat] for row in rows], np.float32)
    weights = np.subtract(logits, top, out=logits)
    weights /= heat
    np.exp(weights, out=weights)
    blocks = np.add.reduceat(
        weights, np.arange(0, weights.shape[1], _BLOCK), axis=1, dtype=np.float64
    )
    tokens: list[int] = []
    for n, row in enumerate(rows):
        plan = row.plan
        if plan.top_k is None and plan.top_p == 1.0:
            tokens.append(_draw(weights[n], blocks[n], row.draw()))
        else:
            kept = _truncate(weights[n], plan.top_k, plan.top_p)
            at, _ = _invert(weights[n][kept], row.draw())
            tokens.append(int(kept[at]))
    return tokens


def _draw(weights: Floats, blocks: Doubles, draw: float) -> int:
    """The first token whose cumulative weight exceeds ``draw`` of the whole.

    Done in two levels, by sums of blocks and then within one block: summing up the whole row
    would cost more than all the rest of sampling.
    """
    block, rest = _invert(blocks, draw)
    start = block * _BLOCK
    within, _ = _invert(weights[start : start + _BLOCK], rest)
    return start + within


def _invert(weights: Floats | Doubles, draw: float) -> tuple[int, float]:
    """The first index whose cumulative weight exceeds ``draw`` (0..1) of the whole.

    With it, how far into that weight the draw falls (0..1).
    """
    sums = weights.cumsum(dtype=np.float64)
    whole = float(sums[-1])
    # The product may round up to the whole, behind the last token that has any weight.
    target = min(draw * whole, math.nextafter(whole, 0.0))
    at = int(sums.searchsorted(target, side="right"))
    before = float(sums[at - 1]) if at else 0.0
    return at, (target - before) / (float(sums[at]) - before)


def _truncate(weights: Floats, top_k: int | None, top_p: float) -> npt.NDArray[np.intp]:
    """Ids kept by top-k, then by top-p among those, heaviest first.

    The nucleus is the smallest set of tokens whose probability reaches ``top_p`` (Holtzman
    et al., https://arxiv.org/abs/1904.09751). Only as many tokens are sorted as are needed.
    """
    size = len(weights)
    if top_k is not None and top_k < size:
        order = _heaviest(weights, top_k)
        if top_p == 1.0:
            return order
        total = float(weights[order].sum(dtype=np.float64))
        return _nucleus(weights, order, top_p * total)
    goal = top_p * float(weights.sum(dtype=np.float64))
    look = _FIRST_LOOK
    while look < size:
        order = _heaviest(weights, look)
        if float(weights[order].sum(dtype=np.float64)) >= goal:
            return _nucleus(weights, order, goal)
        look *= 4
    return _nucleus(weights, _heaviest(weights, size), goal)


def _heaviest(weights: Floats, count: int) -> npt.NDArray[np.intp]:
    """The ``count`` heaviest ids in order; of equals the lower id comes first."""
    ids = np.arange(len(weights))
    if count < len(weights):
        ids = np.sort(np.argpartition(weights, len(weights) - count)[-count:])
    return ids[np.argsort(-weights[ids], kind="stable")]


def _nucleus(weights: Floats, order: npt.NDArray[np.intp], goal: float) -> npt.NDArray[np.intp]:
    sums = np.cumsum(weights[order], dtype=np.float64)
    return order[: int(sums.searchsorted(goal, side="left")) + 1]
