"""The two file descriptors that are the wire, and plain reads and writes on them.

Whatever kind of file they are: pipe, socket (Node gives these), regular file, terminal. The event
loop's side is in `channel`.
"""

from __future__ import annotations

import os
import select
from typing import NamedTuple

from acp_agent.errors import ConfigError

CHUNK = 256 * 1024


class Wire(NamedTuple):
    """Private copies of stdin and stdout, which no child process inherits."""

    stdin: int
    stdout: int


def claim() -> Wire:
    """Take stdin and stdout away from everything else in this process.

    From then on a print, a C library or a child that writes to stdout writes to stderr, and one
    that reads stdin finds it empty.
    """
    try:
        os.fstat(1)  # before a copy of stdin can take its place
        wire = Wire(os.dup(0), os.dup(1))
    except OSError:
        raise ConfigError("stdin and stdout must be open: the protocol runs over them") from None
    null = os.open(os.devnull, os.O_RDWR)
    try:
        os.fstat(2)
    except OSError:
        os.dup2(null, 2)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return wire


def readable(fd: int, seconds: float | None) -> bool:
    """Wait until a read would not block; False when the time is over."""
    return bool(select.select([fd], [], [], seconds)[0])


def read(fd: int) -> bytes | None:
    """Read what there is: b"" at the end of the input, None if there is nothing after all."""
    try:
        return os.read(fd, CHUNK)
    except BlockingIOError:  # the other side of a shared file may have made it non-blocking
        return None
    except ConnectionResetError:
        return b""


def write_all(fd: int, data: bytes) -> None:
    """Write everything, waiting as long as it takes. Raises OSError when nobody can read it."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])
