"""What a record leaves out of a command's live output, put back: all of it so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from acp_agent.events import CompactionUpdated, Event, ToolCallStarted, ToolCallUpdated, ToolOutput

SNAPSHOT = 20_000  # characters


class Completed:
    """Follows the events of a session and knows which calls, and which compaction, are open."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}  # and their live output
        self._compaction = ""

    def event(self, event: Event) -> Event:
        """Return the event with what its record leaves out."""
        match event:
            case ToolCallStarted(call_id):
                self._open[call_id] = ""
            case ToolCallUpdated(call_id, status="completed" | "failed"):
                self._open.pop(call_id, None)
            case CompactionUpdated(compaction_id, status):
                self._compaction = compaction_id if status == "in_progress" else ""
            case ToolOutput(call_id, delta):
                so_far = (self._open.get(call_id, "") + delta)[-SNAPSHOT:]
                if call_id in self._open:
                    self._open[call_id] = so_far
                return replace(event, snapshot=event.snapshot or so_far)
            case _:
                pass
        return event

    def ends(self) -> Iterator[Event]:
        """Give the ends of what never ended: nobody is at work on it."""
        if self._compaction:
            compaction_id, self._compaction = self._compaction, ""
            yield CompactionUpdated(compaction_id, "cancelled")
        while self._open:
            call_id = next(iter(self._open))
            del self._open[call_id]
            yield ToolCallUpdated(call_id, status="failed")
