"""Citations (`【3†L9-L11】`) in an answer, rewritten to Markdown links while it streams. Pure.

Only what may become a citation is held back; whatever the pieces, the text is the same as of the
whole. Citations of pages that have no address (searches, unknown cursors) stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from acp_agent.tools.browser.harmless import one_line

# Bounded: 【 is a bracket like others in Chinese and Japanese, and must not hold back an answer.
_CITATION = re.compile(r"【([0-9]{1,4})†[^†【】\n]{1,80}(?:†[^†【】\n]{1,120})?】")
_BEGINNING = re.compile(
    r"【(?:[0-9]{0,4}|[0-9]{1,4}†(?:[^†【】\n]{0,80}|[^†【】\n]{1,80}†[^†【】\n]{0,120}))"
)
_UNSAFE = "()<>\\\"'` |"


class Citations:
    """Rewrites one message; `address` gives the URL of a cursor, "" if it has none."""

    def __init__(self, address: Callable[[int], str]) -> None:
        self._address = address
        self._held = ""
        self._blank = True  # nothing, or white space, stands before

    def feed(self, text: str) -> str:
        """Take the next piece of the message and return what can be shown now."""
        text = self._held + text
        self._held = ""
        shown: list[str] = []
        while (start := text.find("【")) >= 0:
            self._add(shown, text[:start])
            text = text[start:]
            citation = _CITATION.match(text)
            if citation is None and _BEGINNING.fullmatch(text):
                self._held = text
                return "".join(shown)
            end = citation.end() if citation else 1
            self._add(shown, self._link(citation) if citation else text[:end])
            text = text[end:]
        self._add(shown, text)
        return "".join(shown)

    def finish(self) -> str:
        """Return what was held back: the message is over."""
        held, self._held = self._held, ""
        return held

    def _add(self, shown: list[str], text: str) -> None:
        if text:
            shown.append(text)
            self._blank = text[-1].isspace()

    def _link(self, citation: re.Match[str]) -> str:
        link = markdown_link(self._address(int(citation[1])))
        if not link:
            return citation[0]
        return link if self._blank else f" {link}"


def markdown_link(url: str) -> str:
    """Return `([host](url))`; "" for what is no address of the web.

    No character of the address can end the link or begin another.
    """
    try:
        parts = urlsplit(one_line(url))
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    host = "".join(c for c in parts.netloc.rpartition("@")[2] if c not in _UNSAFE)
    rest = quote(parts._replace(scheme="", netloc="").geturl(), safe="/:@!$&*+,;=~%?-._#")
    return f"([{host.replace('[', '').replace(']', '')}]({parts.scheme}://{host}{rest}))"
