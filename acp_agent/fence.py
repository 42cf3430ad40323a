"""Text as a block of Markdown that it cannot close itself."""

from __future__ import annotations

import re

from acp_agent.plain import plain


def fenced(text: str, language: str = "") -> str:
    """Return `text`, made plain, between fences that are longer than any in it."""
    text = plain(text).removesuffix(
        "\n"
    )  # first: what is taken out between backticks would make them a fence
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def unfenced(text: str) -> str:
    """Return the text of a block as `fenced` makes it, for where no Markdown is shown."""
    found = re.fullmatch(r"(`{3,})[^`\n]*\n(.*)\n\1", text, re.DOTALL)
    return found[2] if found else text
