"""How each token of the vocabulary was merged from two others, as llama.cpp's tokenizer needs it.

The ranks alone say it, but working it out takes a second that the user need not wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

NEVER = 1 << 30


def splits(tokens: Sequence[bytes]) -> bytes:
    """Return for each of `tokens`, which stand in the order of their ranks, how many
    bytes its first part has; 0 for a single byte.
    """
    ranks = {token: rank for rank, token in enumerate(tokens)}
    return bytes(_split(token, ranks) for token in tokens)


def _split(token: bytes, ranks: dict[bytes, int]) -> int:
    """Merge the bytes of `token` as byte-pair encoding does, until two parts are left."""
    parts = [token[i : i + 1] for i in range(len(token))]
    if len(parts) < 2:
        return 0
    while len(parts) > 2:
        pairs = [ranks.get(a + b, NEVER) for a, b in pairwise(parts)]
        first = pairs.index(min(pairs))
        parts[first : first + 2] = [parts[first] + parts[first + 1]]
    return len(parts[0])
