"""Lines of JSON taken apart, however the bytes arrive; pure (what Ollama streams)."""

from __future__ import annotations

from acp_agent.backends.sse import ServerEvent

LINE = "line"  # the name of every event


class LineReader:
    """Feeds on bytes and gives lines as events; blank ones are passed over."""

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def pending(self) -> int:
        """How many bytes of a line wait for its end."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[ServerEvent]:
        """Return the lines that `data` completes."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        texts = (line.decode(errors="replace").strip() for line in lines)
        return [ServerEvent(LINE, text) for text in texts if text]

    def close(self) -> list[ServerEvent]:
        """Return the line that the end of the body completes."""
        return self.feed(b"\n")
