"""Text as a block of Markdown that it cannot close itself."""

from __future__ import annotations

import re


def fenced(text: str, language: str = "") -> str:
    """Return `text` between fences that are longer than any in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"
