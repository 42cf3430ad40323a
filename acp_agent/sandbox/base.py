"""What a sandbox is: a place where programs run and touch no more than a policy lets them.

Adapters (docker, bubblewrap) do not inherit from these; they only have to fit. A program in a
sandbox sees the workspace at the same absolute path as everyone else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from acp_agent.errors import ToolFailed


@dataclass(frozen=True, slots=True)
class Limits:
    """What all programs of a sandbox may use together; sizes in MiB, `file` that of one file."""

    memory: int = 2048
    processes: int = 256
    cpus: float = 2.0
    scratch: int = 512
    file: int = 4096


@dataclass(frozen=True, slots=True)
class Policy:
    """What a program may touch.

    `readable` and `writable` are directories, seen at the same path; `protected` lie in writable
    ones and can only be read; `hidden` cannot be seen at all (keys, container sockets, our own
    state). What a program makes at an `absent` place is gone when it has ended. Without `network`
    there is none, not even the machine itself.
    """

    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    protected: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    absent: tuple[Path, ...] = ()
    network: bool = False
    limits: Limits = Limits()


class Unfit(ToolFailed):
    """Sandboxes can be made, but none that keeps to the policy; another way may be able to."""


class Running(Protocol):
    """A program in a sandbox. Leaving the block that started it ends it and all it started."""

    @property
    def output(self) -> AsyncIterator[bytes]:
        """What it writes, stdout and stderr as one, as it comes; ends when it ended."""
        ...

    async def send(self, data: bytes) -> None:
        """Write to its stdin. Raises BrokenPipeError if it does not read any more."""
        ...

    async def interrupt(self) -> None:
        """Send it what Ctrl-C would (SIGINT); it may go on."""
        ...

    async def wait(self) -> int:
        """Return its exit status; minus the signal's number if one ended it."""
        ...


class Sandbox(Protocol):
    """An open sandbox; it lasts until the block that opened it is left."""

    @property
    def name(self) -> str:
        """What it is made with: `docker`, `bubblewrap`."""
        ...

    def start(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Running]:
        """Run a program. Raises ToolFailed if it cannot start."""
        ...


class Sandboxes(Protocol):
    """One way to make sandboxes."""

    @property
    def name(self) -> str: ...

    async def trouble(self) -> str:
        """Say why it does not work here, "" if it does; finds out by running it."""
        ...

    def open(self, policy: Policy) -> AbstractAsyncContextManager[Sandbox]:
        """Make a sandbox. Raises ToolFailed if it cannot be made, Unfit if not of this kind."""
        ...
