"""Sandboxes made of Docker containers: one for each `open`, gone when its block is left.

Should the agent be killed, the container ends by itself, because nobody holds its input any more;
`reap` takes away what is left where an engine does not do that.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio

from acp_agent.errors import ToolFailed
from acp_agent.sandbox import owner, places
from acp_agent.sandbox.base import Limits, Policy, Unfit
from acp_agent.sandbox.docker_container import Container, remove_container
from acp_agent.sandbox.docker_engine import connect
from acp_agent.sandbox.docker_image import BUILD_SECONDS, missing_image, ready_image
from acp_agent.sandbox.docker_options import container_options, user

PROBE_SECONDS = 20.0
REAP_SECONDS = 10.0
_MAY = 'cd -- "$1" && [ -r . ] && [ "-$2" . ]'


class DockerSandboxes:
    """`image` is the name of an image, the path of a Dockerfile, or "" for the one that we build.

    `environ` says where the engine is (DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH). Without
    `obtain`, an image that is not there is trouble, and is neither fetched nor built.
    """

    name = "docker"

    def __init__(
        self, image: str = "", environ: Mapping[str, str] = os.environ, *, obtain: bool = True
    ) -> None:
        self._image = image
        self._environ = environ
        self._obtain = obtain

    async def trouble(self) -> str:
        """Say why it does not work here, "" if it does; builds the image if that is missing."""
        try:
            with anyio.fail_after(BUILD_SECONDS + PROBE_SECONDS):
                async with connect(self._environ) as engine:
                    await ready_image(engine, self._image, obtain=self._obtain)
            with anyio.fail_after(PROBE_SECONDS):
                async with self.open(Policy(limits=Limits(memory=64, scratch=2))) as sandbox:
                    async with sandbox.start(["true"], cwd=Path("/"), env={}) as program:
                        code = await program.wait()
        except ToolFailed as error:
            return str(error)
        except TimeoutError:
            return f"the Docker engine runs nothing within {PROBE_SECONDS:g} s; restart it"
        return f"a program in a container ended with {code}; see the engine's log" if code else ""

    async def missing(self) -> str:
        """Return the image that `trouble` and `open` would build first, "" if there is no need."""
        if not self._obtain:
            return ""
        with suppress(ToolFailed):  # which `trouble` explains
            async with connect(self._environ) as engine:
                return await missing_image(engine, self._image)
        return ""

    @asynccontextmanager
    async def open(self, policy: Policy) -> AsyncGenerator[Container]:
        """Make a container. Raises ToolFailed."""
        places.check((*policy.writable, *policy.readable))
        async with connect(self._environ) as engine:
            image = await ready_image(engine, self._image, obtain=self._obtain)
            container = Container(engine, container_options(image, policy, owner.labels()))
            try:
                await container.open()
                await _try_places(container, policy)
                yield container
            finally:
                await container.close()

    async def reap(self) -> int:
        """Remove the containers of agents that are dead; return how many. Never fails."""
        removed = 0
        with anyio.move_on_after(REAP_SECONDS), suppress(ToolFailed):
            async with connect(self._environ) as engine:
                for found in await engine.do("list containers", _ours):
                    if owner.is_orphan(found["Labels"]):
                        await remove_container(engine, found["Id"])
                        removed += 1
        return removed


async def _try_places(container: Container, policy: Policy) -> None:
    """Raise Unfit if programs may not use the workspace: they run as its owner, never as root."""
    for wanted, verb, roots in (
        ("w", "write in", policy.writable),
        ("r", "read", policy.readable),
    ):
        for root in roots:
            if await container.run(_MAY, str(root), wanted):
                raise Unfit(
                    f"in Docker python runs as {user(policy)} and may not {verb} {str(root)!r};"
                    " give the directory to a user who is not root, or install bubblewrap"
                )


def _ours(client: Any) -> list[dict[str, Any]]:
    return client.api.containers(all=True, filters={"label": owner.LABEL})
