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
from acp_agent.agent.stored import Asked
from acp_agent.agent.tally import Tally
from acp_agent.conversation import Entry
from acp_agent.events import Event, TextDelta, ThoughtDelta
from acp_agent.recording.completed import Completed
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
from acp_agent.recording.read import read_with_text

logger = logging.getLogger(__name__)

BATCH_LINES, BATCH_BYTES = 500, 1024 * 1024  # of the record, that are read at once
LONGEST = 32_000  # characters of one piece of text


class Recall:
    """Reads one record; `shown` first, to its end, then everything else is known."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: list[Entry] = []
        self._completed = Completed()
        self._size = 0  # bytes of the batch
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

    async def shown(self) -> AsyncGenerator[Sequence[Asked | Event]]:
        """Give all that was said, in order, text in larger pieces; a call never stays open.

        Raises:
            OSError: The record cannot be read.

        """
        pieces = joined(self._said(read_with_text(self._path, self._skip)))
        while batch := await anyio.to_thread.run_sync(lambda: list(self._batch(pieces))):
            yield batch

    def _batch(self, pieces: Iterator[Asked | Event]) -> Iterator[Asked | Event]:
        self._size = 0
        for piece in islice(pieces, BATCH_LINES):
            yield piece
            if self._size > BATCH_BYTES:
                break

    def _said(self, lines: Iterator[tuple[bytes, Line]]) -> Iterator[Asked | Event]:
        for text, line in lines:
            self._size += len(text)
            match line:
                case TurnStarted(_, number, message):
                    self.turns = max(self.turns, number)
                    yield from self._completed.ends()
                    yield Asked(number, message)
                case Happened(_, event):
                    self.tally.feed(event)
                    yield self._completed.event(event)
                case Titled(_, title):
                    self.title = title
                    yield events.Titled(title)
                case _:
                    self._learn(line)
        yield from self._completed.ends()

    def _learn(self, line: Line) -> None:
        match line:
            case Opened():
                self.session = line
            case OptionsSet(_, mode, model, effort, approvals):
                values = {"mode": mode, "model": model, "effort": effort}
                self.options = values | {"approvals": approvals}
            case HistoryChanged(_, added, dropped):
                keep = 0 if dropped is None else max(0, len(self._entries) - dropped)
                self._entries[keep:] = added
            case TurnEnded(title=title):
                self.title = title or self.title
            case _:
                pass

    def _skip(self, number: int, why: str) -> None:
        self.skipped += 1
        logger.warning("%s: line %d was skipped: %s", self._path, number, why)


def joined(events: Iterator[Asked | Event]) -> Iterator[Asked | Event]:
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
