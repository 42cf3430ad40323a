"""Finding out whether a way to make sandboxes works: by making one and running a program in it."""

from __future__ import annotations

import os
from pathlib import Path

import anyio

from acp_agent.errors import ToolFailed
from acp_agent.sandbox.base import Policy, Sandboxes

PATIENCE = 10.0


async def trial(sandboxes: Sandboxes) -> str:
    """Return why nothing can be run in a sandbox, "" if it can."""
    env = {"PATH": os.environ.get("PATH", os.defpath)}
    output: list[bytes] = []
    try:
        with anyio.fail_after(PATIENCE):
            async with sandboxes.open(Policy()) as sandbox:
                async with sandbox.start(["true"], cwd=Path("/"), env=env) as running:
                    output += [data async for data in running.output]
                    status = await running.wait()
    except TimeoutError:
        return f"{sandboxes.name} did not run a program within {PATIENCE:g} s"
    except ToolFailed as error:
        return str(error)
    said = b"".join(output).decode(errors="replace").strip()
    return "" if status == 0 else said.rpartition("\n")[2] or f"exit code {status}"
