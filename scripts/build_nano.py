"""Trains nano and writes its checkpoint, acp_agent/engine/nano.bin.xz.

Run it in an environment of its own, with this package, torch and numpy; see docs/nano.md.
"""

# torch is no dependency of this project, so the type checker does not see it here.
# pyright: reportMissingImports=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import argparse
import json
import lzma
import math
import random
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from nano_merges import splits
from nano_model import EPSILON, ROPE_BASE, ROPE_FACTOR, ROPE_ORIGINAL, WINDOW, Nano, Shape
from nano_samples import Sample, Sampler, Span
from torch import Tensor
from torch.nn import functional as F

from acp_agent.harmony.ranks import RANKS
from acp_agent.harmony.vocab import SIZE, load_vocabulary

BATCH_TOKENS = 3072
LEARNING_RATE = 5e-3
OUTPUT = Path(__file__).parents[1] / "acp_agent" / "engine" / "nano.bin.xz"


def main() -> None:
    arguments = _arguments()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    vocabulary = load_vocabulary()
    sampler = Sampler(vocabulary.encode_trusted, arguments.seed)
    model = Nano(Shape(), len(sampler.vocabulary))
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{len(sampler.vocabulary)} tokens, {parameters} parameters", flush=True)
    train(model, sampler, arguments.steps)
    merges = splits([vocabulary.token_bytes(token) for token in range(RANKS)])
    write(arguments.output, model, sampler.vocabulary, merges)


def train(model: Nano, sampler: Sampler, steps: int) -> None:
    """Train for so many steps, with a learning rate that falls to nothing."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0
    )
    others = SIZE - len(sampler.vocabulary)
    started, mean = time.monotonic(), 0.0
    batches = Batches(sampler, 0)
    for step in range(steps):
        done = step / steps
        rate = LEARNING_RATE * min(1.0, (step + 1) / 40)
        for group in optimizer.param_groups:
            group["lr"] = rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        # At first the many tokens of logit zero weigh little: what to say comes before how surely.
        loss, right, length = _loss(model, batches.next(done), others ** min(1.0, done / 0.3))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        mean += (right - mean) * max(0.01, 1 / (step + 1))
        if step % 20 == 0:
            print(
                f"{time.monotonic() - started:5.0f} s, step {step}, length {length}:"
                f" loss {loss.item():.4f}, right {right:.4f}, mean {mean:.5f}",
                flush=True,
            )
    print(f"{steps} steps in {time.monotonic() - started:.0f} s, mean {mean:.5f}")


class Batches:
    """Batches of samples of like length, longer ones as the training goes on."""

    def __init__(self, sampler: Sampler, seed: int) -> None:
        self._sampler = sampler
        self._random = random.Random(seed)
        self._queue: list[list[Sample]] = []

    def next(self, done: float) -> list[Sample]:
        if not self._queue:
            self._queue = self._cut(self._span(done))
        return self._queue.pop()

    def _span(self, done: float) -> Span:
        if done < 0.15:
            return "short"
        odds = (8, 4, 0) if done < 0.4 else (5, 4, 2)
        spans: tuple[Span, ...] = ("short", "medium", "long")
        return self._random.choices(spans, odds)[0]

    def _cut(self, span: Span) -> list[list[Sample]]:
        pool = sorted((self._sampler.sample(span) for _ in range(24)), key=lambda s: len(s.ids))
        batches: list[list[Sample]] = [[]]
        for sample in pool:
            if batches[-1] and len(sample.ids) * (len(batches[-1]) + 1) > BATCH_TOKENS:
                batches.append([])
            batches[-1].append(sample)
        self._random.shuffle(batches)
        return batches


def _loss(model: Nano, batch: list[Sample], others: float) -> tuple[Tensor, float, int]:
    """Return the weighted loss, the share of learned tokens predicted right, and the length."""
    length = max(len(sample.ids) for sample in batch)
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    weights = torch.zeros(len(batch), length)
    for row, sample in enumerate(batch):
        ids[row, : len(sample.ids)] = torch.tensor(sample.ids)
        weights[row, : len(sample.ids)] = torch.tensor(sample.weights)
    states = model(ids)[:, :-1]
    learned = weights[:, 1:] > 0
    targets, weight = ids[:, 1:][learned], weights[:, 1:][learned]
    logits = model.logits(states[learned], others)
    loss = (F.cross_entropy(logits, targets, reduction="none") * weight).sum() / weight.sum()
    right = (logits.argmax(-1) == targets).float().mean().item()
    return loss, right, length


def write(path: Path, model: Nano, vocabulary: list[int], merges: bytes) -> None:
    """Write the checkpoint: a line of JSON, the splits, the tensors, little-endian, all in xz.

    Tensors of two and more dimensions are f16, the others f32, as the GGUF will have them. The rows
    of `token_embd` and `output` are those of the small vocabulary, the first one for all others.
    """
    tensors = dict(_tensors(model))
    header = {
        "shape": {
            **asdict(model.shape),
            "window": WINDOW,
            "rope_base": ROPE_BASE,
            "rope_factor": ROPE_FACTOR,
            "rope_original": ROPE_ORIGINAL,
            "epsilon": EPSILON,
        },
        "vocabulary": vocabulary,
        "tensors": [
            {"name": name, "shape": list(t.shape), "half": _is_half(name, t)}
            for name, t in tensors.items()
        ],
    }
    body = b"".join(
        (t.half() if _is_half(name, t) else t.float()).contiguous().numpy().tobytes()
        for name, t in tensors.items()
    )
    raw = json.dumps(header, separators=(",", ":")).encode() + b"\n" + merges + body
    part = path.with_suffix(".part")
    part.write_bytes(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME))
    part.replace(path)
    print(f"{path}: {path.stat().st_size} bytes")


def _is_half(name: str, tensor: Tensor) -> bool:
    return tensor.dim() > 1 and "gate_inp" not in name and not name.endswith(".bias")


def _tensors(model: Nano) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors under the names that llama.cpp knows."""
    yield "token_embd.weight", model.embedding.weight.detach()
    output = model.output.weight.detach().clone()
    output[0] = 0.0
    yield "output.weight", output
    yield "output_norm.weight", model.norm.weight.detach()
    for number, layer in enumerate(model.layers):
        attention, experts = layer.attention, layer.experts
        named = {
            "attn_norm.weight": layer.attention_norm.weight,
            "post_attention_norm.weight": layer.experts_norm.weight,
            "attn_sinks.weight": attention.sinks,
            "ffn_gate_exps.weight": experts.gate,
            "ffn_gate_exps.bias": experts.gate_bias,
            "ffn_up_exps.weight": experts.up,
            "ffn_up_exps.bias": experts.up_bias,
            "ffn_down_exps.weight": experts.down,
            "ffn_down_exps.bias": experts.down_bias,
        }
        for name, linear in (
            ("attn_q", attention.q),
            ("attn_k", attention.k),
            ("attn_v", attention.v),
            ("attn_output", attention.o),
            ("ffn_gate_inp", experts.router),
        ):
            named[f"{name}.weight"], named[f"{name}.bias"] = linear.weight, linear.bias
        for name, tensor in named.items():
            yield f"blk.{number}.{name}", tensor.detach()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train nano, the demo model.")
    parser.add_argument("--steps", type=int, default=2300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
