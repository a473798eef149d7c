"""From logits to token ids, for all rows of a step at once.

Each row is computed by the same operations whatever rows stand beside it, and draws from its
own generator, keyed by seed and choice: a seeded request gives the same tokens alone and in a
batch. The order is that of the usual engines: repetition penalty, presence and frequency
penalty and bias, temperature, top-k, top-p.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

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
    ``adjusts`` says whether :meth:`adjust` and :meth:`took` have anything to do.
    """

    __slots__ = (
        "_counted",
        "_draws",
        "_generator",
        "_offset",
        "_seen",
        "adjusts",
        "banned",
        "heat",
        "plan",
    )

    def __init__(
        self, plan: Plan, choice: int, vocab_size: int, prompt: Sequence[int], banned: Sequence[int]
    ) -> None:
        self.plan = plan
        self.banned = tuple(banned)
        self.heat = max(plan.temperature, _COLDEST)
        self._generator = np.random.Generator(
            np.random.PCG64(np.random.SeedSequence((plan.seed, choice)))
        )
        self._draws: list[float] = []
        self._offset: Floats | None = None
        self._seen: npt.NDArray[np.bool_] | None = None
        if plan.bias or plan.presence_penalty or plan.frequency_penalty:
            self._offset = np.zeros(vocab_size, np.float32)
            for token, bias in plan.bias.items():
                self._offset[token] = bias
        if plan.repetition_penalty != 1.0:
            self._seen = np.zeros(vocab_size, np.bool_)
            self._seen[list(prompt)] = True
        self.adjusts = self._offset is not None or self._seen is not None
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


Sampler = Callable[[Floats, Sequence[Row]], list[int]]
"""Chooses one token for each row of logits [rows, vocab], which it may change. It is called in the
thread that steps the model; what it raises fails the requests of the step."""


def adjusted(logits: Floats, rows: Sequence[Row]) -> None:
    """Applies each row's penalties, bias and bans to its logits, in place."""
    for n, row in enumerate(rows):
        if row.adjusts:
            row.adjust(logits[n])
    bans = [(n, token) for n, row in enumerate(rows) for token in row.banned]
    if bans:
        logits[tuple(zip(*bans, strict=True))] = -np.inf


def restrict(logits: Floats, allowed: Sequence[int]) -> None:
    """Leaves only the allowed ids of one row, in place."""
    kept = logits[allowed]
    logits.fill(-np.inf)
    logits[allowed] = kept


def choose(logits: Floats, rows: Sequence[Row]) -> list[int]:
    """One token per row of ``logits`` [rows, vocab], which is changed in place.

    Raises FloatingPointError where the logits hold a NaN.
    """
    adjusted(logits, rows)
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
        if row.adjusts:
            row.took(token)
    return picks


def _sample(logits: Floats, top: Floats, rows: Sequence[Row]) -> list[int]:
    """Tokens of rows with a temperature; ``top`` is the largest logit of each."""
    heat = np.array([[row.heat] for row in rows], np.float32)
    weights = np.subtract(logits, top, out=logits)
    weights /= heat
    np.exp(weights, out=weights)
    sums = np.add.reduceat(
        weights, np.arange(0, weights.shape[1], _BLOCK), axis=1, dtype=np.float64
    ).cumsum(axis=1)
    tokens: list[int] = []
    for n, (row, blocks) in enumerate(zip(rows, sums.tolist(), strict=True)):
        plan = row.plan
        if plan.top_k is None and plan.top_p == 1.0:
            tokens.append(_draw(weights[n], blocks, row.draw()))
        else:
            order, kept = _truncate(weights[n], blocks[-1], plan.top_k, plan.top_p)
            target = _target(kept[-1], row.draw())
            tokens.append(int(order[kept.searchsorted(target, side="right")]))
    return tokens


def _draw(weights: Floats, blocks: list[float], draw: float) -> int:
    """The first token whose cumulative weight exceeds ``draw`` of the whole.

    Done in two levels, by the cumulative sums of ``blocks`` and then within one block: summing
    up the whole row would cost more than all the rest of sampling.
    """
    target = _target(blocks[-1], draw)
    block = bisect_right(blocks, target)
    before = blocks[block - 1] if block else 0.0
    start = block * _BLOCK
    sums = weights[start : start + _BLOCK].cumsum(dtype=np.float64)
    # How far the draw falls into the block, since the two ways of summing round differently.
    within = _target(sums[-1], (target - before) / (blocks[block] - before))
    return start + int(sums.searchsorted(within, side="right"))


def _target(whole: float, draw: float) -> float:
    """``draw`` (0..1) of ``whole``, and less than it.

    The product may round up to the whole, behind the last token that has any weight.
    """
    return min(draw * whole, math.nextafter(whole, 0.0))


def _truncate(
    weights: Floats, whole: float, top_k: int | None, top_p: float
) -> tuple[npt.NDArray[np.intp], Doubles]:
    """Ids kept by top-k, then by top-p among those, heaviest first, and their running sums.

    The nucleus is the smallest set of tokens whose probability reaches ``top_p`` (Holtzman
    et al., https://arxiv.org/abs/1904.09751). Only as many tokens are sorted as are needed.
    """
    size = len(weights)
    if top_k is not None and top_k < size:
        order, sums = _heaviest(weights, top_k)
        return _nucleus(order, sums, top_p * float(sums[-1])) if top_p < 1.0 else (order, sums)
    look = _FIRST_LOOK
    while True:
        order, sums = _heaviest(weights, look)
        if look >= size or sums[-1] >= top_p * whole:
            return _nucleus(order, sums, top_p * whole)
        look *= 4


def _heaviest(weights: Floats, count: int) -> tuple[npt.NDArray[np.intp], Doubles]:
    """The ``count`` heaviest ids and their running sums; of equals the lower id comes first."""
    ids = np.arange(len(weights))
    if count < len(weights):
        ids = np.sort(np.argpartition(weights, len(weights) - count)[-count:])
    found = weights[ids]
    order = np.argsort(-found, kind="stable")
    return ids[order], found[order].cumsum(dtype=np.float64)


def _nucleus(
    order: npt.NDArray[np.intp], sums: Doubles, goal: float
) -> tuple[npt.NDArray[np.intp], Doubles]:
    kept = int(sums.searchsorted(goal, side="left")) + 1
    return order[:kept], sums[:kept]
