"""The sandbox of `python`: the first that works, chosen when it is first opened."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from acp_agent.errors import NotReady, ToolFailed
from acp_agent.sandbox.base import Policy, Sandbox
from acp_agent.sandbox.choose import FOR_PYTHON, Chooser


class PythonSandbox:
    """Opens what `chooser` finds."""

    def __init__(self, chooser: Chooser) -> None:
        self._chooser = chooser

    async def trouble(self) -> str:
        """Say why there is none, "" if there is one. Raises NotReady while an image is missing."""
        if image := await self._chooser.missing_image():
            what = f"Getting the Docker image {image} for python's sandbox, once; it takes minutes."
            raise NotReady(what, partial(self._chooser.trouble, "docker"))
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
