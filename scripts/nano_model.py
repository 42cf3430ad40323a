"""The gpt-oss architecture at toy size, in torch, with the arithmetic of llama.cpp's graph of it.

Attention with sinks, every other layer in a window; YaRN positions; a mixture of experts with
clamped SwiGLU. Needs torch, which the package itself never does.
"""

# torch is no dependency of this project, so the type checker does not see it here.
# pyright: reportMissingImports=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportUntypedBaseClass=false
# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW = 128
# gpt-oss has 4,096 as its original length. A longer one leaves more frequencies as they are, and a
# model this small needs them to tell a near call from a far one.
ROPE_BASE, ROPE_FACTOR, ROPE_ORIGINAL = 150000.0, 32.0, 65536
EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of the model, in llama.cpp's words."""

    hidden: int = 64
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_size: int = 32
    experts: int = 4
    experts_used: int = 2
    feed_forward: int = 48


class Norm(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON) * self.weight


class Attention(nn.Module):
    def __init__(self, shape: Shape, windowed: bool) -> None:
        super().__init__()
        self.shape, self.windowed = shape, windowed
        queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
        self.q = nn.Linear(shape.hidden, queries)
        self.k = nn.Linear(shape.hidden, keys)
        self.v = nn.Linear(shape.hidden, keys)
        self.o = nn.Linear(queries, shape.hidden)
        self.sinks = nn.Parameter(torch.zeros(shape.heads))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        q = _rotate(self._split(self.q(x)), cos, sin) / math.sqrt(self.shape.head_size)
        k = _rotate(self._split(self.k(x)), cos, sin)
        v = self._split(self.v(x))
        groups = self.shape.heads // self.shape.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        mixed = self._in_window(q, k, v) if self.windowed else self._over_all(q, k, v)
        return self.o(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.shape.head_size)).transpose(1, 2)

    def _over_all(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (F.pad(t, (0, 0, 1, 0)) for t in (q, k, v))
        q, k, v = self._with_sink(q, k, v)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
        return mixed[:, :, 1:, : self.shape.head_size]

    def _in_window(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend in blocks of one window, each to itself and to the block before it."""
        batch, _, length, _ = q.shape
        blocks = -(-length // WINDOW)
        pad = (0, 0, 0, blocks * WINDOW - length)
        q = F.pad(q, pad).unflatten(2, (blocks, WINDOW)).transpose(1, 2).flatten(0, 1)
        k, v = (_with_previous(F.pad(t, pad), blocks).flatten(0, 1) for t in (k, v))
        k, v = (F.pad(t, (0, 0, 1, 0)) for t in (k, v))
        q, k, v = self._with_sink(q, k, v)
        seen = _window_mask(blocks).repeat(batch, 1, 1).unsqueeze(1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=1.0)
        mixed = mixed.unflatten(0, (batch, blocks)).transpose(1, 2).flatten(2, 3)
        return mixed[:, :, :length, : self.shape.head_size]

    def _with_sink(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Make the first key, which is all zeros, score the sink against every query.

        One more dimension does that: 1 in the queries, the sink in the first key, 0 in the others.
        """
        sinks = self.sinks.view(1, -1, 1, 1).expand(k.shape[0], -1, 1, 1)
        q = torch.cat([q, torch.ones_like(q[..., :1])], -1)
        k = torch.cat([k, F.pad(sinks, (0, 0, 0, k.shape[2] - 1))], -1)
        return q, k, F.pad(v, (0, 1))


class Experts(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.used = shape.experts_used
        count, inner, outer = shape.experts, shape.feed_forward, shape.hidden
        self.router = nn.Linear(outer, count)
        self.gate = nn.Parameter(torch.randn(count, inner, outer) * 0.1)
        self.up = nn.Parameter(torch.randn(count, inner, outer) * 0.1)
        self.down = nn.Parameter(torch.randn(count, outer, inner) * 0.1)
        self.gate_bias = nn.Parameter(torch.zeros(count, inner))
        self.up_bias = nn.Parameter(torch.zeros(count, inner))
        self.down_bias = nn.Parameter(torch.zeros(count, outer))

    def forward(self, x: Tensor) -> Tensor:
        """Compute all experts, which is cheap at this size, and weigh the chosen ones."""
        routes = self.router(x)
        best, which = routes.topk(self.used, -1)
        share = torch.zeros_like(routes).scatter(-1, which, best.softmax(-1))
        gate = F.linear(x, self.gate.flatten(0, 1)).unflatten(-1, self.gate_bias.shape)
        up = F.linear(x, self.up.flatten(0, 1)).unflatten(-1, self.up_bias.shape)
        gate = (gate + self.gate_bias).clamp(max=7)
        up = (up + self.up_bias).clamp(-7, 7)
        inner = (up + 1) * gate * torch.sigmoid(1.702 * gate) * share.unsqueeze(-1)
        down = self.down.permute(1, 0, 2).flatten(1)
        return F.linear(inner.flatten(-2), down) + share @ self.down_bias


class Layer(nn.Module):
    def __init__(self, shape: Shape, windowed: bool) -> None:
        super().__init__()
        self.attention_norm, self.experts_norm = Norm(shape.hidden), Norm(shape.hidden)
        self.attention, self.experts = Attention(shape, windowed), Experts(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin)
        return x + self.experts(self.experts_norm(x))


class Nano(nn.Module):
    """Token numbers of the small vocabulary in, its last hidden states out."""

    def __init__(self, shape: Shape, tokens: int) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(tokens + 1, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape, n % 2 == 0) for n in range(shape.layers))
        self.norm = Norm(shape.hidden)
        self.output = nn.Linear(shape.hidden, tokens + 1, bias=False)
        self.frequencies, self.scale = _yarn(shape.head_size)

    def forward(self, ids: Tensor) -> Tensor:
        angles = torch.arange(ids.shape[1]).float()[:, None] * self.frequencies
        cos, sin = angles.cos() * self.scale, angles.sin() * self.scale
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)

    def logits(self, states: Tensor, others: float) -> Tensor:
        """Return the logits, number 0 standing for `others` tokens of logit zero each."""
        known = self.output(states)[..., 1:]
        rest = torch.full_like(known[..., :1], math.log(others))
        return torch.cat([rest, known], -1)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def _with_previous(x: Tensor, blocks: int) -> Tensor:
    split = x.unflatten(2, (blocks, WINDOW)).transpose(1, 2)
    previous = F.pad(split, (0, 0, 0, 0, 0, 0, 1, 0))[:, :-1]
    return torch.cat([previous, split], 3)


def _window_mask(blocks: int) -> Tensor:
    """Return what each block sees: the sink, and at most `WINDOW` tokens up to itself."""
    row = torch.arange(WINDOW)[:, None] + WINDOW
    column = torch.arange(2 * WINDOW)[None]
    seen = ((column <= row) & (row - column < WINDOW)).repeat(blocks, 1, 1)
    seen[0] &= column >= WINDOW
    return F.pad(seen, (1, 0), value=True)


def _yarn(size: int) -> tuple[Tensor, float]:
    """Return frequencies and scale of YaRN (arXiv 2309.00071)."""
    frequencies = ROPE_BASE ** -(torch.arange(0, size, 2).float() / size)

    def dimension(turns: float) -> float:
        turn = ROPE_ORIGINAL / (turns * 2 * math.pi)
        return size * math.log(turn) / (2 * math.log(ROPE_BASE))

    low, high = max(dimension(32.0), 0.0), min(dimension(1.0), size - 1)
    ramp = ((torch.arange(size // 2).float() - low) / max(high - low, 1e-3)).clamp(0, 1)
    kept = 1 - ramp
    scaled = frequencies / ROPE_FACTOR * ramp + frequencies * kept
    return scaled, 0.1 * math.log(ROPE_FACTOR) + 1.0
