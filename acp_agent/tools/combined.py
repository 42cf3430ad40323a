"""Two toolboxes as one: the tools that are always there, and those that come and go."""

from __future__ import annotations

from typing import Protocol

from acp_agent.conversation import ToolSpec
from acp_agent.errors import ToolFailed
from acp_agent.events import ToolKind
from acp_agent.tools.base import Prepared, Toolbox
from acp_agent.tools.names import resolve


class Dynamic(Toolbox, Protocol):
    """A toolbox that can tell its own calls from others."""

    def knows(self, recipient: str) -> bool: ...


class Combined:
    """A `Toolbox`: the fixed tools stand first, so that the prompt begins as it always does."""

    def __init__(self, fixed: Toolbox, dynamic: Dynamic) -> None:
        self._fixed = fixed
        self._dynamic = dynamic
        self._parts: tuple[tuple[ToolSpec, ...], tuple[ToolSpec, ...]] = ((), ())
        self._specs: tuple[ToolSpec, ...] = ()

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The same object as long as nothing has changed: a codec compares by identity."""
        parts = (self._fixed.specs, self._dynamic.specs)
        if parts[0] is not self._parts[0] or parts[1] is not self._parts[1]:
            self._parts = parts
            self._specs = parts[0] + parts[1]
        return self._specs

    def announce(self, recipient: str) -> tuple[str, ToolKind]:
        """Return name and kind of the tool that `recipient` means, as far as they are known."""
        return self._box(recipient).announce(recipient)

    async def prepare(self, call_id: str, recipient: str, arguments: str) -> Prepared:
        """Resolve the recipient, check the arguments, prepare the call. Raises ToolFailed."""
        try:
            return await self._box(recipient).prepare(call_id, recipient, arguments)
        except ToolFailed as error:
            more = [spec.name for spec in self._dynamic.specs if not spec.deferred]
            if not str(error).startswith("unknown tool") or not more:
                raise
            names = ", ".join(f"functions.{name}" for name in more)
            raise ToolFailed(f"{error}, {names}") from None

    async def ready(self) -> None:
        await self._fixed.ready()
        await self._dynamic.ready()

    async def close(self) -> None:
        """Let go of both, whatever becomes of the first."""
        try:
            await self._fixed.close()
        finally:
            await self._dynamic.close()

    def _box(self, recipient: str) -> Toolbox:
        # The fixed tools go before: no server can take the place of one by its name.
        try:
            resolve(recipient, [spec.name for spec in self._fixed.specs])
        except ToolFailed:
            return self._dynamic if self._dynamic.knows(recipient) else self._fixed
        return self._fixed
