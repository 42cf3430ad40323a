"""Finds the token ids that llama.cpp leaves out of a stream; pure.

The server sends an event only when the text so far ends with a whole character, and then names only
the last token of the event. What it dropped are tokens that ended inside a character, so all tokens
of such an event are *fragments*: 1,562 of the vocabulary's 200,000 whose bytes alone are no text.
That makes the answer nearly always unique. Where it is not, the tokenizer's own choice is taken, as
a model's nearly always is, else the split with the longest tokens first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, Self

LONGEST_EVENT = 256  # bytes; real gaps hold one or two characters, and the search must stay short


class Pieces(Protocol):
    """What is needed of a vocabulary."""

    def fragments(self) -> Mapping[bytes, int]: ...

    def encode_text(self, text: str) -> Sequence[int]: ...


class Gaps:
    """Fills gaps from the fragments of one vocabulary, given by their bytes, and its tokenizer."""

    def __init__(
        self, fragments: Mapping[bytes, int], encode: Callable[[str], Sequence[int]]
    ) -> None:
        self._ids = fragments
        self._encode = encode
        self._pieces = {token: piece for piece, token in fragments.items()}
        self._longest = max(map(len, fragments), default=0)

    @classmethod
    def of(cls, vocabulary: Pieces) -> Self:
        """Return what fills gaps with this vocabulary. Takes 0.2 s."""
        return cls(vocabulary.fragments(), vocabulary.encode_text)

    def fill(self, content: str, last: int, count: int) -> tuple[int, ...] | None:
        """Return the `count` ids, `last` included, that spell `content`.

        None where there are none: the model wrote bytes that are no text, which the server had
        replaced before we saw them.
        """
        text, tail = content.encode(), self._pieces.get(last)
        if tail is None or len(text) > LONGEST_EVENT or not text.endswith(tail):
            return None
        usual = self._encode(content)
        if len(usual) == count and usual[-1] == last:
            return tuple(usual)
        head = self._split(text[: len(text) - len(tail)], _inner_positions(text), count - 1)
        return None if head is None else (*head, last)

    def _split(self, text: bytes, cuts: Sequence[int], count: int) -> list[int] | None:
        """Return `count` fragments that make up `text`, each ending at one of `cuts`."""
        reaches: list[set[int]] = [{len(text)}]  # from where n more fragments lead to the end
        for _ in range(count):
            ends = reaches[-1]
            starts = (0, *cuts)
            reaches.append({at for at in starts if any(self._steps(text, at, ends))})
        if 0 not in reaches[count]:
            return None
        found: list[int] = []
        at = 0
        for ends in reversed(reaches[:count]):
            end = max(self._steps(text, at, ends))
            found.append(self._ids[text[at:end]])
            at = end
        return found

    def _steps(self, text: bytes, at: int, ends: set[int]) -> list[int]:
        """Return the positions in `ends` that one fragment leads to."""
        return [
            end
            for end in range(at + 1, min(at + self._longest, len(text)) + 1)
            if end in ends and text[at:end] in self._ids
        ]


def _inner_positions(text: bytes) -> list[int]:
    """Return the positions inside characters: those before a continuation byte."""
    return [at for at, byte in enumerate(text) if byte & 0xC0 == 0x80]
