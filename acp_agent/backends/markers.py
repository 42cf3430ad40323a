"""Template markers that Apple's server lets through, taken out of text while it streams; pure."""

from __future__ import annotations

import re

_MARKER = re.compile(r"<(?:start_of_turn|end_of_turn|ctrl\d+)>(?:(?:user|model|assistant)\n)?")
_BEGUN = re.compile(r"<(?:[a-z_]{0,13}|ctrl\d{0,3})>?[a-z]{0,9}\Z")
_LONGEST = 24  # longer than any marker with a role behind it


class Markers:
    """Holds back what may become a marker."""

    def __init__(self) -> None:
        self._buffer = ""
        self.found = False

    def feed(self, text: str) -> str:
        """Return the text that is certain to be none."""
        text = self._buffer + text
        begun = _BEGUN.search(text, max(0, len(text) - _LONGEST))
        sure = begun.start() if begun else len(text)
        self._buffer = text[sure:]
        return self._without(text[:sure])

    def close(self) -> str:
        """Return what was held back."""
        rest, self._buffer = self._without(self._buffer), ""
        return rest

    def _without(self, text: str) -> str:
        clean = _MARKER.sub("", text)
        self.found = self.found or clean != text
        return clean
