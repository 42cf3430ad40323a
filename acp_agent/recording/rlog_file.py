"""The rlog of a session that runs: a file in the workspace that grows with it.

A file that cannot be written is reported once, and stops no turn.
"""

from __future__ import annotations

import logging
import os
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from acp_agent.recording.lines import Line, Opened
from acp_agent.recording.read import numbered
from acp_agent.recording.repository import Commit
from acp_agent.recording.rlog import Rlog
from acp_agent.recording.rlog_header import header_lines
from acp_agent.recording.validate import Validator

logger = logging.getLogger(__name__)

MAX_LINE = 1024 * 1024


def rlog_path(workspace: Path, session_id: str, now: datetime) -> Path:
    """Return where the log of a session that begins at `now`, local time, belongs."""
    return workspace / "docs" / "logs" / now.strftime("%Y%m%d") / f"{session_id}.rlog"


class RlogWriter:
    """Writes the rlog beside a trajectory, from the same lines.

    A file that exists is gone on with: what a killed process left open in it is closed.
    """

    def __init__(self, path: Path, opened: Opened, commit: Commit) -> None:
        """Open the file for its session; nothing is raised if that fails."""
        self._path = path
        self._rlog = Rlog(opened.id)
        self._file: BinaryIO | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)
            self._begin(self._file, opened, commit)
        except OSError as error:
            self._give_up(error)

    def line(self, line: Line) -> None:
        """Write what a line of the trajectory means for people."""
        if self._file is not None:
            self._write(self._rlog.feed(line))

    def close(self) -> None:
        """Write the end, once."""
        self._write(self._rlog.end())
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self, file: BinaryIO, opened: Opened, commit: Commit) -> None:
        validator, is_torn = Validator(), False
        for _, text in numbered(file, MAX_LINE):
            shown = (text or b"").decode(errors="replace")
            is_torn = not shown.endswith("\n")
            validator.line(shown.rstrip("\n"))
        if not validator.has_header:
            file.truncate(0)
            self._write(header_lines(opened, commit))
            return
        self._rlog = Rlog(opened.id, steps=validator.last_step, is_new=False)
        left = (f"o: id={call} interrupted → [error] not finished" for call in validator.open_calls)
        self._write([*([""] if is_torn else []), *left])

    def _write(self, lines: list[str]) -> None:
        if self._file is None or not lines:
            return
        try:
            self._file.write("".join(f"{line}\n" for line in lines).encode(errors="replace"))
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        logger.warning("the session is not logged to %s: %s", self._path, error)
        if self._file is not None:
            self._file.close()
            self._file = None
