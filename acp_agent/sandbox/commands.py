"""The sandbox of one session's commands: opened by the first of them, kept for all."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from acp_agent.sandbox.choose import Chooser
from acp_agent.sandbox.confined import Confined
from acp_agent.sandbox.policy import Mode, policy_for

logger = logging.getLogger(__name__)


class CommandSandbox:
    """Temporary files last from one command to the next; `close` removes them."""

    def __init__(
        self, chooser: Chooser, roots: Sequence[Path], *, mode: Mode, network: bool
    ) -> None:
        self._chooser = chooser
        self._roots = tuple(roots)
        self._mode: Mode = mode
        self.network = network
        self._opening = anyio.Lock()
        self._stack = AsyncExitStack()
        self._tried = False
        self._confined: Confined | None = None

    async def confined(self) -> Confined | None:
        """Return the open sandbox; None if commands run without one.

        Raises:
            ToolFailed: The one that the settings name does not work.

        """
        async with self._opening:
            if not self._tried and self._mode != "off":
                self._confined = await self._open()
            self._tried = True
            return self._confined

    async def close(self) -> None:
        """End what still runs in it."""
        async with self._opening:
            self._confined, self._tried = None, False
            await self._stack.aclose()

    async def _open(self) -> Confined | None:
        sandboxes = await self._chooser.for_commands()
        if sandboxes is None:
            logger.warning("commands run without a sandbox: none works here (acp-agent doctor)")
            return None
        policy = await anyio.to_thread.run_sync(
            partial(policy_for, self._mode, self._roots, network=self.network)
        )
        confined = await self._stack.enter_async_context(sandboxes.open(policy))
        logger.info("commands run in the sandbox %r", confined.name)
        return confined
