"""What follows a session that runs: its log in the workspace, and what its model calls cost."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from acp_agent.recording.lines import Line, Opened, moment
from acp_agent.recording.metrics import Meter, MetricsLog
from acp_agent.recording.repository import commit_at
from acp_agent.recording.rlog_file import RlogWriter, rlog_path
from acp_agent.recording.trajectory import text_of

logger = logging.getLogger(__name__)


class Logged:
    """Writes a session's rlog to its workspace, and the same lines uncut beside it.

    Both begin with the first line, and a session that is gone on with goes on in them.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._rlog: RlogWriter | None = None
        self._copy = -1

    def line(self, line: Line, text: bytes) -> None:
        if self._rlog is None:
            self._rlog = self._begin()
        self._rlog.line(line)
        self._append(text)

    def close(self) -> None:
        if self._rlog is not None:
            self._rlog.close()
        self._give_up()

    def _begin(self) -> RlogWriter:
        workspace = Path(self._opened.cwd)
        began = moment(self._opened.time)
        day = datetime.now() if began is None else datetime.fromtimestamp(began)
        path = rlog_path(workspace, self._opened.id, day)
        rlog = RlogWriter(path, self._opened, commit_at(workspace))
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._copy = os.open(path.with_suffix(".jsonl"), flags, 0o600)
            size = os.fstat(self._copy).st_size
            is_torn = size and os.pread(self._copy, 1, size - 1) != b"\n"
        except OSError as error:
            self._give_up(error)
        else:
            self._append(b"\n" if is_torn else b"" if size else text_of(self._opened))
        return rlog

    def _append(self, data: bytes) -> None:
        try:
            while data and self._copy >= 0:
                data = data[os.write(self._copy, data) :]
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError | None = None) -> None:
        if error is not None:
            logger.warning(
                "the lines of session %s are not beside its log: %s", self._opened.id, error
            )
        if self._copy >= 0:
            os.close(self._copy)
            self._copy = -1


class Measured:
    """Writes down what each model call of a session cost; `memory` is what our engines hold."""

    def __init__(
        self, opened: Opened, log: MetricsLog, memory: Callable[[], int | None] = lambda: None
    ) -> None:
        self._meter = Meter(memory)
        self._meter.feed(opened)
        self._log = log
        self._is_broken = False

    def line(self, line: Line, text: bytes) -> None:
        generation = self._meter.feed(line)
        if generation is None or self._is_broken:
            return
        try:
            self._log.add(generation)
        except OSError as error:
            self._is_broken = True
            logger.warning("what model calls cost is not written down: %s", error)

    def close(self) -> None:
        """Nothing is open."""
