"""Bytes in any pieces to whole lines; a line that grows too long is dropped while it arrives."""

from __future__ import annotations

from acp_agent.protocol.jsonrpc import Oversized

LIMIT = 64 * 1024 * 1024


class LineSplitter:
    """Collects bytes; at most one unfinished line of `limit` bytes is held."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0
        self._dropping = False

    def feed(self, data: bytes) -> list[bytes | Oversized]:
        """Take more bytes and return the lines they complete, blank ones left out."""
        first, *rest = data.split(b"\n")
        self._add(first)
        lines: list[bytes | Oversized] = []
        for part in rest:
            lines += self.finish()
            self._add(part)
        return lines

    def finish(self) -> list[bytes | Oversized]:
        """End the line under way, as a newline does, or the end of the input."""
        line = b"".join(self._parts)
        dropped = self._dropping
        self._parts, self._held, self._dropping = [], 0, False
        if dropped:
            return [Oversized(self._limit)]
        return [line] if line.strip() else []

    def _add(self, part: bytes) -> None:
        self._held += len(part)
        if self._held > self._limit:
            self._parts, self._dropping = [], True
        elif part:
            self._parts.append(part)
