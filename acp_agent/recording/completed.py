"""What a record leaves out of a command's live output, put back: all of it so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from acp_agent.events import Event, ToolCallStarted, ToolCallUpdated, ToolOutput

SNAPSHOT = 20_000  # characters


class Completed:
    """Follows the events of a session and knows which calls are open."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}  # and their live output

    def event(self, event: Event) -> Event:
        """Return the event with what its record leaves out."""
        match event:
            case ToolCallStarted(call_id):
                self._open[call_id] = ""
            case ToolCallUpdated(call_id, status="completed" | "failed"):
                self._open.pop(call_id, None)
            case ToolOutput(call_id, delta):
                so_far = (self._open.get(call_id, "") + delta)[-SNAPSHOT:]
                if call_id in self._open:
                    self._open[call_id] = so_far
                return replace(event, snapshot=event.snapshot or so_far)
            case _:
                pass
        return event

    def ends(self) -> Iterator[ToolCallUpdated]:
        """Give the ends of the calls that never ended: nobody is at work on them."""
        while self._open:
            call_id = next(iter(self._open))
            del self._open[call_id]
            yield ToolCallUpdated(call_id, status="failed")
