"""Server-sent events taken apart, however the bytes arrive; pure (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from dataclasses import dataclass

DONE = "[DONE]"  # how OpenAI's APIs say that a stream is over


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its `name`, `message` if it has none, and its `data`, lines joined."""

    name: str
    data: str


class EventReader:
    """Feeds on bytes and gives events; bytes that are no UTF-8 become replacement characters."""

    def __init__(self) -> None:
        self._buffer = b""
        self._name = ""
        self._data: list[str] = []

    @property
    def pending(self) -> int:
        """How many bytes of a line wait for its end."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[ServerEvent]:
        """Return the events that `data` completes."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        events: list[ServerEvent] = []
        for line in lines:
            events += self._line(line.rstrip(b"\r").decode(errors="replace"))
        return events

    def close(self) -> list[ServerEvent]:
        """Return the event that the end of the body completes, though no blank line follows it."""
        return [*self.feed(b"\n"), *self._event()]

    def _line(self, line: str) -> list[ServerEvent]:
        if not line:
            return self._event()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "error":  # llama.cpp's own; no name of the standard
            self._name = "error"
            self._data.append(value)
        elif field == "event":
            # Some servers leave out the blank line between two events.
            events = self._event()
            self._name = value
            return events
        return []

    def _event(self) -> list[ServerEvent]:
        name, data = self._name, "\n".join(self._data)
        self._name, self._data = "", []
        return [ServerEvent(name or "message", data)] if data else []
