"""What installing a model is made of: the values and ports that catalog, sources and store share.

A model is a set of files. A `Source` says which they are and gives their bytes; the store keeps
them, and a manifest says what each must be.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from acp_agent.errors import AgentError

# What is hashed by itself, so that a damaged part can be fetched alone.
BLOCK = 64 << 20


class InstallFailed(AgentError):
    """A model cannot be had; the text says why and what to do, in one sentence for the user."""


class Interrupted(AgentError):
    """The bytes stopped coming; worth another try, after `wait` seconds if the server said so."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at its source: `path` is relative, with `/`; `sha256` is "" where nobody says it."""

    path: str
    size: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source has of a model; `revision` pins it (a commit), "" if nothing does."""

    revision: str
    files: tuple[RemoteFile, ...]


class Source(Protocol):
    """Where the files of one model come from."""

    @property
    def name(self) -> str:
        """What it is called in manifests and messages: `hub:ggml-org/gpt-oss-20b-GGUF`."""
        ...

    async def list(self) -> Listing:
        """Ask what there is. Raises InstallFailed, Interrupted."""
        ...

    def read(
        self, listing: Listing, file: RemoteFile, start: int
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open the bytes from `start` on; exactly those, or it fails.

        Raises:
            Interrupted: On entering or on the way: try again from where it stopped.
            InstallFailed: Another try would not help.

        """
        ...


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A file as it must be: `blocks` are the SHA-256 of every `BLOCK` bytes in turn."""

    path: str
    size: int
    sha256: str
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: bytes of all files together, `rate` in bytes a second, `eta` in seconds.

    `note` says why it does not go on just now, and when it will.
    """

    stage: Literal["checking", "downloading", "verifying"]
    done: int
    total: int
    rate: float = 0.0
    eta: float | None = None
    note: str = ""


Tell = Callable[[Progress], None]
