"""What a tool is: a name, words for the model, arguments, and a call prepared before it runs.

`prepare` looks and never touches: it finds out what the call would do, so that the editor can show
it (title, diff, locations) and the user can be asked. `Prepared.run` then does it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from acp_agent.conversation import ToolSpec
from acp_agent.events import Emit, Location, ToolContent, ToolKind

if TYPE_CHECKING:
    from pydantic import BaseModel  # 60 ms that the event loop does not wait for


@dataclass(frozen=True, slots=True)
class Permission:
    """What must be allowed before a call runs.

    `scope` is what "always allow" would cover: a command prefix (`git status`) or an absolute path.
    What only `reads` is asked about in a read-only session too, where all else is forbidden.
    What goes `beyond` the sandbox is asked about even where everything else is allowed.
    """

    tool: str
    scope: str
    reads: bool = False
    beyond: bool = False


@dataclass(frozen=True, slots=True)
class ToolResult:
    """How a call went: `text` for the model, the rest for the editor.

    `content` replaces what the prepared call showed; None keeps it.
    """

    text: str
    failed: bool = False
    raw_output: object = None
    content: tuple[ToolContent, ...] | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that is known in full and has not run."""

    title: str
    kind: ToolKind
    run: Callable[[Emit], Awaitable[ToolResult]]
    raw_input: object
    content: tuple[ToolContent, ...] = ()
    locations: tuple[Location, ...] = ()
    permission: Permission | None = None


class Tool(Protocol):
    """One tool of a session; it holds what it needs (workspace, editor) since it was made."""

    @property
    def spec(self) -> ToolSpec: ...

    @property
    def kind(self) -> ToolKind: ...

    @property
    def arguments(self) -> type[BaseModel]: ...

    async def prepare(self, call_id: str, arguments: BaseModel) -> Prepared:
        """Find out what the call would do. Raises ToolFailed, NotReady."""
        ...


class Toolbox(Protocol):
    """The tools on offer to one session."""

    @property
    def specs(self) -> tuple[ToolSpec, ...]: ...

    def announce(self, recipient: str) -> tuple[str, ToolKind]:
        """Return name and kind of the tool that `recipient` means, as far as they are known."""
        ...

    async def prepare(self, call_id: str, recipient: str, arguments: str) -> Prepared:
        """Resolve the recipient, check the arguments, prepare the call. As `Tool.prepare`."""
        ...

    async def ready(self) -> None:
        """Wait, for a moment, for tools that are on their way; `specs` change only here."""
        ...

    async def close(self) -> None:
        """Let go of what the tools hold: sandboxes, servers. The session is over."""
        ...
