"""Reads a trajectory from its file, line by line; what cannot be read is skipped, and said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from acp_agent.errors import ConfigError
from acp_agent.paths import state_dir
from acp_agent.recording.lines import Line, line_of
from acp_agent.recording.records import BadRecord

MAX_LINE = 64 * 1024 * 1024  # bytes; as many as a line of the protocol may have
SESSIONS = "sessions"

Skip = Callable[[int, str], None]


def read(path: Path, skip: Skip) -> Iterator[Line]:
    """Give the lines of a trajectory; `skip` is told the number of a bad one, and what is wrong.

    Kinds of a later version are passed over. No more than one line is held.
    """
    for _, line in read_with_text(path, skip):
        yield line


def read_with_text(path: Path, skip: Skip) -> Iterator[tuple[bytes, Line]]:
    """Give every line as it stands in the file, and what it says."""
    with regular(path).open("rb") as file:
        for number, text in numbered(file):
            if text is None:
                skip(number, f"it has more than {MAX_LINE} bytes")
                continue
            try:
                line = line_of(json.loads(text.decode()))
            except BadRecord as error:
                skip(number, str(error))
            except (ValueError, RecursionError):
                torn = not text.endswith(b"\n")
                skip(number, "it is the last and was not finished" if torn else "it is not JSON")
            else:
                if line is not None:
                    yield text, line


def numbered(file: BinaryIO, limit: int = MAX_LINE) -> Iterator[tuple[int, bytes | None]]:
    """Give the lines that hold something, counted from 1; None for one above `limit` bytes."""
    number = 0
    while text := file.readline(limit + 1):
        number += 1
        if len(text) <= limit or text.endswith(b"\n"):
            if text.strip():
                yield number, text
            continue
        while text and not text.endswith(b"\n"):
            text = file.readline(limit)
        yield number, None


def regular(path: Path) -> Path:
    """Return the path of a file that can be read to its end. Raises ConfigError."""
    if not path.exists():
        raise ConfigError(f"no file {str(path)!r}")
    if not path.is_file():
        raise ConfigError(f"{str(path)!r} is not a file")
    return path


def trajectory_file(target: str) -> Path:
    """Return the file that `target` names: a path, or the id of a session. Raises ConfigError."""
    if "/" in target or "." in target or Path(target).is_file():
        return regular(Path(target))
    if not target.replace("_", "").replace("-", "").isalnum():
        raise ConfigError(f"{target!r} is neither a file nor the id of a session")
    found = sorted((state_dir() / SESSIONS).glob(f"*/{target}.jsonl"))
    if not found:
        raise ConfigError(f"no file and no session {target!r} (looked in {state_dir() / SESSIONS})")
    return found[0]
