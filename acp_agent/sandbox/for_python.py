"""The sandbox of `python`: the first that works, chosen when it is first opened."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from anyio import to_thread

from acp_agent.errors import NotReady, ToolFailed
from acp_agent.sandbox.base import Policy, Sandbox, Sandboxes, Unfit
from acp_agent.sandbox.choose import FOR_PYTHON, Chooser
from acp_agent.sandbox.policy import with_repositories

logger = logging.getLogger(__name__)


class PythonSandbox:
    """Opens what `chooser` finds; `tell` is for the user."""

    def __init__(self, chooser: Chooser, tell: Callable[[str], None] = logger.warning) -> None:
        self._chooser = chooser
        self._tell = tell

    async def trouble(self) -> str:
        """Say why there is none, "" if there is one. Raises NotReady while an image is missing."""
        if self._chooser.is_off:
            return "it is off by the settings"
        if image := await self._chooser.missing_image():
            what = f"Getting the Docker image {image} for python's sandbox, once; it takes minutes."
            raise NotReady(what, partial(self._chooser.trouble, "docker"))
        try:
            if (chosen := await self._chooser.for_python()) is not None:
                await self._tell_of_image(chosen.name)
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
        kept = await to_thread.run_sync(with_repositories, policy)
        async with AsyncExitStack() as stack:
            yield await self._enter(stack, sandboxes, kept)

    async def _enter(self, stack: AsyncExitStack, sandboxes: Sandboxes, policy: Policy) -> Sandbox:
        """Open one, or the next where that cannot keep to the policy."""
        try:
            return await stack.enter_async_context(sandboxes.open(policy))
        except Unfit as error:
            another = await self._chooser.after(sandboxes.name)
            if another is None:
                raise
            logger.info("python runs in %r: %s", another.name, error)
            await self._tell_of_image(another.name, str(error))
        return await self._enter(stack, another, policy)

    async def _tell_of_image(self, name: str, why: str = "") -> None:
        if image := self._chooser.misses_image(name):
            why = why or await self._chooser.trouble("docker")
            self._tell(f"python runs in {name}, and not in {image!r} (sandbox_image): {why}")
