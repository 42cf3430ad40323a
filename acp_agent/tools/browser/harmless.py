"""Text from anywhere made fit to be read: nothing in it moves a cursor, hides or turns around.

Pure. What is taken out is invisible, so nobody reads less; control tokens are no matter of this
module, for the codec encodes a tool's words as plain text whatever they spell.
"""

from __future__ import annotations

import re

# An escape sequence with its parameters (CSI, OSC and the like), of a terminal.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90])[^\x07\x1b\x9c]{0,200}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
# Controls but line feed and tab; marks that reorder a line, or have no width; and characters that
# spell hidden words (tags, supplementary variation selectors, U+FFF9 to U+FFFB).
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")


def harmless(text: str) -> str:
    """Return `text` without what no reader sees; line breaks become line feeds."""
    return _UNSEEN.sub("", _BREAKS.sub("\n", _ESCAPES.sub("", text)))


def one_line(text: str) -> str:
    """Return `text` harmless and on one line, runs of blanks made one."""
    return " ".join(harmless(text).split())


def page_text(text: str) -> str:
    """Return `text` harmless, and without the brackets that mark links and citations."""
    return harmless(text).translate(_BRACKETS)


def shortened(text: str, limit: int = 1024) -> str:
    """Return `text`, its end left out where it is longer than messages may be."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


_BRACKETS = str.maketrans({"【": "〖", "】": "〗", "◼": "◾"})
