"""Text as a block of Markdown that it cannot close itself."""

from __future__ import annotations

import re

from acp_agent.plain import plain


def fenced(text: str, language: str = "") -> str:
    """Return `text`, made plain, between fences that are longer than any in it."""
    text = plain(text)  # first: what is taken out between backticks would make them a fence
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"
