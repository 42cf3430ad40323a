"""The sandbox of `python`: the first that works, chosen when it is first opened."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from acp_agent.errors import ToolFailed
from acp_agent.sandbox.base import Policy, Sandbox
from acp_agent.sandbox.choose import FOR_PYTHON, Chooser


class PythonSandbox:
    """Opens what `chooser` finds."""

    def __init__(self, chooser: Chooser) -> None:
        self._chooser = chooser

    async def trouble(self) -> str:
        """Say why there is none, "" if there is one."""
        if self._chooser.is_off:
            return "it is off by the settings"
        try:
            if await self._chooser.for_python() is not None:
                return ""
            found = [f"{name}: {await self._chooser.trouble(name)}" for name in FOR_PYTHON]
        except ToolFailed as error:
            return str(error)
        return "; ".join(found)

    @asynccontextmanager
    async def open(self, policy: Policy) -> AsyncGenerator[Sandbox]:
        """Open one. Raises ToolFailed if there is none."""
        sandboxes = await self._chooser.for_python()
        if sandboxes is None:
            raise ToolFailed("no sandbox works on this machine")
        async with sandboxes.open(policy) as sandbox:
            yield sandbox
