"""A session's record on the disk: one file that only grows, a line of JSON for all that happens.

A line is written before anybody hears of what it says, and a turn's lines last when it is over: a
process that is killed loses at most the message that was being said. Kinds of lines (`k`), with the
time (`t`): session, options, turn, event, add, drop, replace, permission, title, end.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.to_thread

from acp_agent.conversation import Entry, UserMessage
from acp_agent.errors import AgentError
from acp_agent.events import Event, Titled, ToolOutput, UsageUpdated
from acp_agent.recording.records import to_object

logger = logging.getLogger(__name__)

VERSION = 1
Options = Callable[[], Mapping[str, str]]


class SessionInUse(AgentError):
    """Another process goes on with this session, or has gone on with it."""


def now() -> str:
    """Return the time as lines have it: UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Trajectory:
    """A `Recorder` that writes to `path`, which appears with the first prompt.

    `head` is what the first line says of the session; `options` are looked at before each turn.
    The file is ours while a turn runs. Where nothing can be written any more, `tell` hears why,
    once, and the session goes on.
    """

    def __init__(
        self, path: Path, head: Mapping[str, object] | None = None, size: int | None = 0
    ) -> None:
        """Take the size that the file must have, None for any."""
        self._path = path
        self._head = head or {}
        self._options: Options = dict
        self._tell: Callable[[str], None] = logger.warning
        self._file = -1
        self._size = size
        self._told: Mapping[str, str] = {}
        self._broken = False
        self._title = ""
        self._usage: dict[str, int] = {}

    def bind(self, options: Options, tell: Callable[[str], None]) -> None:
        """Take what belongs to the session that goes on."""
        self._options = options
        self._tell = tell

    def open(self) -> None:
        """Take the file for this process, until `close`.

        Raises:
            SessionInUse: Another process has it, or has written to it since we had it.
            OSError: It cannot be made or opened.

        """
        if self._file >= 0:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise SessionInUse(
                "another agent is at work in this session; wait, or stop it"
            ) from None
        size = os.fstat(file).st_size
        if self._size not in (None, size):
            os.close(file)
            raise SessionInUse("this session has gone on in another agent; load it anew")
        self._file = file
        if not size:
            self._write("session", v=VERSION, **self._head)
        elif os.pread(file, 1, size - 1) != b"\n":
            self._append(b"\n")  # the line that was being written when its process was killed

    def close(self) -> None:
        """Let go of the file: another process may go on, and then we may not."""
        if self._file >= 0:
            self._size = os.fstat(self._file).st_size
            os.close(self._file)
            self._file = -1

    def turn(self, number: int, message: UserMessage) -> None:
        """Take down a prompt. Raises SessionInUse."""
        try:
            self.open()
        except OSError as error:
            self._give_up(error)
        options = dict(self._options())
        if options != self._told:
            self._told = options
            self._write("options", values=options)
        self._write("turn", n=number, message=to_object(message))

    def event(self, event: Event) -> None:
        if isinstance(event, Titled):
            self.titled(event.title)
            return
        if isinstance(event, UsageUpdated):
            self._usage = {"used": event.used, "size": event.size}
        if isinstance(event, ToolOutput) and not event.ended:
            event = replace(event, snapshot="")  # the deltas say it
        self._write("event", event=to_object(event))

    def added(self, entry: Entry) -> None:
        self._write("add", entry=to_object(entry))

    def dropped(self, count: int) -> None:
        self._write("drop", count=count)

    def replaced(self, entries: Sequence[Entry]) -> None:
        self._write("replace", entries=[to_object(entry) for entry in entries])

    def permission(self, call_id: str, tool: str, scope: str, verdict: str) -> None:
        self._write("permission", call=call_id, tool=tool, scope=scope, verdict=verdict)

    def titled(self, title: str) -> None:
        """Take down the session's title."""
        self._title = title
        is_open = self._file >= 0
        try:
            self.open()
        except (OSError, SessionInUse) as error:
            logger.warning("the title of %s is not kept: %s", self._path, error)
            return
        self._write("title", title=title)
        if not is_open:
            self.close()

    async def end(self, number: int, stop: str, error: str = "") -> None:
        how = {"error": " ".join(error.split())} if error else {"stop": stop}
        title = {"title": self._title} if self._title else {}
        self._write("end", n=number, **how, **title, **self._usage)
        if not self._broken:
            try:
                await anyio.to_thread.run_sync(os.fsync, self._file)
            except OSError as trouble:
                self._give_up(trouble)
        self.close()

    def _write(self, kind: str, **fields: Any) -> None:
        line = {"t": now(), "k": kind, **fields}
        try:
            data = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:  # half a character, which only its escape can say
            data = json.dumps(line, separators=(",", ":")).encode()
        self._append(data + b"\n")

    def _append(self, data: bytes) -> None:
        if self._broken:
            return
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if not self._broken:
            self._broken = True
            why = getattr(error, "strerror", None) or error
            logger.error("cannot write %s: %s", self._path, why)
            self._tell(f"this session is not recorded any more: {why} ({self._path})")
