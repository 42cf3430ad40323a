"""What a command wrote: bytes to text as they come, and a bounded memory of it (head and tail)."""

from __future__ import annotations

import codecs

HEAD = 4_000
TAIL = 6_000


class Output:
    """Collects output; `text` is all of it while that is short, else its head and its tail."""

    def __init__(self, head: int = HEAD, tail: int = TAIL) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._room = head
        self._tail_size = tail
        self._head = ""
        self._tail = ""
        self.characters = 0

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """Add bytes; return the text that they completed."""
        text = self._decoder.decode(data, final)
        self.characters += len(text)
        kept = text[: self._room - len(self._head)] if len(self._head) < self._room else ""
        self._head += kept
        self._tail = (self._tail + text[len(kept) :])[-self._tail_size :]
        return text

    @property
    def text(self) -> str:
        """Return what is kept, with a note in the place of what is not."""
        left_out = self.characters - len(self._head) - len(self._tail)
        if left_out <= 0:
            return self._head + self._tail
        return f"{self._head}\n[… {left_out} characters left out …]\n{self._tail}"


def capped(text: str) -> str:
    """Return `text` with its middle left out if it is too long for the model."""
    output = Output()
    output.feed(text.encode("utf-8", errors="replace"), final=True)
    return output.text
