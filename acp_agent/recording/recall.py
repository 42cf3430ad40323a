"""What a record says to those who come later: to the client, all that was shown; to the model, all
that it had read.

A record is read once, in batches, so that one of any length takes little memory; only the model's
own history is kept whole.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import anyio.to_thread

from acp_agent import events
from acp_agent.agent.tally import Tally
from acp_agent.conversation import Entry, UserMessage
from acp_agent.events import (
    Event,
    TextDelta,
    ThoughtDelta,
    ToolCallStarted,
    ToolCallUpdated,
    ToolOutput,
)
from acp_agent.recording.lines import (
    Happened,
    HistoryChanged,
    Line,
    Opened,
    OptionsSet,
    Titled,
    TurnEnded,
    TurnStarted,
)
from acp_agent.recording.read import read

logger = logging.getLogger(__name__)

BATCH = 500  # lines
LONGEST = 32_000  # characters of one piece of text
SNAPSHOT = 20_000


class Recall:
    """Reads one record; `shown` first, to its end, then everything else is known."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: list[Entry] = []
        self._open: dict[str, str] = {}  # calls that have not ended, and their live output
        self.tally = Tally()
        self.session = Opened("", "")
        self.options: dict[str, str] = {}
        self.title = ""
        self.turns = 0
        self.skipped = 0

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The model's history as it was left."""
        return tuple(self._entries)

    async def shown(self) -> AsyncGenerator[Sequence[UserMessage | Event]]:
        """Give all that was said, in order, text in larger pieces; a call never stays open.

        Raises:
            OSError: The record cannot be read.

        """
        lines = read(self._path, self._skip)
        pieces = joined(self._said(lines))
        while batch := await anyio.to_thread.run_sync(lambda: list(islice(pieces, BATCH))):
            yield batch
        failed = [ToolCallUpdated(call_id, status="failed") for call_id in self._open]
        if failed:
            yield failed

    def _said(self, lines: Iterator[Line]) -> Iterator[UserMessage | Event]:
        for line in lines:
            match line:
                case Opened():
                    self.session = line
                case OptionsSet(_, mode, model, effort, approvals):
                    values = {"mode": mode, "model": model, "effort": effort}
                    self.options = values | {"approvals": approvals}
                case TurnStarted(_, number, message):
                    self.turns = max(self.turns, number)
                    yield message
                case Happened(_, event):
                    self.tally.feed(event)
                    yield self._completed(event)
                case HistoryChanged(_, added, dropped):
                    keep = 0 if dropped is None else max(0, len(self._entries) - dropped)
                    self._entries[keep:] = added
                case Titled(_, title):
                    self.title = title
                    yield events.Titled(title)
                case TurnEnded(title=title):
                    self.title = title or self.title
                case _:
                    pass

    def _completed(self, event: Event) -> Event:
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

    def _skip(self, number: int, why: str) -> None:
        self.skipped += 1
        logger.warning("%s: line %d was skipped: %s", self._path, number, why)


def joined(events: Iterator[UserMessage | Event]) -> Iterator[UserMessage | Event]:
    """Put together the pieces of a text that follow one another."""
    waiting: TextDelta | ThoughtDelta | None = None
    parts: list[str] = []
    size = 0
    for event in events:
        if (
            waiting is not None
            and isinstance(event, TextDelta | ThoughtDelta)
            and type(event) is type(waiting)
            and event.message_id == waiting.message_id
            and event.meta is None
            and size + len(event.text) <= LONGEST
        ):
            parts.append(event.text)
            size += len(event.text)
            continue
        if waiting is not None:
            yield replace(waiting, text="".join(parts))
        waiting = None
        if isinstance(event, TextDelta | ThoughtDelta):
            waiting, parts, size = event, [event.text], len(event.text)
        else:
            yield event
    if waiting is not None:
        yield replace(waiting, text="".join(parts))
