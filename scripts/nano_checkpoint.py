"""The checkpoint of nano, `acp_agent/engine/nano.bin.xz`: written from a model, read into one."""

# torch is no dependency of this project, so the type checker does not see it here.
# pyright: reportMissingImports=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from nano_model import EPSILON, ROPE_BASE, ROPE_FACTOR, ROPE_ORIGINAL, WINDOW, Nano
from torch import Tensor

from acp_agent.harmony.ranks import RANKS


def write(path: Path, model: Nano, vocabulary: list[int], merges: bytes) -> None:
    """Write the checkpoint: a line of JSON, the splits, the tensors, little-endian, all in xz.

    Weights are f16, except the router's, and all else is f32, as the GGUF will have them. The rows
    of `token_embd` and `output` are those of the small vocabulary, the first one for all others.
    """
    model.output.weight.detach()[0] = 0.0
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


def read(path: Path, model: Nano, vocabulary: list[int]) -> None:
    """Put the weights of a checkpoint into a model of the same shape.

    Of a token that the checkpoint does not know, the rows stay as they are.
    """
    line, _, body = lzma.decompress(path.read_bytes()).partition(b"\n")
    known = {token: row for row, token in enumerate(json.loads(line)["vocabulary"], 1)}
    pairs = [(new, known[t]) for new, t in enumerate(vocabulary, 1) if t in known]
    to, rows = (torch.tensor(column) for column in zip((0, 0), *pairs, strict=True))
    at = RANKS
    for name, tensor in _tensors(model):
        kind = torch.float16 if _is_half(name, tensor) else torch.float32
        by_token = name in ("token_embd.weight", "output.weight")
        shape = (len(known) + 1, *tensor.shape[1:]) if by_token else tensor.shape
        count = math.prod(shape)
        stored = torch.frombuffer(bytearray(body), dtype=kind, count=count, offset=at).view(shape)
        if by_token:
            tensor[to] = stored[rows].to(tensor.dtype)
        else:
            tensor.copy_(stored)
        at += stored.nbytes


def _is_half(name: str, tensor: Tensor) -> bool:
    return tensor.dim() > 1 and "gate_inp" not in name and not name.endswith(".bias")


def _tensors(model: Nano) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors themselves under the names that llama.cpp knows."""
    yield "token_embd.weight", model.embedding.weight.detach()
    yield "output.weight", model.output.weight.detach()
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
