"""What the host asks of whoever serves the model, and what it gets: the port between them."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from acp_agent.engine.spec import EngineSpec

HOST = "127.0.0.1"


class LoadFailed(Exception):
    """The model could not be loaded; the text is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Order:
    """Serve `spec` with this context at a port, for who has the key; the log goes to `log`.

    `spare` bytes of memory are free besides.
    """

    spec: EngineSpec
    context: int
    port: int
    key: str
    log: Path
    spare: int = 4 << 30

    @property
    def url(self) -> str:
        """Return the address at which the engine answers."""
        return f"http://{HOST}:{self.port}"

    @property
    def prompt_cache(self) -> int:
        """Return the MiB in which conversations without a slot are kept: a share of the weights.

        llama.cpp's own 8 GiB would fill a laptop with what was said long ago.
        """
        weights = self.spec.model.stat().st_size >> 20
        return max(128, min(2048, weights // 8, self.spare >> 20))


class Server(Protocol):
    """A model that is served, until `close`."""

    @property
    def kind(self) -> str:
        """Which way: `wheel` or `llama-server`."""
        ...

    @property
    def version(self) -> str: ...

    @property
    def program(self) -> str:
        """The path of the program, "" if it is this process."""
        ...

    @property
    def pid(self) -> int:
        """The process that holds the weights."""
        ...

    def load(self) -> None:
        """Start to listen, and return when the model is there. Raises LoadFailed."""
        ...

    def is_alive(self) -> bool: ...

    def close(self) -> None:
        """End it; harmless when done twice."""
        ...


def free_port() -> int:
    """Return a port that nobody listens at, for now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
