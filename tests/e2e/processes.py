"""Looks at the machine's processes: who descends from whom, and who is still there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import NamedTuple

import anyio

PATIENCE = 60.0  # the tests share their machine; what takes long on a quiet one has its own bound
PAUSE = 0.02


class Process(NamedTuple):
    """A line of `ps`; id and command together name a process, for ids are used again."""

    pid: int
    command: str


def descendants(pid: int) -> set[Process]:
    """Return the processes below `pid`, in whatever process group they are."""
    rows = _table()
    found: set[Process] = set()
    parents = {pid}
    while parents:
        below = {Process(row.pid, row.command) for row in rows if row.parent in parents} - found
        found |= below
        parents = {process.pid for process in below}
    return found


def running(processes: set[Process]) -> set[Process]:
    """Return those of `processes` that still run."""
    return processes & {Process(row.pid, row.command) for row in _table()}


async def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Return when `condition` holds, which nothing announces, or fail after `seconds`."""
    with anyio.fail_after(seconds):
        while True:
            if condition():
                return
            await anyio.sleep(PAUSE)


class _Row(NamedTuple):
    pid: int
    parent: int
    command: str


def _table() -> list[_Row]:
    listing = ["ps", "-A", "-ww", "-o", "pid=", "-o", "ppid=", "-o", "stat=", "-o", "args="]
    ran = subprocess.run(listing, capture_output=True, check=True)
    rows: list[_Row] = []
    for line in ran.stdout.decode(errors="replace").splitlines():
        pid, parent, state, command = line.split(None, 3)
        if not state.startswith("Z"):  # a zombie runs no more; it waits to be counted
            rows.append(_Row(int(pid), int(parent), command))
    return rows
