"""What the user reads in place of what the model wrote: a rewriting of text while it streams.

The history keeps what the model wrote; only what is shown is rewritten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class TextRewriter(Protocol):
    """Rewrites one message, piece by piece."""

    def feed(self, text: str) -> str:
        """Take the next piece and return what can be shown now, which may be nothing."""
        ...

    def finish(self) -> str:
        """Return what was held back: the message is over."""
        ...


class Unchanged:
    """The rewriter that changes nothing."""

    def feed(self, text: str) -> str:
        return text

    def finish(self) -> str:
        return ""


NewRewriter = Callable[[], TextRewriter]
"""Gives a rewriter for one message."""
