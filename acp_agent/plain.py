"""Text from strangers made plain: nothing that a terminal obeys, nothing that looks like another.

Control tokens of Harmony need nothing here: wherever text meets the model, the encoder writes a
spelled `<|end|>` as text.
"""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-~])"
)
# Control characters, marks that turn the direction of writing, what has no width, tag characters,
# half surrogate pairs. The joiners stay: they hold emoji and words of some scripts together.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


def plain(text: str) -> str:
    """Return `text` without escape sequences, and a mark for every other unseen character."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return _UNSEEN.sub("\ufffd", _ESCAPES.sub("", text))


def named(text: str) -> str:
    """Return a name on one line, a mark for every character that is not seen.

    Blanks stay what they are, for there are file names with unusual ones.
    """
    return _UNSEEN.sub("\ufffd", text.replace("\n", "\ufffd").replace("\t", "\ufffd"))


def one_line(text: str, limit: int) -> str:
    """Return `text` as one plain line of at most `limit` characters."""
    line = " ".join(plain(text[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
