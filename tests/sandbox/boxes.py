"""A workspace on a machine with secrets, and sandboxes around what runs in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import anyio.to_thread
import pytest

from acp_agent.sandbox.base import Limits, Policy
from acp_agent.sandbox.bubblewrap import BubblewrapSandboxes
from acp_agent.sandbox.choose import Chooser, ConfinedSandboxes
from acp_agent.sandbox.commands import CommandSandbox
from acp_agent.sandbox.confined import Confined
from acp_agent.sandbox.landlock import LandlockSandboxes
from acp_agent.sandbox.policy import Mode, policy_for
from acp_agent.tools.shell import Shell, ShellArguments
from acp_agent.tools.workspace import Workspace

PYTHON = os.path.realpath(sys.executable)
LAYERS = {"bubblewrap": BubblewrapSandboxes, "landlock": LandlockSandboxes}
INSTALL = Path(__file__).parents[2] / "scripts" / "install_bubblewrap"
SMALL = Limits(memory=256, processes=40, cpus=2, scratch=16)
# Nobody else uses it; a sandbox must not see it in other processes.
SECRET = "top-secret-9f1c"


@dataclass(frozen=True)
class Ground:
    """Real directories that no sandbox replaces by its own, as /tmp would be."""

    work: Path
    outside: Path
    home: Path

    @property
    def victim(self) -> Path:
        return self.outside / "victim"

    @property
    def policy(self) -> Policy:
        return policy_for("workspace-write", [self.work])


@contextmanager
def ground() -> Generator[Ground]:
    with tempfile.TemporaryDirectory(dir=Path.home(), prefix=".acp-agent-test-") as base:
        made = Ground(*(Path(base) / name for name in ("work", "outside", "home")))
        for path in (made.work, made.outside, made.home / ".ssh"):
            path.mkdir(parents=True)
        made.victim.write_text("untouched")
        (made.home / ".ssh" / "id_ed25519").write_text(SECRET)
        yield made


class Box:
    """Something in a sandbox that runs commands; `run` gives exit status and output."""

    def __init__(self, name: str, where: Ground, confined: Confined, shell: Shell | None) -> None:
        self.name = name
        self.ground = where
        self.confined = confined
        self._shell = shell

    async def run(self, command: str) -> tuple[int | None, str]:
        if self._shell is not None:
            prepared = await self._shell.prepare("call-1", ShellArguments(command=command))
            result = await prepared.run(_ignore)
            raw = cast("dict[str, Any]", result.raw_output)
            return raw["exit_code"], raw["output"]
        env = {**os.environ, "HOME": str(self.ground.home)}
        argv = ["bash", "-c", command]
        async with self.confined.start(argv, cwd=self.ground.work, env=env) as running:
            output = b"".join([data async for data in running.output])
            return await running.wait(), output.decode(errors="replace")

    async def python(self, code: str) -> str:
        """Run Python in the sandbox; return what it wrote."""
        script = self.ground.work / "attempt.py"
        script.write_text(code)
        return (await self.run(f"{PYTHON} -I attempt.py"))[1]


async def _ignore(_: object) -> None:
    pass


async def working(name: str) -> ConfinedSandboxes:
    """Return the sandboxes of this name; skips the test where they do not work."""
    sandboxes = LAYERS[name]()
    if name == "bubblewrap":
        await anyio.to_thread.run_sync(install_bubblewrap)
    trouble = await sandboxes.trouble()
    if trouble:
        pytest.skip(f"{name} does not work here: {trouble}")
    return sandboxes


@cache
def install_bubblewrap() -> None:
    if sys.platform == "linux" and shutil.which("bwrap") is None:
        ran = subprocess.run(INSTALL, capture_output=True, text=True, check=False, timeout=300)
        if ran.returncode:
            pytest.skip(ran.stderr.strip().rpartition("\n")[2])


@asynccontextmanager
async def box(
    name: str, where: Ground, policy: Policy | None = None, mode: Mode = "workspace-write"
) -> AsyncGenerator[Box]:
    """Open a sandbox: `bubblewrap`, `landlock`, or the tool `shell` in either."""
    tool, _, layer = name.rpartition(" in ")
    sandboxes = await working(layer)
    if not tool:
        async with sandboxes.open(policy or where.policy) as confined:
            yield Box(name, where, confined, None)
        return
    commands = CommandSandbox(Chooser(layer), [where.work], mode=mode, network=False)
    environ = {**os.environ, "HOME": str(where.home)}
    shell = Shell(Workspace(where.work), None, timeout=30, environ=environ, sandbox=commands)
    try:
        confined = await commands.confined()
        assert confined is not None
        yield Box(name, where, confined, shell)
    finally:
        await commands.close()


def limited(where: Ground, limits: Limits = SMALL) -> Policy:
    return replace(where.policy, limits=limits)
