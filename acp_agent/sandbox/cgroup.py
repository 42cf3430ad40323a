"""A control group for the programs of one sandbox, where the kernel lets us make one.

It bounds what they use together, root included, which limits of a single process (setrlimit)
cannot; and it knows all of them, those too that have made themselves daemons. We may make one as
root, and in most desktop sessions of systemd; elsewhere there is none, which `Cgroup.bounds` tells.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

from acp_agent.sandbox.base import Limits

ROOT = Path("/sys/fs/cgroup")
PREFIX = "acp-agent-"
_PERIOD = 100_000
_PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The directories of one control group, by hierarchy, and what is bounded there."""

    directories: tuple[Path, ...] = ()
    bounds: frozenset[str] = frozenset()

    def entering(self) -> list[str]:
        """Return the words that, put in front of a command, run it in the group."""
        if not self.directories:
            return []
        files = [str(directory / "cgroup.procs") for directory in self.directories]
        return ["/bin/sh", "-c", _ENTER, "enter", *files, "--"]


_ENTER = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift; exec "$@"'


@asynccontextmanager
async def cgroup(limits: Limits) -> AsyncGenerator[Cgroup]:
    """Make a group, as far as that is possible; what is still in it at the end is killed."""
    name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    made: list[Path] = []
    bounds: set[str] = set()
    try:
        for parent in _parents():
            _sweep(parent)
            bound = _make(parent / name, _settings(limits))
            if bound:
                made.append(parent / name)
                bounds |= bound
        yield Cgroup(tuple(made), frozenset(bounds))
    finally:
        with anyio.move_on_after(_PATIENCE, shield=True):
            for directory in made:
                await _remove(directory)


def _parents() -> Iterator[Path]:
    """Give the directories in which a group beside or below our own may be made."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                # The group of a process cannot have both processes and bounded children.
                yield ROOT / path.strip("/").rpartition("/")[0]
            elif {"memory", "pids", "cpu"} & set(controllers.split(",")):
                yield ROOT / controllers / path.strip("/")


def _settings(limits: Limits) -> Mapping[str, tuple[str, str]]:
    """Return what each file of a group is to hold, and which bound that is."""
    memory, cpus = str(limits.memory << 20), int(limits.cpus * _PERIOD)
    return {
        "pids.max": ("processes", str(limits.processes)),
        "memory.max": ("memory", memory),
        "memory.swap.max": ("", "0"),
        "memory.limit_in_bytes": ("memory", memory),
        "memory.memsw.limit_in_bytes": ("", memory),
        "cpu.max": ("cpus", f"{cpus} {_PERIOD}"),
        "cpu.cfs_quota_us": ("cpus", str(cpus)),
    }


def _make(directory: Path, settings: Mapping[str, tuple[str, str]]) -> set[str]:
    """Make a group; return what is bounded in it, nothing if it is of no use and gone again."""
    if not os.access(directory.parent / "cgroup.procs", os.W_OK):
        return set()
    bounds: set[str] = set()
    try:
        directory.mkdir()
        for file, (bound, value) in settings.items():
            if (directory / file).exists():
                (directory / file).write_text(value, encoding="ascii")
                bounds |= {bound} - {""}
    except OSError:
        bounds.clear()
    if not bounds:
        with suppress(OSError):
            directory.rmdir()
    return bounds


def _sweep(parent: Path) -> None:
    """Remove the empty groups of agents that were killed."""
    for directory in parent.glob(f"{PREFIX}*"):
        owner = directory.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            with suppress(OSError):
                directory.rmdir()


async def _remove(directory: Path) -> None:
    """Kill what is in the group until it can be removed."""
    while True:
        try:
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            with suppress(OSError, ValueError):
                for pid in (directory / "cgroup.procs").read_text(encoding="ascii").split():
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(int(pid), signal.SIGKILL)
            await anyio.sleep(0.01)  # nobody tells when the last of them is gone
        else:
            return
