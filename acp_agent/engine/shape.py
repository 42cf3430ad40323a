"""What a GGUF header says about the memory that its model will take; the arithmetic is pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from acp_agent.harmony.gguf import Value, read_values

MIB = 1 << 20
# Bytes that a value of the context takes, by the name of its type (blocks of 32 with their scales).
CACHE_BYTES = {
    "f32": 4.0,
    "f16": 2.0,
    "bf16": 2.0,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
    "iq4_nl": 18 / 32,
}
MICRO_BATCH = 512  # llama.cpp's own
WINDOWED = ("gpt-oss", "gptoss")  # every second layer looks at a window only
LEAST_WORK, MOST_WORK = 128 * MIB, 768 * MIB  # what computing takes besides weights and context


@dataclass(frozen=True, slots=True)
class Cache:
    """How an engine keeps its context."""

    type_k: str = "f16"
    type_v: str = "f16"
    parallel: int = 1
    ubatch: int = 0
    swa_full: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """A model as its header tells it; `weights` in bytes, `key` and `value` are widths of a layer.

    A header that does not say the widths gives zeros: its context is then taken to weigh nothing.
    """

    name: str
    weights: int
    layers: int = 0
    windowed: int = 0
    key: int = 0
    value: int = 0
    window: int = 0
    trained: int = 0

    def context_bytes(self, tokens: int, cache: Cache) -> int:
        """Return what a context of so many tokens takes."""
        row = self.key * CACHE_BYTES[cache.type_k] + self.value * CACHE_BYTES[cache.type_v]
        reach = self.window * cache.parallel + (cache.ubatch or MICRO_BATCH)
        seen = tokens if cache.swa_full else min(tokens, reach)
        return int(row * ((self.layers - self.windowed) * tokens + self.windowed * seen))

    def need(self, tokens: int, cache: Cache) -> int:
        """Return what serving with such a context takes, all together."""
        work = min(MOST_WORK, max(LEAST_WORK, self.weights // 8))
        return self.weights + work + self.context_bytes(tokens, cache)


def read_shape(path: Path) -> Shape:
    """Return the shape of a GGUF file, or of all parts of one. Raises OSError, ValueError."""
    values = read_values(path)
    kind = values.get("general.architecture")
    layers = _number(values, f"{kind}.block_count")
    heads = _heads(values, kind, layers)
    length = f"{kind}.attention.key_length", f"{kind}.attention.value_length"
    window = _number(values, f"{kind}.attention.sliding_window")
    return Shape(
        path.name,
        sum(part.stat().st_size for part in _parts(path)),
        layers,
        layers // 2 if window and kind in WINDOWED else 0,
        heads * (_number(values, length[0]) or _head_size(values, kind)),
        heads * (_number(values, length[1]) or _head_size(values, kind)),
        window,
        _number(values, f"{kind}.context_length"),
    )


def _heads(values: Mapping[str, Value], kind: Value | None, layers: int) -> int:
    """Return the key heads of a layer; the mean, where the header lists each layer's."""
    heads = values.get(f"{kind}.attention.head_count_kv")
    if isinstance(heads, list):
        return -(-sum(heads) // max(1, layers))
    return int(heads) if isinstance(heads, int) else 0


def _head_size(values: Mapping[str, Value], kind: Value | None) -> int:
    heads = _number(values, f"{kind}.attention.head_count")
    return _number(values, f"{kind}.embedding_length") // heads if heads else 0


def _number(values: Mapping[str, Value], key: str) -> int:
    value = values.get(key)
    return value if isinstance(value, int) else 0


def _parts(path: Path) -> list[Path]:
    found = re.fullmatch(r"(.*-)\d{5}(-of-\d{5}\.gguf)", path.name)
    if found is None:
        return [path]
    return [
        part
        for part in path.parent.iterdir()
        if part.name.startswith(found[1]) and part.name.endswith(found[2])
    ]
