"""Sessions of before, as the edge needs them; a port."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from acp_agent.conversation import UserMessage
from acp_agent.events import Event


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt of before, the first being number 1."""

    number: int
    message: UserMessage


class Stored(Protocol):
    """A session that is taken up again, by this process alone.

    The rest is known when `shown` was read to its end.
    """

    def shown(self) -> AsyncGenerator[Sequence[Asked | Event]]:
        """Give all that was said, in order."""
        ...

    @property
    def options(self) -> Mapping[str, str]: ...

    @property
    def title(self) -> str: ...

    @property
    def skipped(self) -> int:
        """How many lines could not be read."""
        ...

    def release(self) -> None:
        """Let others take it up."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """One session of a list; `updated` is UTC as `2026-11-20T12:34:56Z`."""

    id: str
    cwd: str
    title: str
    updated: str
    roots: tuple[str, ...] = ()


class SessionStore(Protocol):
    """All sessions of this user."""

    async def page(self, cwd: Path | None, cursor: str) -> tuple[Sequence[Listed], str]:
        """Return the sessions after `cursor`, newest first, and the next cursor, "" at the end.

        Raises:
            ValueError: No page begins there.

        """
        ...

    async def has(self, session_id: str) -> bool:
        """Tell whether there is a record of this session."""
        ...

    async def take_up(self, session_id: str) -> Stored | None:
        """Return a session to go on with; None if there is none. Raises AgentError."""
        ...

    async def delete(self, session_id: str) -> None:
        """Remove a session, if there is one. Raises AgentError."""
        ...
