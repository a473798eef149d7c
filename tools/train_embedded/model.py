"""The transformer: decoder-only, RMSNorm, rotary positions, grouped queries, SwiGLU, tied ends.

Written for training; `export.py` writes the same computation as an ONNX graph and checks
that both agree.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """Sizes of the network."""

    vocab: int = 1536
    width: int = 192
    layers: int = 5
    heads: int = 6
    kv_heads: int = 2
    hidden: int = 512
    context: int = 1024
    rope_base: float = 10000.0
    eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        return asdict(self)


def rope_tables(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position, each [context, head_dim / 2]."""
    half = shape.head_dim // 2
    speed = shape.rope_base ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(shape.context, dtype=torch.float64)[:, None] * speed[None, :]
    return angle.cos().float(), angle.sin().float()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class Block(nn.Module):
    """Attention and feed-forward with their norms."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, kv = shape.width, shape.kv_heads * shape.head_dim
        self.norm1 = nn.Parameter(torch.ones(width))
        self.norm2 = nn.Parameter(torch.ones(width))
        self.qkv = nn.Linear(width, width + 2 * kv, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """[batch, seq, width] -> the same shape; `mask` is added to attention scores."""
        s = self.shape
        batch, seq, width = x.shape
        kv = s.kv_heads * s.head_dim
        q, k, v = self.qkv(F.rms_norm(x, (width,), self.norm1, s.eps)).split([width, kv, kv], -1)
        q = _rotate(q.view(batch, seq, s.heads, s.head_dim).transpose(1, 2), cos, sin)
        k = _rotate(k.view(batch, seq, s.kv_heads, s.head_dim).transpose(1, 2), cos, sin)
        v = v.view(batch, seq, s.kv_heads, s.head_dim).transpose(1, 2)
        groups = s.heads // s.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(heads.transpose(1, 2).reshape(batch, seq, width))
        gate, up = self.gate_up(F.rms_norm(x, (width,), self.norm2, s.eps)).chunk(2, -1)
        result: Tensor = x + self.down(F.silu(gate) * up)
        return result


class Model(nn.Module):
    """Token ids to hidden states and logits."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocab, shape.width)
        blocks = [Block(shape) for _ in range(shape.layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.Parameter(torch.ones(shape.width))
        nn.init.normal_(self.embed.weight, std=0.03)
        for block in blocks:
            nn.init.normal_(block.qkv.weight, std=0.04)
            nn.init.normal_(block.gate_up.weight, std=0.04)
            nn.init.zeros_(block.out.weight)
            nn.init.zeros_(block.down.weight)

    def forward(self, ids: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """Logits [batch, seq, vocab] of ids [batch, seq]."""
        return F.linear(self.hidden(ids, cos, sin, mask), self.embed.weight)

    def hidden(self, ids: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """Normalised final states [batch, seq, width]."""
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, cos, sin, mask)
        return F.rms_norm(x, (self.shape.width,), self.norm, self.shape.eps)

    def loss(
        self, ids: Tensor, targets: Tensor, weights: Tensor, cos: Tensor, sin: Tensor, mask: Tensor
    ) -> Tensor:
        """Cross entropy of the next token where `weights` is not zero, a scalar."""
        chosen = weights > 0
        states = self.hidden(ids, cos, sin, mask)[chosen]
        return F.cross_entropy(F.linear(states, self.embed.weight), targets[chosen])

    def count(self) -> int:
        """Number of parameters."""
        return sum(p.numel() for p in self.parameters())
