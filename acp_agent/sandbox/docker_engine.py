"""A connection to a Docker engine: the one place that calls the `docker` package.

Its calls block, so each runs in a worker thread, and its errors become one sentence for the user.
The time limit of the package bounds a single answer of the engine; it bounds no program.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import anyio.to_thread

from acp_agent.errors import ToolFailed

PROBE_SECONDS = 4
ANSWER_SECONDS = 30
# Where engines listen that do not link /var/run/docker.sock: Docker Desktop, rootless, colima.
_SOCKETS = (
    "/var/run/docker.sock",
    "{HOME}/.docker/run/docker.sock",
    "{XDG_RUNTIME_DIR}/docker.sock",
    "{HOME}/.colima/default/docker.sock",
)

T = TypeVar("T")


class Gone(ToolFailed):
    """What the call was about is not there, or does not run any more."""


class Engine:
    """`do` runs a function with the client of the `docker` package, which has no types."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def do(self, what: str, function: Callable[[Any], T], *, wait: bool = False) -> T:
        """Call `function` in a thread; with `wait`, a cancel lets it come to its end.

        Raises:
            Gone: The engine knows no such thing, or it does not run.
            ToolFailed: The engine could not do `what`, and why.

        """
        try:
            return await anyio.to_thread.run_sync(
                function, self._client, abandon_on_cancel=not wait
            )
        except _errors() as error:
            # Of one that is just being removed it speaks as of a fault of its own.
            gone = _status(error) in (404, 409) or "is not running" in _reason(error)
            kind = Gone if gone else ToolFailed
            raise kind(f"docker cannot {what}: {_reason(error)}") from None


@asynccontextmanager
async def connect(environ: Mapping[str, str]) -> AsyncGenerator[Engine]:
    """Connect to the engine of `environ`, or to one that listens here. Raises ToolFailed."""
    address = _address(environ)
    try:
        client = await anyio.to_thread.run_sync(_client, dict(environ) | {"DOCKER_HOST": address})
    except _errors() as error:
        raise ToolFailed(
            f"no Docker engine answers at {address} ({_reason(error)}); start Docker, or set"
            " DOCKER_HOST"
        ) from None
    try:
        yield Engine(client)
    finally:
        client.close()


def listens(environ: Mapping[str, str]) -> bool:
    """Tell whether there may be an engine; asks none, and imports nothing for it."""
    path = _address(environ).removeprefix("unix://")
    return not path.startswith("/") or Path(path).exists()


def _client(environ: dict[str, str]) -> Any:
    docker = _package()
    path = environ["DOCKER_HOST"].removeprefix("unix://")
    if path.startswith("/"):
        # The package would leave its socket open if this failed.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)
    client = docker.from_env(environment=environ, timeout=PROBE_SECONDS)
    client.api.timeout = ANSWER_SECONDS
    return client


def _address(environ: Mapping[str, str]) -> str:
    if named := environ.get("DOCKER_HOST"):
        return named
    values = {name: environ.get(name, "/nonexistent") for name in ("HOME", "XDG_RUNTIME_DIR")}
    paths = [pattern.format(**values) for pattern in _SOCKETS]
    return f"unix://{next((path for path in paths if Path(path).exists()), paths[0])}"


def _package() -> Any:
    import docker  # 70 ms and 30 MB, which only a sandbox needs

    return cast("Any", docker)


def _errors() -> tuple[type[Exception], ...]:
    from requests import RequestException

    # ValueError: an address that the package cannot read.
    return (_package().errors.DockerException, RequestException, OSError, ValueError)


def _status(error: Exception) -> int | None:
    return getattr(error, "status_code", None)


def _reason(error: BaseException) -> str:
    """Return what went wrong, on one line; what the system said first, if it did."""
    text = str(getattr(error, "explanation", None) or error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror and "Errno" not in cause.strerror:
            text = cause.strerror
        cause = cause.__cause__ or cause.__context__
    return " ".join(text.split())[:300]
