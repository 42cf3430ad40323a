"""Encodes text from anywhere: of any length, with any character, never as control tokens."""

from __future__ import annotations

import re
from typing import Protocol

# The library's time grows with the square of the longest word (100,000 characters: 4 s), and a
# run of a million without a break ends the call: longer runs are encoded in pieces.
_LONG_RUN = re.compile(r"\S{512}|\s{512}")


class Encoder(Protocol):
    """What is used of openai_harmony's encoding."""

    def encode(self, text: str, *, disallowed_special: tuple[str, ...]) -> list[int]: ...


def encode_text(encoder: Encoder, text: str) -> list[int]:
    """Return the ids of `text`; spelled control tokens in it stay text."""
    text = unicode_text(text)
    ids: list[int] = []
    start = 0
    for run in _LONG_RUN.finditer(text):
        ids += encoder.encode(text[start : run.end()], disallowed_special=())
        start = run.end()
    return ids + encoder.encode(text[start:], disallowed_special=())


def unicode_text(text: str) -> str:
    """Replace lone surrogates, which JSON can carry and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
