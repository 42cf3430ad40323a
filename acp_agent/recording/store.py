"""The sessions of this user: a directory for each workspace, a file for each session.

The file system is the index: a page of the list reads the names of all, and the ends of few.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import os
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, cast

import anyio.to_thread

from acp_agent.agent.stored import Asked, Listed
from acp_agent.agent.titles import title_of
from acp_agent.errors import AgentError
from acp_agent.events import Event
from acp_agent.paths import state_path
from acp_agent.recording.recall import Recall
from acp_agent.recording.trajectory import Trajectory

PAGE = 50
HEAD, TAIL = 16_384, 65_536  # bytes of a file that the list reads
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CURSOR = re.compile(r"([0-9]{1,20})-([A-Za-z0-9_-]{1,128})")


def sessions_dir() -> Path:
    """Return where the records of all sessions are or would be."""
    return state_path() / "sessions"


def session_file(session_id: str, cwd: Path) -> Path:
    """Return where the record of a session in `cwd` is or would be."""
    return sessions_dir() / workspace_name(cwd) / f"{session_id}.jsonl"


def workspace_name(cwd: Path) -> str:
    """Return the name of the directory for the sessions of a workspace."""
    return hashlib.sha256(str(cwd).encode("utf-8", "surrogateescape")).hexdigest()[:16]


class StoredSession:
    """A session that this process has taken up again."""

    def __init__(self, path: Path) -> None:
        """Take the record for this process. Raises SessionInUse, OSError."""
        self.record = Trajectory(path, size=None)
        self.record.open()
        self.recall = Recall(path)

    def shown(self) -> AsyncGenerator[Sequence[Asked | Event]]:
        """Give all that was said, in order."""
        return self.recall.shown()

    @property
    def options(self) -> Mapping[str, str]:
        return self.recall.options

    @property
    def title(self) -> str:
        return self.recall.title

    @property
    def skipped(self) -> int:
        return self.recall.skipped

    def release(self) -> None:
        self.record.release()


class Store:
    """A `SessionStore` on the disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def page(self, cwd: Path | None, cursor: str) -> tuple[Sequence[Listed], str]:
        """Return the sessions after `cursor`, newest first, and the next cursor, "" at the end.

        Raises:
            ValueError: No page begins there.

        """
        return await anyio.to_thread.run_sync(self._page, cwd, cursor)

    async def has(self, session_id: str) -> bool:
        """Tell whether there is a record of this session."""
        return await anyio.to_thread.run_sync(self._find, session_id) is not None

    async def take_up(self, session_id: str) -> StoredSession | None:
        """Return a session to go on with; None if there is none.

        Raises:
            SessionInUse: Another process goes on with it.
            AgentError: It cannot be read.

        """
        path = await anyio.to_thread.run_sync(self._find, session_id)
        if path is None:
            return None
        try:
            return StoredSession(path)
        except OSError as error:
            raise AgentError(f"cannot open the session: {error.strerror or error}") from None

    async def delete(self, session_id: str) -> None:
        """Remove a session, if there is one. Raises SessionInUse, AgentError."""
        stored = await self.take_up(session_id)
        if stored is not None:
            try:
                (cast("Path", self._find(session_id))).unlink()
            except OSError as error:
                raise AgentError(f"cannot delete the session: {error.strerror or error}") from None
            finally:
                stored.release()

    def _find(self, session_id: str) -> Path | None:
        if not _ID.fullmatch(session_id):
            return None
        return next(self._directory.glob(f"*/{session_id}.jsonl"), None)

    def _page(self, cwd: Path | None, cursor: str) -> tuple[Sequence[Listed], str]:
        after = _position(cursor) if cursor else None
        files = (one for one in self._files(cwd) if after is None or one.position < after)
        found = heapq.nlargest(PAGE + 1, files, key=itemgetter(0))
        listed = [entry for one in found[:PAGE] if (entry := _listed(one)) is not None]
        more = len(found) > PAGE
        time, name = found[PAGE - 1].position if more else (0, "")
        return listed, f"{time}-{name}" if more else ""

    def _files(self, cwd: Path | None) -> Iterator[_File]:
        is_id = _ID.fullmatch
        wanted = workspace_name(cwd) if cwd is not None else "*"
        for directory in self._directory.glob(wanted):
            try:
                with os.scandir(directory) as entries:
                    for entry in entries:
                        name, _, kind = entry.name.partition(".")
                        if kind == "jsonl" and is_id(name):
                            yield _File((entry.stat().st_mtime_ns, name), entry.path)
            except OSError:
                continue


class NoSessions:
    """The store of whoever keeps no sessions."""

    async def page(self, cwd: Path | None, cursor: str) -> tuple[Sequence[Listed], str]:
        if cursor:
            raise ValueError(cursor)
        return (), ""

    async def has(self, session_id: str) -> bool:
        return False

    async def take_up(self, session_id: str) -> StoredSession | None:
        return None

    async def delete(self, session_id: str) -> None: ...


class _File(NamedTuple):
    position: tuple[int, str]
    path: str


def _position(cursor: str) -> tuple[int, str]:
    parts = _CURSOR.fullmatch(cursor)
    if parts is None:
        raise ValueError(cursor)
    return int(parts[1]), parts[2]


def _listed(file: _File) -> Listed | None:
    """Return what the list says of a session; None of what is no record."""
    try:
        with Path(file.path).open("rb") as record:
            head = record.read(HEAD)
            size = os.fstat(record.fileno()).st_size
            record.seek(max(0, size - TAIL))
            tail = record.read(TAIL)
    except OSError:
        return None
    lines = [_read(line) for line in head.splitlines()]
    first = next((line for line in lines if line.get("k") == "session"), None)
    if first is None or not isinstance(first.get("cwd"), str):
        return None
    updated = datetime.fromtimestamp(file.position[0] / 1e9, UTC).isoformat(timespec="seconds")
    return Listed(
        file.position[1],
        first["cwd"],
        _title(tail) or _first_words(head),
        updated.replace("+00:00", "Z"),
        _texts(first.get("roots")),
    )


def _texts(value: object) -> tuple[str, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, str))


def _title(tail: bytes) -> str:
    for line in reversed(tail.splitlines()):
        if b'"title"' in line and (found := _read(line)).get("k") in ("title", "end"):
            title = found.get("title")
            if isinstance(title, str) and title:
                return title
    return ""


def _first_words(head: bytes) -> str:
    """Return the beginning of the first prompt, also of one too long to be read to its end."""
    found = re.search(rb'"k":"turn".{0,80}?"words":"((?:[^"\\]|\\.){1,400})', head)
    if found is None:
        return ""
    words = _read(b'{"words":"' + found[1].rstrip(b"\\") + b'"}').get("words", "")
    return title_of(words) if isinstance(words, str) else ""


def _read(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
