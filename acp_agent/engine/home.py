"""The directory of one engine: its address, its locks; shared by the host and all who use it.

Three files serve as locks, because the kernel lets go of a lock when its holder dies, however it
dies: `alive` is held by the host while it lives, `starting` by whoever looks for it or starts it,
`users` is shared by all agents that use it. A process id would prove nothing: ids are used again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import IO, Any, Literal

from acp_agent.paths import runtime_dir

LockName = Literal["alive", "starting", "users"]
PREFIX = "engine-"
MOST_CRASHES = 8  # that are remembered
LOOKS, LOOK_SECONDS = 20, 0.02


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
    kind: str = ""  # "wheel" or "llama-server"
    version: str = ""
    program: str = ""  # the path of llama-server
    child: int = 0  # its process
    context: int = 0
    parallel: int = 0
    log: str = ""
    linger: float = 0.0
    idle: float = 0.0
    keepalive: float = 0.0  # seconds between requests that keep it warm
    warnings: tuple[str, ...] = ()
    memory: int = 0  # bytes that it holds, and held at most
    memory_peak: int = 0
    pressure: float = 0.0  # share of the machine's memory that is in use
    limit: float = 0.0
    stall: float = 0.0  # seconds without progress after which loading is given up; 0: never


FIELDS = tuple(each.name for each in fields(EngineState))


@dataclass(frozen=True, slots=True)
class Crash:
    """An engine that died though it had worked, or before it said why it could not."""

    time: float
    words: str


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

    @property
    def _crashes(self) -> Path:
        return self.path / "crashes.json"

    def lock(self, name: LockName, *, shared: bool = False) -> Lock | None:
        """Take a lock; None if it cannot be had now."""
        while True:
            try:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                file = (self.path / name).open("ab")
            except FileNotFoundError:
                continue  # it was removed between the two
            try:
                fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except OSError:
                file.close()
                return None
            if _is_at(file, self.path / name):
                return Lock(file)
            file.close()  # removed since: who comes next would take another file

    def lock_soon(self, name: LockName, *, shared: bool = False) -> Lock | None:
        """Take a lock though somebody just looks at it; None if it is held for longer than that."""
        for _ in range(LOOKS):
            lock = self.lock(name, shared=shared)
            if lock is not None:
                return lock
            time.sleep(LOOK_SECONDS)
        return None

    def is_alive(self) -> bool:
        """Tell whether a host runs here; makes nothing."""
        if not self.path.exists():
            return False
        lock = self.lock("alive", shared=True)
        if lock is not None:
            lock.release()
        return lock is None

    def read(self) -> EngineState | None:
        """Return the state, None if there is none that makes sense."""
        try:
            values = json.loads(self._state.read_text(encoding="utf-8"))
            # Another version of this program may have written more, and may have to be ended.
            known: dict[str, Any] = {name: values[name] for name in FIELDS if name in values}
            known["warnings"] = tuple(known.get("warnings", ()))
            return EngineState(**known)
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def write(self, state: EngineState) -> None:
        """Replace the state in one step; it holds the key, so nobody else may read it."""
        self._replace(self._state, json.dumps(asdict(state)))

    def forget(self) -> None:
        """Remove the state, and what was asked of the host that wrote it."""
        for path in (self._state, self.path / "linger", self.path / "quiet"):
            with suppress(OSError):
                path.unlink()

    def crashes(self) -> list[Crash]:
        """Return when and why engines here died, oldest first."""
        try:
            found = json.loads(self._crashes.read_text(encoding="utf-8"))
            return [Crash(float(time), str(words)) for time, words in found]
        except (OSError, ValueError, TypeError):
            return []

    def note_crash(self, crash: Crash) -> None:
        """Remember a crash."""
        kept = [*self.crashes(), crash][-MOST_CRASHES:]
        self._replace(self._crashes, json.dumps([astuple(one) for one in kept]))

    def ask_linger(self, pid: int, seconds: float) -> None:
        """Ask the host with this process id to stay so long after its last user."""
        self._replace(self.path / "linger", f"{pid} {seconds!r}")

    def asked_linger(self, pid: int) -> float | None:
        """Return what that host was asked last; None if nothing was."""
        try:
            asked, seconds = (self.path / "linger").read_text(encoding="utf-8").split()
            return float(seconds) if asked == str(pid) else None
        except (OSError, ValueError):
            return None

    def ask_quiet(self, pid: int) -> None:
        """Ask the host with this process id for no more requests that keep the model warm."""
        self._replace(self.path / "quiet", str(pid))

    def is_quiet(self, pid: int) -> bool:
        """Tell whether the host with this process id was asked for that."""
        try:
            return (self.path / "quiet").read_text(encoding="utf-8") == str(pid)
        except OSError:
            return False

    def remove(self, *held: LockName) -> bool:
        """Remove the directory if nobody has anything to do with it; the caller may hold locks."""
        with ExitStack() as stack:
            names: tuple[LockName, ...] = ("alive", "starting", "users")
            for name in names:
                lock = None if name in held else self.lock(name)
                if lock is not None:
                    stack.callback(lock.release)
                elif name not in held:
                    return False
            shutil.rmtree(self.path, ignore_errors=True)
        return True

    def _replace(self, path: Path, text: str) -> None:
        draft = self.path / f".{path.name}.{os.getpid()}"
        draft.unlink(missing_ok=True)
        with open(draft, "x", encoding="utf-8", opener=private) as file:
            file.write(text)
        draft.replace(path)


def engine_homes() -> list[tuple[EngineHome, EngineState, bool]]:
    """Return the engines of this user: where, what each says about itself, whether it lives.

    One that has said nothing yet is left out; one that does not live has crashed.
    """
    found: list[tuple[EngineHome, EngineState, bool]] = []
    for path in sorted(runtime_dir().glob(f"{PREFIX}*")):
        home = EngineHome(path)
        alive, state = home.is_alive(), home.read()
        if state is not None:
            found.append((home, state, alive))
    return found


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def private(path: str, flags: int) -> int:
    """Open a file that nobody else may read; for `open`."""
    return os.open(path, flags, mode=0o600)
