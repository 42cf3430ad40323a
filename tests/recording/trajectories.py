"""Trajectory files for tests, written from scripted events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from acp_agent import __version__
from acp_agent.conversation import Entry, UserMessage
from acp_agent.events import Event
from acp_agent.recording.records import to_object

Record = dict[str, Any]
BEGAN = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


class Script:
    """The records of a session, one second apart."""

    def __init__(self, session_id: str = "sess_1", cwd: str = "/code") -> None:
        self.records: list[Record] = []
        self._turns = 0
        self.record(
            "session",
            v=1,
            id=session_id,
            cwd=cwd,
            roots=[],
            agent=f"acp-agent {__version__}",
            mode="gptoss_20b",
            model="gpt-oss-20b",
        )
        values = {"mode": "gptoss_20b", "model": "gpt-oss-20b", "effort": "low", "approvals": "ask"}
        self.record("options", values=values)

    def record(self, kind: str, **fields: Any) -> None:
        now = BEGAN + timedelta(seconds=len(self.records))
        time = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.records.append({"t": time, "k": kind, **fields})

    def turn(
        self, message: UserMessage | str, events: Iterable[Event], stop: str = "end_turn"
    ) -> None:
        self._turns += 1
        said = UserMessage(message) if isinstance(message, str) else message
        self.record("turn", n=self._turns, message=to_object(said))
        for event in events:
            self.event(event)
        self.record("end", n=self._turns, stop=stop, title="", used=10, size=100)

    def event(self, event: Event) -> None:
        self.record("event", event=to_object(event))

    def add(self, entry: Entry) -> None:
        self.record("add", entry=to_object(entry))

    def permission(self, call: str, tool: str, scope: str, verdict: str) -> None:
        self.record("permission", call=call, tool=tool, scope=scope, verdict=verdict)

    def write(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{json.dumps(record)}\n" for record in self.records))
        return path
