"""A text file between bytes and lines: its byte order mark and line ends survive an edit."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from acp_agent.errors import ToolFailed

_PROBE = 8192


@dataclass(frozen=True, slots=True)
class TextFile:
    """The text of a file without its byte order mark; line ends are as they were."""

    text: str
    bom: bool = False

    @property
    def newline(self) -> str:
        """The line end that new lines get: the one that the file uses most."""
        windows = self.text.count("\r\n")
        return "\r\n" if windows * 2 > self.text.count("\n") else "\n"

    @property
    def lines(self) -> list[str]:
        """The lines without their ends; a last line end does not begin another line."""
        lines = [line.removesuffix("\r") for line in self.text.split("\n")]
        return lines if lines[-1] else lines[:-1]

    def replaced(self, text: str) -> TextFile:
        """Return a file like this one with another text, which may use either line end."""
        plain = text.replace("\r\n", "\n")
        return TextFile(plain.replace("\n", self.newline), self.bom)


def decode(data: bytes, name: str) -> TextFile:
    """Return the text in `data`. Raises ToolFailed for what is not UTF-8 text; `name` is told."""
    if is_binary(data):
        raise ToolFailed(f"{name!r} is a binary file of {len(data)} bytes, not text")
    bom = data.startswith(codecs.BOM_UTF8)
    try:
        return TextFile(data[3 if bom else 0 :].decode("utf-8"), bom)
    except UnicodeDecodeError as error:
        raise ToolFailed(
            f"{name!r} is not UTF-8 text (byte {error.start}); use the shell to convert it first"
        ) from None


def encode(file: TextFile, name: str) -> bytes:
    """Return the bytes to store. Raises ToolFailed for half of a surrogate pair."""
    try:
        return (codecs.BOM_UTF8 if file.bom else b"") + file.text.encode("utf-8")
    except UnicodeEncodeError as error:
        bad = file.text[error.start]
        raise ToolFailed(f"the text for {name!r} holds {bad!r}, which is no character") from None


def is_binary(data: bytes) -> bool:
    """Tell whether `data` looks like anything but text: a NUL near its start."""
    return b"\0" in data[:_PROBE]


def text_of(text: str) -> str:
    """Return `text` with a mark in the place of what no encoding can hold (bytes of odd names)."""
    return text.encode("utf-8", errors="replace").decode("utf-8")
