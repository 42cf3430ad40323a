"""The image of a Docker sandbox: what is told where it cannot be had, and a user's Dockerfile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio
import pytest

from acp_agent.sandbox.base import Policy
from acp_agent.sandbox.docker import DockerSandboxes

if TYPE_CHECKING:
    from tests.sandbox.conftest import DockerEngine

pytestmark = pytest.mark.anyio


async def test_an_image_that_may_not_be_fetched_is_trouble_at_once(
    docker_engine: DockerEngine,
) -> None:
    sandboxes = DockerSandboxes("no-such-image:at-all", docker_engine.environ, obtain=False)
    with anyio.fail_after(10):
        told = await sandboxes.trouble()
    assert told == "the image 'no-such-image:at-all' is not there, and the demo waits for none"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("no-such-image:at-all", "cannot get the image 'no-such-image:at-all' ("),
        ("No Such Name", "cannot get the image 'No Such Name' ("),
        ("", "cannot get the image 'acp-agent-sandbox:"),
    ],
)
async def test_an_image_that_cannot_be_had_is_named(
    docker_engine: DockerEngine, image: str, words: str
) -> None:
    with anyio.fail_after(60):
        told = await DockerSandboxes(image, docker_engine.environ).trouble()
    if image == "" and told == "":
        pytest.skip("there is a registry here")
    assert words in told
    assert "connect to a registry once, or set sandbox_image" in told


async def test_a_dockerfile_of_the_user_is_built_once(
    docker_engine: DockerEngine, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(
        # Of this run alone: the engine keeps what it has built.
        f"# {uuid4()}\nFROM {docker_engine.image}\nCOPY beside /beside\nENV WHERE=mine\n"
    )
    (tmp_path / "beside").write_text("copied")
    sandboxes = DockerSandboxes(str(tmp_path / "Dockerfile"), docker_engine.environ)
    with anyio.fail_after(60):
        assert (await sandboxes.missing()).startswith("acp-agent-sandbox:")
        async with sandboxes.open(Policy()) as sandbox:
            argv = ["sh", "-c", "cat /beside; echo $WHERE"]
            async with sandbox.start(argv, cwd=Path("/"), env={}) as program:
                assert b"".join([x async for x in program.output]) == b"copiedmine\n"
        assert await sandboxes.missing() == ""
        assert await sandboxes.trouble() == ""


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (None, "cannot read the Dockerfile"),
        (
            "FROM {image}\nRUN false\n",
            "returned a non-zero code: 1); mend that Dockerfile, or connect",
        ),
        ("nonsense", "unknown instruction"),
        ("FROM {image}\nRUN rm -f /usr/bin/cat\n", "its image must have sh and cat"),
    ],
)
async def test_a_dockerfile_that_does_not_work_is_named(
    docker_engine: DockerEngine, tmp_path: Path, words: str | None, reason: str
) -> None:
    file = tmp_path / "Dockerfile"
    if words is not None:
        file.write_text(words.format(image=docker_engine.image))
    with anyio.fail_after(60):
        assert reason in await DockerSandboxes(str(file), docker_engine.environ).trouble()
