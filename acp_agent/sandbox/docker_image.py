"""The image that a sandbox is made of: ours, built once, or what the user names."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import anyio

from acp_agent.errors import ToolFailed
from acp_agent.paths import user_path
from acp_agent.sandbox.docker_engine import Engine

DOCKERFILE = Path(__file__).with_name("Dockerfile")
REPOSITORY = "acp-agent-sandbox"
BUILD_SECONDS = 300.0

# With a client of the engine, the steps of its work.
Steps = Callable[[Any], Iterator[dict[str, Any]]]


async def ready_image(engine: Engine, wanted: str, *, obtain: bool = True) -> str:
    """Return the name of an image that the engine has; it is built or fetched where need be.

    `wanted` is the name of an image, the path of a Dockerfile, or "" for our own. Without `obtain`
    it must be there.

    Raises:
        ToolFailed: There is no such image, and why; one sentence for the user.

    """
    image, get = _plan(wanted)
    if not await _has(engine, image):
        if not obtain:
            raise ToolFailed(f"the image {image!r} is not there, and the demo waits for none")
        await _obtain(engine, image, get, wanted)
    return image


async def missing_image(engine: Engine, wanted: str) -> str:
    """Return the name of the image that `ready_image` would have to get, "" if it is there."""
    image, _ = _plan(wanted)
    return "" if await _has(engine, image) else image


def _plan(wanted: str) -> tuple[str, Steps]:
    """Return an image's name, and what fetches or builds it. Raises ToolFailed."""
    if wanted and not names_dockerfile(wanted):
        where = _name_and_tag(wanted)
        return wanted, lambda client: client.api.pull(*where, stream=True, decode=True)
    file = user_path(wanted) if wanted else DOCKERFILE
    try:
        words = file.read_bytes()
    except OSError as error:
        raise ToolFailed(f"cannot read the Dockerfile {str(file)!r}: {error.strerror}") from None
    tag = f"{REPOSITORY}:{hashlib.sha256(words).hexdigest()[:12]}"
    # Ours copies nothing, so it is sent alone; the user's may copy what lies beside it.
    source: dict[str, Any] = (
        {"path": str(file.parent), "dockerfile": file.name}
        if wanted
        else {"fileobj": io.BytesIO(words)}
    )
    return tag, lambda client: client.api.build(
        **source, tag=tag, rm=True, forcerm=True, decode=True
    )


def names_dockerfile(wanted: str) -> bool:
    """Tell whether the setting names a file, as `~/Dockerfile`, or an image, as `python:3.13`."""
    return wanted.startswith(("/", "~", ".")) or wanted.rpartition("/")[2] == "Dockerfile"


async def _has(engine: Engine, image: str) -> bool:
    # An engine that was asked to run a missing image would try to fetch it first.
    found = await engine.do("list images", lambda client: client.api.images(name=image))
    return bool(found)


async def _obtain(engine: Engine, image: str, steps: Steps, wanted: str) -> None:
    """Build or fetch an image. Raises ToolFailed."""
    abandoned = Event()

    def follow(client: Any) -> str:
        for step in steps(client):
            if "error" in step:
                return " ".join(str(step["error"]).split())[:300]
            if abandoned.is_set():
                break
        return ""

    trouble = f"it is not there after {BUILD_SECONDS:g} s"
    try:
        with anyio.move_on_after(BUILD_SECONDS):
            trouble = await engine.do("get it", follow)
    except ToolFailed as error:
        trouble = str(error)
    finally:
        abandoned.set()
    if trouble or not await _has(engine, image):
        reason = trouble or "it is not there"
        if names_dockerfile(wanted):
            raise ToolFailed(
                f"cannot build the image of {wanted!r} ({reason}); mend that Dockerfile, or connect"
                " to the registry that it needs"
            )
        raise ToolFailed(
            f"cannot get the image {image!r} ({reason}); connect to a registry once, or set"
            " sandbox_image to an image that is there"
        )


def _name_and_tag(image: str) -> tuple[str, str | None]:
    name, colon, tag = image.rpartition(":")
    if not colon or "/" in tag or "@" in image:
        return image, None if "@" in image else "latest"
    return name, tag
