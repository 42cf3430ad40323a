"""No sandbox at all, in the shape of one: for what the user has allowed to run unconfined."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

from acp_agent.sandbox.base import Policy
from acp_agent.sandbox.process import Program, process_group


@asynccontextmanager
async def open_bare(policy: Policy) -> AsyncGenerator[Bare]:
    """Open what is no sandbox; the policy is not kept."""
    yield Bare()


class Bare:
    """A `Sandbox` that confines nothing."""

    name = "none"

    @asynccontextmanager
    async def start(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> AsyncGenerator[Program]:
        """Run a program; `env` is its whole environment. Raises ToolFailed if it cannot."""
        async with process_group(argv, cwd=str(cwd), env=env, stdin=PIPE) as process:
            yield Program(process)
