"""A log of JSON objects, one a line, in a file of bounded size that only the user may read."""

from __future__ import annotations

import fcntl
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast


class JsonLog:
    """Appends objects to a file; several processes may share it, an object is one write.

    A file that is full becomes the first of `kept` older ones.
    """

    def __init__(self, where: Callable[[], Path], *, max_bytes: int, kept: int) -> None:
        self._where = where
        self._max_bytes = max_bytes
        self._kept = kept

    def append(self, record: dict[str, Any]) -> None:
        """Append one object. Raises OSError."""
        line = (json.dumps(record, ensure_ascii=True, separators=(",", ":")) + "\n").encode()
        path = self._where()
        if self._is_full(path, line):
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if self._is_full(path, line):  # nobody else has been faster
                    self._rotate(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def last(self, count: int) -> list[dict[str, Any]]:
        """Return the newest objects, oldest first; lines that are broken are left out."""
        found: deque[dict[str, Any]] = deque(maxlen=count)
        path = self._where()
        for number in (*range(self._kept, 0, -1), 0):
            try:
                text = _older(path, number).read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            found.extend(_records(text))
        return list(found)

    def _is_full(self, path: Path, line: bytes) -> bool:
        return path.exists() and path.stat().st_size + len(line) > self._max_bytes

    def _rotate(self, path: Path) -> None:
        for number in range(self._kept, 0, -1):
            newer = _older(path, number - 1)
            if newer.exists():
                newer.replace(_older(path, number))
        if not self._kept:
            path.unlink(missing_ok=True)


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


def _records(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            value: object = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield cast("dict[str, Any]", value)
