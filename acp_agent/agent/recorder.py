"""What keeps a session's record; a port of the core. Nothing is said before it is written down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from acp_agent.conversation import Entry, UserMessage
from acp_agent.events import Event


class Recorder(Protocol):
    """Takes down all that happens in a session, in order; it never fails the session.

    Writing is quick; `end` makes sure that what was written lasts.
    """

    def turn(self, number: int, message: UserMessage) -> None:
        """Take down a prompt. Raises AgentError if the session has gone on elsewhere."""
        ...

    def event(self, event: Event) -> None:
        """Take down what is about to be said."""
        ...

    def added(self, entry: Entry) -> None:
        """Take down what the model has said, or is told, more."""
        ...

    def dropped(self, count: int) -> None:
        """Take down that the last entries are forgotten."""
        ...

    def replaced(self, entries: Sequence[Entry]) -> None:
        """Take down what the model is told instead of all before."""
        ...

    def permission(self, call_id: str, tool: str, scope: str, verdict: str) -> None:
        """Take down what was allowed, by the user or by a rule."""
        ...

    async def end(self, number: int, stop: str, error: str = "") -> None:
        """Take down how the turn has ended: its stop reason, or an error."""
        ...

    def close(self) -> None:
        """Let go of the record."""
        ...


class NoRecord:
    """Keeps nothing."""

    def turn(self, number: int, message: UserMessage) -> None: ...

    def event(self, event: Event) -> None: ...

    def added(self, entry: Entry) -> None: ...

    def dropped(self, count: int) -> None: ...

    def replaced(self, entries: Sequence[Entry]) -> None: ...

    def permission(self, call_id: str, tool: str, scope: str, verdict: str) -> None: ...

    async def end(self, number: int, stop: str, error: str = "") -> None: ...

    def close(self) -> None: ...
