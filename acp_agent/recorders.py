"""What is kept of a session that opens: which files, and what it has behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from acp_agent import __version__
from acp_agent.agent.commands import Export
from acp_agent.agent.recorder import NoRecord, Recorder
from acp_agent.agent.session import Past
from acp_agent.agent.stored import SessionStore
from acp_agent.config import Settings
from acp_agent.protocol.sessions import OpenSession
from acp_agent.recording.followers import Logged, Measured
from acp_agent.recording.lines import Opened
from acp_agent.recording.metrics import MetricsLog
from acp_agent.recording.store import (
    NoSessions,
    Store,
    StoredSession,
    session_file,
    sessions_dir,
)
from acp_agent.recording.trajectory import Follower, Trajectory, now


class Recorders:
    """Keeps what the settings say; `memory` is what our engines hold."""

    def __init__(self, settings: Settings, memory: Callable[[], int | None]) -> None:
        self._settings = settings
        self._memory = memory
        self._metrics = MetricsLog()

    def store(self) -> SessionStore:
        """Return the sessions of before."""
        return Store(sessions_dir()) if self._settings.sessions else NoSessions()

    def open(self, opened: OpenSession) -> tuple[Recorder, Past, Export | None]:
        """Return the session's record, new or gone on with, what is behind it, its `/export`."""
        first, past = _first(opened), Past()
        if isinstance(opened.stored, StoredSession):
            record, recall = opened.stored.record, opened.stored.recall
            first = replace(first, time=recall.session.time)
            past = Past(recall.entries, recall.turns, recall.title, recall.tally)
        elif self._settings.sessions:
            record = Trajectory(session_file(opened.id, opened.cwd), first)
        elif self._settings.record:
            record = Trajectory(None)
        else:
            return NoRecord(), past, None
        values = opened.options.values
        record.bind(
            lambda: values,
            opened.note,
            list(self._followers(first)),
            title=past.title,
            usage=(past.tally.used, past.tally.size),
        )
        export = None if record.path is None else partial(_export, record.path, opened.cwd)
        return record, past, export

    def _followers(self, first: Opened) -> Iterator[Follower]:
        if self._settings.sessions:
            yield Measured(first, self._metrics, self._memory)
        if self._settings.record:
            yield Logged(first)


async def _export(record: Path, workspace: Path, form: str) -> str:
    from acp_agent.recording.document import Exporter  # 12 ms that most sessions do without

    return await Exporter(record, workspace)(form)


def _first(opened: OpenSession) -> Opened:
    values = opened.options.values
    return Opened(
        now(),
        opened.id,
        str(opened.cwd),
        tuple(map(str, opened.roots)),
        f"acp-agent {__version__}",
        values["mode"],
        values["model"],
    )
