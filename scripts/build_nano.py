"""Trains nano and writes its checkpoint, acp_agent/engine/nano.bin.xz.

Run it in an environment of its own, with this package, torch and numpy; see docs/nano.md.
"""

# torch is no dependency of this project, so the type checker does not see it here.
# pyright: reportMissingImports=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import argparse
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from nano_checkpoint import read, write
from nano_merges import splits
from nano_model import Nano, Shape
from nano_samples import Sample, Sampler, Span
from torch import Tensor
from torch.nn import functional as F

from acp_agent.harmony.ranks import RANKS
from acp_agent.harmony.vocab import SIZE, load_vocabulary

BATCH_TOKENS = 3072
OUTPUT = Path(__file__).parents[1] / "acp_agent" / "engine" / "nano.bin.xz"


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train; a `fresh` model gets short samples first."""

    steps: int
    rate: float
    seed: int
    fresh: bool


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
    if arguments.start:
        read(arguments.start, model, sampler.vocabulary)
    plan = Plan(arguments.steps, arguments.rate, arguments.seed, fresh=not arguments.start)
    train(model, sampler, plan)
    merges = splits([vocabulary.token_bytes(token) for token in range(RANKS)])
    write(arguments.output, model, sampler.vocabulary, merges)


def train(model: Nano, sampler: Sampler, plan: Plan) -> None:
    """Train with a learning rate that rises for some steps and then falls to nothing."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=plan.rate, betas=(0.9, 0.98), weight_decay=0.0
    )
    others = SIZE - len(sampler.vocabulary)
    started, mean = time.monotonic(), 0.0
    batches = Batches(sampler, plan.seed)
    for step in range(plan.steps):
        done = step / plan.steps
        rate = plan.rate * min(1.0, (step + 1) / 40)
        for group in optimizer.param_groups:
            group["lr"] = rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        stage = done if plan.fresh else 1.0
        # At first the many tokens of logit zero weigh little: what to say comes before how surely.
        loss, right, length = _loss(model, batches.next(stage), others ** min(1.0, stage / 0.3))
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
    print(f"{plan.steps} steps in {time.monotonic() - started:.0f} s, mean {mean:.5f}")


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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train nano, the demo model.")
    parser.add_argument("--steps", type=int, default=2300)
    parser.add_argument("--rate", type=float, default=5e-3, help="highest learning rate")
    parser.add_argument("--start", type=Path, help="a checkpoint to train further")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
