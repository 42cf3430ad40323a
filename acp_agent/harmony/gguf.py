"""What the header of a GGUF file says, read without loading the weights; its token table, too.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little endian).
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from acp_agent.errors import VocabularyError

ARCHITECTURES = ("gpt-oss", "gptoss")  # llama.cpp's spelling, Ollama's spelling
Value = int | float | bool | str | list[int]
_STRING, _ARRAY = 8, 9
_FORMS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_INTEGERS = (0, 1, 2, 3, 4, 5, 10, 11)
_TOKENIZER = b"tokenizer."
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def read_token_table(path: Path) -> list[bytes]:
    """Return the spellings of all tokens, in the order of their ids, as the file has them.

    Raises:
        VocabularyError: The file cannot be read, is no GGUF, is cut off, or is not of gpt-oss.

    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Header(data).tokens()
    except (OSError, ValueError, struct.error) as error:
        raise VocabularyError(f"no token table in {str(path)!r}: {error}") from None


def architecture(head: bytes) -> str:
    """Return the architecture that the first bytes of a file name. Raises VocabularyError."""
    try:
        return _Header(head).architecture()
    except (ValueError, struct.error) as error:
        raise VocabularyError(str(error)) from None


def read_values(path: Path) -> dict[str, Value]:
    """Return what the header says ahead of the tokenizer: text, numbers, and lists of integers.

    Raises:
        ValueError: It is no GGUF file, or is cut off.
        OSError: It cannot be read.

    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Header(data).values()
    except struct.error as error:
        raise ValueError(f"it is cut off: {error}") from None


class _Header:
    """A cursor over the key-value pairs; runs off the end with ValueError or struct.error."""

    def __init__(self, data: mmap.mmap | bytes) -> None:
        self._data = data
        self._at = 0

    def architecture(self) -> str:
        for _ in range(self._begin()):
            key = self._string()
            kind = self._number("<I")
            if key == b"general.architecture" and kind == _STRING:
                return self._string().decode("utf-8", "replace")
            self._skip(kind)
        raise ValueError("it names no architecture")

    def values(self) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for _ in range(self._begin()):
            key = self._string()
            if key.startswith(_TOKENIZER):
                break  # hundreds of thousands of strings, and nothing else of interest after them
            value = self._value(self._number("<I"))
            if value is not None:
                found[key.decode("utf-8", "replace")] = value
        return found

    def _value(self, kind: int) -> Value | None:
        if kind == _STRING:
            return self._string().decode("utf-8", "replace")
        if kind in _FORMS:
            return self._number(_FORMS[kind])
        start, item, count = self._at, self._number("<I"), self._number("<Q")
        if kind == _ARRAY and item in _INTEGERS and count * _WIDTHS[item] <= len(self._data):
            return [self._number(_FORMS[item]) for _ in range(count)]
        self._at = start
        self._skip(kind)
        return None

    def _begin(self) -> int:
        """Read up to the first pair; return how many there are."""
        if self._take(4) != b"GGUF":
            raise ValueError("it is not a GGUF file")
        version = self._number("<I")
        if version not in (2, 3):
            raise ValueError(f"GGUF version {version} is not supported")
        self._number("<Q")
        return self._number("<Q")

    def tokens(self) -> list[bytes]:
        for _ in range(self._begin()):
            key = self._string()
            kind = self._number("<I")
            if key == b"general.architecture":
                self._check_architecture(kind)
            elif key == b"tokenizer.ggml.tokens" and kind == _ARRAY:
                return self._strings()
            else:
                self._skip(kind)
        raise ValueError("it has no tokenizer.ggml.tokens")

    def _check_architecture(self, kind: int) -> None:
        name = self._string().decode("utf-8", "replace") if kind == _STRING else ""
        if name not in ARCHITECTURES:
            raise ValueError(f"it is a model of architecture {name!r}, not gpt-oss")

    def _strings(self) -> list[bytes]:
        if self._number("<I") != _STRING:
            raise ValueError("its tokens are not strings")
        return [self._string() for _ in range(self._number("<Q"))]

    def _skip(self, kind: int) -> None:
        if kind == _STRING:
            self._string()
        elif kind == _ARRAY:
            item, count = self._number("<I"), self._number("<Q")
            if item == _STRING:
                for _ in range(count):
                    self._string()
            else:
                self._take_width(item, count)
        else:
            self._take_width(kind, 1)

    def _take_width(self, kind: int, count: int) -> None:
        if kind not in _WIDTHS:
            raise ValueError(f"value type {kind} is unknown")
        self._at += _WIDTHS[kind] * count
        if self._at > len(self._data):
            raise ValueError("it is cut off")

    def _number(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return value

    def _string(self) -> bytes:
        return self._take(self._number("<Q"))

    def _take(self, size: int) -> bytes:
        value = self._data[self._at : self._at + size]
        if len(value) != size:
            raise ValueError("it is cut off")
        self._at += size
        return value
