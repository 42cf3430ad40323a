"""Files on this machine's disk: read whole, written atomically. It knows no workspace.

Everything here blocks and is called in a thread.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from acp_agent.errors import ToolFailed


def read(path: Path, limit: int) -> bytes:
    """Return the content of a regular file.

    Raises:
        FileNotFoundError: There is no such file.
        ToolFailed: It is a directory, a device, larger than `limit` bytes, or may not be read.

    """
    try:
        # Without O_NONBLOCK the opening of a pipe would wait for its writer.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise failure("read", path, error) from None
    try:
        _check(path, os.fstat(fd), limit)
        with open(fd, "rb", closefd=False) as file:
            return file.read(limit)
    except OSError as error:
        raise failure("read", path, error) from None
    finally:
        os.close(fd)


def _check(path: Path, status: os.stat_result, limit: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ToolFailed(f"{str(path)!r} is a directory; use list_files")
    if not stat.S_ISREG(status.st_mode):
        raise ToolFailed(f"{str(path)!r} is no regular file")
    if status.st_size > limit:
        raise ToolFailed(
            f"{str(path)!r} has {status.st_size} bytes, more than the {limit} that this tool"
            " reads; use the shell (head, tail, grep, sed)"
        )


def write(path: Path, data: bytes) -> None:
    """Replace or create a file at once: readers see the old content or the new, never half.

    The mode is kept, missing directories are made. Raises ToolFailed.
    """
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(path.lstat().st_mode):
                raise ToolFailed(f"{str(path)!r} is no regular file")
        _fill(temporary, data, like=path)
        temporary.replace(path)
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError):
            temporary.unlink()
        raise failure("write", path, error) from None


def _fill(temporary: Path, data: bytes, like: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(temporary, flags, 0o666), "wb") as file:  # noqa: PTH123 - opened exclusively
        with suppress(FileNotFoundError):
            old = like.stat()
            if (old.st_uid, old.st_gid) != (os.getuid(), os.getgid()):
                with suppress(PermissionError):
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def delete(path: Path) -> None:
    """Remove a file. Raises ToolFailed."""
    try:
        path.unlink()
    except (OSError, ValueError) as error:
        raise failure("delete", path, error) from None


def failure(verb: str, path: Path, error: Exception) -> ToolFailed:
    """Return what the model reads when the system refuses."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ToolFailed(f"cannot {verb} {str(path)!r}: {reason.lower()}")
