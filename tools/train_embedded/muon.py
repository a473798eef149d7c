"""Muon: momentum whose matrix updates are made orthogonal by Newton-Schulz iterations.

It needs roughly half the tokens of AdamW on small transformers. Matrices of one shape are
handled together in one batched product. Source: Keller Jordan et al., "Muon" (2024).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def orthogonal(g: Tensor, steps: int = 5) -> Tensor:
    """Nearest semi-orthogonal matrices (approximately) of a batch [n, rows, columns]."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x: Tensor = g / (g.norm(dim=(1, 2), keepdim=True) + 1e-7)
    tall = g.shape[1] > g.shape[2]
    if tall:
        x = x.transpose(1, 2)
    for _ in range(steps):
        s = x @ x.transpose(1, 2)
        x = a * x + (b * s + c * (s @ s)) @ x
    return x.transpose(1, 2) if tall else x


class Muon(torch.optim.Optimizer):
    """For the weight matrices only; embeddings and norms belong to AdamW."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.02
    ) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One update."""
        for group in self.param_groups:
            shapes: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                shapes[tuple(p.shape)].append(p)
            for shape, params in shapes.items():
                updates = []
                for p in params:
                    grad, state = p.grad, self.state[p]
                    if grad is None:
                        raise ValueError("expected a gradient for every matrix")
                    if not state:
                        state["m"] = torch.zeros_like(p)
                    state["m"].lerp_(grad, 1 - group["momentum"])
                    updates.append(grad.lerp(state["m"], group["momentum"]))
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                for p, u in zip(params, orthogonal(torch.stack(updates)), strict=True):
                    p.mul_(1 - group["lr"] * group["decay"]).add_(u, alpha=-group["lr"] * scale)
        return None
