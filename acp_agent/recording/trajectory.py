"""A session's record on the disk: one file that only grows, a line of JSON for all that happens.

A line is written before anybody hears of what it says, and a turn's lines last when it is over: a
process that is killed loses at most the message that was being said. What follows a session (its
rlog, what its model calls cost) gets every line after that.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import anyio
import anyio.to_thread

from acp_agent.conversation import Entry, UserMessage
from acp_agent.errors import AgentError
from acp_agent.events import Event, TextDelta, ThoughtDelta, Titled, ToolOutput, UsageUpdated
from acp_agent.paths import make_private
from acp_agent.recording import lines
from acp_agent.recording.lines import (
    Happened,
    HistoryChanged,
    Line,
    Opened,
    OptionsSet,
    PermissionDecided,
    TurnEnded,
    TurnStarted,
    record_of,
)

logger = logging.getLogger(__name__)

SYNC_SECONDS = 1  # that an answer, or the end of the process, waits for a slow disk
Options = Callable[[], Mapping[str, str]]


class SessionInUse(AgentError):
    """Another process goes on with this session, or has gone on with it."""


def now() -> str:
    """Return the time as lines have it: UTC, to the millisecond."""
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{_second(seconds)}.{milliseconds:03}Z"


@lru_cache(1)
def _second(seconds: int) -> str:
    """Return a second since 1970 as text; hundreds of tokens may share it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Follower(Protocol):
    """What gets the lines of a session, as values and as they are written, to its end."""

    def line(self, line: Line, text: bytes) -> None: ...

    def close(self) -> None: ...


class Trajectory:
    """A `Recorder` that writes to `path`, which appears with the first prompt; None for no file.

    `opened` is the first line; `options` are looked at before each turn. The file is ours while a
    turn runs. Where nothing can be written any more, `tell` hears why, once, and the session goes
    on.
    """

    def __init__(
        self,
        path: Path | None,
        opened: Opened | None = None,
        size: int | None = 0,
        sync: Callable[[int], None] = os.fsync,
    ) -> None:
        """Take the size that the file must have, None for any, and what makes a file last."""
        self._sync = sync
        self.path = path
        self._opened = opened
        self._options: Options = dict
        self._tell: Callable[[str], None] = logger.warning
        self._followers: list[Follower] = []
        self._file = -1
        self._size = size
        self._told: Mapping[str, str] = {}
        self._broken = False
        self._title = ""
        self._usage = (0, 0)  # used, size

    def bind(
        self,
        options: Options,
        tell: Callable[[str], None],
        followers: Sequence[Follower] = (),
        *,
        title: str = "",
        usage: tuple[int, int] = (0, 0),
    ) -> None:
        """Take what belongs to the session that goes on; `title` and `usage` are those it had."""
        self._title, self._usage = title, usage
        self._options = options
        self._tell = tell
        self._followers = list(followers)

    def open(self) -> None:
        """Take the file for this process, until `release`.

        Raises:
            SessionInUse: Another process has it, or has changed or deleted it since we had it.
            OSError: It cannot be made or opened.

        """
        if self._file >= 0 or self.path is None:
            return
        file = self._opened_file(self.path)
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
            self._append(b"" if self._opened is None else text_of(self._opened))
        elif os.pread(file, 1, size - 1) != b"\n":
            self._append(b"\n")  # the line that was being written when its process was killed

    def _opened_file(self, path: Path) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        if self._size != 0:  # it was there: what was deleted must not come back, empty
            try:
                return os.open(path, flags)
            except FileNotFoundError:
                raise SessionInUse("this session was deleted; start a new one") from None
        make_private(path.parent)
        return os.open(path, flags | os.O_CREAT, 0o600)

    def release(self) -> None:
        """Let go of the file: another process may go on, and then we may not."""
        if self._file >= 0:
            self._size = os.fstat(self._file).st_size
            fcntl.flock(self._file, fcntl.LOCK_UN)  # also while a thread still waits for the disk
            os.close(self._file)
            self._file = -1

    def close(self) -> None:
        self.release()
        followers, self._followers = self._followers, []
        for follower in followers:
            follower.close()

    def turn(self, number: int, message: UserMessage) -> None:
        """Take down a prompt. Raises SessionInUse."""
        try:
            self.open()
        except OSError as error:
            self._give_up(error)
        options = dict(self._options())
        if options != self._told:
            self._told = options
            values = (options.get(name, "") for name in ("mode", "model", "effort", "approvals"))
            self._write(OptionsSet(now(), *values))
        self._write(TurnStarted(now(), number, message))

    def event(self, event: Event) -> None:
        if isinstance(event, Titled):
            self.titled(event.title)
            return
        if isinstance(event, UsageUpdated):
            self._usage = (event.used, event.size)
        if isinstance(event, ToolOutput) and not event.ended:
            event = replace(event, snapshot="")  # the deltas say it
        self._write(Happened(now(), event))

    def added(self, entry: Entry) -> None:
        self._write(HistoryChanged(now(), (entry,)))

    def dropped(self, count: int) -> None:
        self._write(HistoryChanged(now(), (), count))

    def replaced(self, entries: Sequence[Entry]) -> None:
        self._write(HistoryChanged(now(), tuple(entries), None))

    def permission(self, call_id: str, tool: str, scope: str, verdict: str) -> None:
        self._write(PermissionDecided(now(), call_id, tool, scope, verdict))

    def titled(self, title: str) -> None:
        """Take down the session's title."""
        self._title = title
        is_open = self._file >= 0
        try:
            self.open()
        except (OSError, SessionInUse) as error:
            logger.warning("the title of %s is not kept: %s", self.path, error)
            return
        self._write(lines.Titled(now(), title))
        if not is_open:
            self.release()

    async def end(self, number: int, stop: str, error: str = "") -> None:
        """Take down how the turn has ended, and wait until it lasts, for a second at most."""
        stop, error = "" if error else stop, " ".join(error.split())
        try:
            self._write(TurnEnded(now(), number, stop, error, self._title, *self._usage))
            with anyio.move_on_after(SYNC_SECONDS) as limit:
                await self._make_last()
            if limit.cancelled_caught:
                logger.warning("%s: the disk is slow; the last turn may not last", self.path)
        finally:
            self.release()

    async def _make_last(self) -> None:
        if self._file < 0 or self._broken:
            return
        try:
            # A descriptor of its own, which a thread that nobody waits for may close.
            copy = os.dup(self._file)
            await anyio.to_thread.run_sync(self._sync_and_close, copy, abandon_on_cancel=True)
        except OSError as trouble:
            self._give_up(trouble)

    def _write(self, line: Line) -> None:
        text = text_of(line)
        self._append(text)
        for follower in tuple(self._followers):
            try:
                follower.line(line, text)
            except Exception:
                # The boundary between a session and what is kept beside it.
                logger.exception("%s is given up", type(follower).__name__)
                self._followers.remove(follower)

    def _append(self, data: bytes) -> None:
        if self._broken or self._file < 0:
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
            logger.error("cannot write %s: %s", self.path, why)
            self._tell(f"this session is not recorded any more: {why} ({self.path})")

    def _sync_and_close(self, file: int) -> None:
        try:
            self._sync(file)
        finally:
            os.close(file)


def text_of(line: Line) -> bytes:
    """Return a line as it is written."""
    try:
        return f"{_text(line)}\n".encode()
    except UnicodeEncodeError:  # half a character, which only its escape can say
        text = json.dumps(record_of(line), separators=(",", ":"), default=str)
        return f"{text}\n".encode()


def _text(line: Line) -> str:
    match line:
        case Happened(at, TextDelta(said, text, None) | ThoughtDelta(said, text, None)):
            # A token: put together by hand, in a quarter of the time.
            kind = type(line.event).__name__
            event = f'{{"type":"{kind}","message_id":{_json(said)},"text":{_json(text)}}}'
            return f'{{"t":{_json(at)},"k":"event","event":{event}}}'
        case _:
            return _json(record_of(line))


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode
