"""Tells when a small model has lost its way and says the same again and again."""

from __future__ import annotations

TIMES = 3
LEAST, MOST = 10, 300  # characters of what is repeated
LETTERS = 6  # a rule of a table has fewer


def is_looping(text: str) -> bool:
    """Tell whether `text` ends in the same words three times."""
    for size in range(LEAST, min(MOST, len(text) // TIMES) + 1):
        unit = text[-size:]
        if text.endswith(unit * TIMES) and len(set(unit)) >= LETTERS:
            return True
    return False
