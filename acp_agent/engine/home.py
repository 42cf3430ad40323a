"""The directory of one engine: its address, its locks; shared by the host and all who use it.

Three files serve as locks, because the kernel lets go of a lock when its holder dies, however it
dies: `alive` is held by the host while it lives, `starting` by whoever looks for it or starts it,
`users` is shared by all agents that use it. A process id would prove nothing: ids are used again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import IO, Literal

LockName = Literal["alive", "starting", "users"]


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What an engine runs; agents with equal specs share one. Zero leaves a value to llama.cpp."""

    model: Path
    context: int = 0
    parallel: int = 1
    batch: int = 0
    ubatch: int = 0
    port: int = 0
    threads: int = 0

    def digest(self) -> str:
        """Return a short name for this spec and the file as it is now. Raises OSError."""
        path = self.model.resolve()
        file = path.stat()
        numbers = tuple(value for value in astuple(self) if isinstance(value, int))
        parts = (str(path), file.st_size, file.st_mtime_ns, *numbers)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class EngineState:
    """What the host says about itself; `failure` is its last sentence."""

    pid: int
    url: str
    key: str
    model: str
    started: float
    ready: bool = False
    failure: str = ""


class Lock:
    """A lock that is held until `release`, or until the process ends."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def handed_on(self) -> int:
        """Return the file that holds the lock, for a program that takes our place."""
        os.set_inheritable(self._file.fileno(), True)
        return self._file.fileno()

    def release(self) -> None:
        """Let go; harmless when done twice."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class EngineHome:
    """The files of one engine below the runtime directory."""

    path: Path

    @property
    def _state(self) -> Path:
        return self.path / "state.json"

    def lock(self, name: LockName, *, shared: bool = False) -> Lock | None:
        """Take a lock; None if it cannot be had now."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (self.path / name).open("ab")
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        return Lock(file)

    def is_alive(self) -> bool:
        """Tell whether a host runs here."""
        lock = self.lock("alive", shared=True)
        if lock is not None:
            lock.release()
        return lock is None

    def read(self) -> EngineState | None:
        """Return the state, None if there is none that makes sense."""
        try:
            return EngineState(**json.loads(self._state.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, state: EngineState) -> None:
        """Replace the state in one step; it holds the key, so nobody else may read it."""
        draft = self.path / f".state.{os.getpid()}"
        draft.unlink(missing_ok=True)
        with open(draft, "x", encoding="utf-8", opener=_private) as file:
            json.dump(asdict(state), file)
        draft.replace(self._state)

    def forget(self) -> None:
        """Remove the state."""
        with suppress(OSError):
            self._state.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
