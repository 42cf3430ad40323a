"""A real Docker engine, sandboxes without one, and shorthand for running code in them."""

from __future__ import annotations

import os
import shlex
import subprocess
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from acp_agent.sandbox.base import Limits, Policy, Sandbox
from acp_agent.sandbox.docker import DockerSandboxes
from tests.sandbox import boxes
from tests.sandbox.boxes import Ground, ground, limited

SCRIPTS = Path(__file__).parents[2] / "scripts"
PATIENCE = 60


@dataclass(frozen=True)
class DockerEngine:
    """Where an engine listens, and an image with python3 that it has."""

    host: str
    image: str

    @property
    def environ(self) -> dict[str, str]:
        return {"DOCKER_HOST": self.host}

    @property
    def sandboxes(self) -> DockerSandboxes:
        return DockerSandboxes(self.image, self.environ)


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    """Give the engine that the environment names, or one of our own for as long as tests run."""
    named = {name: os.environ.get(name, "") for name in ("DOCKER_HOST", "ACP_AGENT_SANDBOX_IMAGE")}
    if all(named.values()):
        yield DockerEngine(*named.values())
        return
    # Tests that run beside these have another one.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    directory = f"/tmp/acp-agent-docker-{zlib.crc32(str(SCRIPTS).encode())}-{worker}"
    env = os.environ | {"ACP_AGENT_DOCKER_DIR": directory}
    started = subprocess.run(
        SCRIPTS / "start_docker", capture_output=True, text=True, check=False, timeout=300, env=env
    )
    if started.returncode:
        pytest.skip(f"no Docker to test with: {started.stderr.strip().splitlines()[-1]}")
    words = shlex.split(started.stdout.strip().splitlines()[-1])[1:]
    values = dict(word.split("=", 1) for word in words)
    yield DockerEngine(values["DOCKER_HOST"], values["ACP_AGENT_SANDBOX_IMAGE"])
    subprocess.run(SCRIPTS / "stop_docker", check=True, timeout=60, env=env)


@dataclass(frozen=True)
class Box:
    """A sandbox that is open, and the workspace in it."""

    sandbox: Sandbox
    workspace: Path

    async def run(self, *argv: str) -> tuple[str, int]:
        """Run a program to its end; return what it wrote and its status."""
        with anyio.fail_after(PATIENCE):
            async with self.sandbox.start(argv, cwd=self.workspace, env={}) as program:
                written = b"".join([data async for data in program.output])
                return written.decode(), await program.wait()

    async def python(self, code: str) -> str:
        """Return what a program of Python writes."""
        return (await self.run("python3", "-c", code))[0]


OpenBox = Callable[..., AbstractAsyncContextManager[Box]]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Give a workspace that everyone may write to, with a repository in it."""
    path = tmp_path / "work"
    (path / ".git" / "hooks").mkdir(parents=True)
    for directory in (path, path / ".git", path / ".git" / "hooks"):
        directory.chmod(0o777)
    return path


@pytest.fixture
def open_box(docker_engine: DockerEngine, workspace: Path) -> OpenBox:
    """Give what opens a sandbox on the workspace; arguments are those of `Policy`."""

    @asynccontextmanager
    async def box(limits: Limits | None = None, **policy: object) -> AsyncGenerator[Box]:
        rules = Policy(
            **{
                "writable": (workspace,),
                "protected": (workspace / ".git",),
                "limits": limits or Limits(memory=256, processes=64, scratch=16),
                **policy,
            }  # pyright: ignore[reportArgumentType] - the names are those of the fields
        )
        async with docker_engine.sandboxes.open(rules) as sandbox:
            yield Box(sandbox, workspace)

    return box


@pytest.fixture
async def box(open_box: OpenBox) -> AsyncIterator[Box]:
    async with open_box() as opened:
        yield opened


WAYS = ("bubblewrap", "landlock", "shell in bubblewrap", "shell in landlock")


@pytest.fixture
def where(home: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Ground]:
    monkeypatch.undo()  # the real home is where the directories go
    with ground() as made:
        monkeypatch.setenv("HOME", str(made.home))
        yield made


@pytest.fixture(params=WAYS)
async def jail(request: pytest.FixtureRequest, where: Ground) -> AsyncGenerator[boxes.Box]:
    with anyio.fail_after(60):
        async with boxes.box(request.param, where) as opened:
            yield opened


@pytest.fixture(params=("bubblewrap", "landlock"))
async def small(request: pytest.FixtureRequest, where: Ground) -> AsyncGenerator[boxes.Box]:
    with anyio.fail_after(60):
        async with boxes.box(request.param, where, limited(where)) as opened:
            yield opened
