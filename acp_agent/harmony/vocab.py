"""The o200k_harmony vocabulary: text to token ids, ids to bytes, control tokens by name.

One per process: loading costs about 0.25 s of interpreter time and 80 MB, so call
`load_vocabulary` from a worker thread, off the path to the first answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from acp_agent.harmony.text import encode_text

if TYPE_CHECKING:
    from acp_agent.harmony.library import HarmonyEncoding

SIZE = 201_088
FIRST_SPECIAL = 199_998
ENDOFTEXT = 199_999
RETURN = 200_002
CONSTRAIN = 200_003
CHANNEL = 200_005
START = 200_006
END = 200_007
MESSAGE = 200_008
CALL = 200_012

_loading = threading.Lock()
_loaded: list[Vocabulary] = []  # a second load would cost its 55 MB again


class Vocabulary:
    """Encoder and decoder; safe to share between threads."""

    def __init__(self, encoding: HarmonyEncoding) -> None:
        self.encoding = encoding
        self._bytes: dict[int, bytes] = {}

    def encode_text(self, text: str) -> list[int]:
        """Return ids below `FIRST_SPECIAL` only: `<|end|>` in a text stays text."""
        return encode_text(self.encoding, text)

    def encode_trusted(self, text: str) -> list[int]:
        """Return ids of a text of our own, in which `<|end|>` is the control token."""
        return self.encoding.encode(text, allowed_special="all")

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text; control tokens are spelled out, broken UTF-8 becomes U+FFFD."""
        return self.bytes_of(ids).decode("utf-8", "replace")

    def beginning(self, text: str, tokens: int) -> str:
        """Return as much of the beginning of `text` as has at most so many `tokens`."""
        ids = self.encode_text(text)
        return text if len(ids) <= tokens else self.decode(ids[:tokens])

    def bytes_of(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of all ids together."""
        return b"".join(map(self.token_bytes, ids))

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of one id, empty for an id outside the vocabulary."""
        found = self._bytes.get(token)
        if found is not None:
            return found
        if not 0 <= token < SIZE:
            return b""
        self._bytes[token] = found = self._decoded(token)
        return found

    def fragments(self) -> dict[bytes, int]:
        """Return the 1,562 tokens whose bytes alone are no text, by their bytes. Takes 0.2 s."""
        decoded = ((self._decoded(token), token) for token in range(FIRST_SPECIAL))
        return {piece: token for piece, token in decoded if not _is_text(piece)}

    def _decoded(self, token: int) -> bytes:
        # One token at a time, when it is needed: a table of all would cost 15 MB and 0.1 s.
        return self.encoding.decode([token], "surrogateescape").encode("utf-8", "surrogateescape")


def load_vocabulary(gguf: Path | None = None) -> Vocabulary:
    """Return the vocabulary of this process; the first call loads it, other threads wait for it.

    Raises:
        VocabularyError: Neither the cache nor `gguf` nor the package has usable ranks.

    """
    with _loading:
        if not _loaded:
            # Together 0.1 s and 24 MB, which nobody needs before the first prompt.
            from acp_agent.harmony.library import load_encoding
            from acp_agent.harmony.ranks import ranks_directory
            from acp_agent.paths import cache_dir

            with ranks_directory(lambda: cache_dir() / "vocabulary", gguf) as directory:
                _loaded.append(Vocabulary(load_encoding(directory)))
        return _loaded[0]


def _is_text(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True
