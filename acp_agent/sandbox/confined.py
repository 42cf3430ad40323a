"""What the sandboxes without containers share: a command line in front of the program's own.

Whoever runs that line has the program in the sandbox, be it we or a terminal of the editor.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

from acp_agent.errors import ToolFailed
from acp_agent.sandbox.base import Limits, Running
from acp_agent.sandbox.cgroup import Cgroup
from acp_agent.sandbox.keeper import keeping
from acp_agent.sandbox.process import Program, process_group

LAUNCHER = Path(__file__).with_name("confine.py")
OPEN_FILES = 4096
# What waits outside must outlive a Ctrl-C that is for the program; the launcher undoes this.
_IGNORING = ("/bin/sh", "-c", 'trap "" INT; exec "$@"', "ignore")


@dataclass(frozen=True, slots=True)
class Confined:
    """A `Sandbox` that consists of words in front of a command; `temporary` is its own directory.

    `prefix` takes the working directory, and whether the program gets a session of its own. After
    each program what has changed at the `restored` places is put back. `launchers` is a directory
    that no program in the sandbox can change.
    """

    name: str
    prefix: Callable[[Path, bool], Sequence[str]]
    temporary: str
    group: Cgroup
    notes: tuple[str, ...]
    restored: tuple[Path, ...]
    absent: tuple[Path, ...]
    launchers: Path | None

    def wrap(self, argv: Sequence[str], cwd: Path, *, detached: bool = False) -> list[str]:
        """Return the command that runs `argv` in the sandbox, wherever it is run.

        Who runs it in a session that is not only for it (a terminal) wants it `detached`.
        """
        prefix = self.prefix(Path(os.path.realpath(cwd)), detached)
        return [*self.group.entering(), *prefix, *argv]

    def in_terminal(self, argv: Sequence[str], cwd: Path) -> list[str]:
        """Return what does the same, detached, in two words: a file, and the last of `argv`.

        The file is gone with the sandbox. Where there can be none, all words are returned.
        """
        words = self.wrap(argv, cwd, detached=True)
        with suppress(OSError):  # a full disk
            if self.launchers is not None:
                return [str(_launcher(self.launchers, words[:-1])), words[-1]]
        return words

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return `env` as it must be in the sandbox."""
        return {**env, "TMPDIR": self.temporary}

    def guarded(self) -> AbstractContextManager[list[Path]]:
        """Put back at the end of the block what the mounts cannot keep; the list says what."""
        return keeping(self.restored, self.absent)

    def unwanted(self) -> list[Path]:
        """Return what is not there, and must not be when a program that starts now has ended."""
        return [path for path in self.absent if not os.path.lexists(path)]

    @asynccontextmanager
    async def start(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> AsyncGenerator[Running]:
        """Run a program. Raises ToolFailed if it cannot start."""
        if shutil.which(argv[0], path=env.get("PATH", os.defpath)) is None:
            raise ToolFailed(f"cannot run {argv[0]!r}: there is no such program")
        whole = [*_IGNORING, *self.wrap(argv, cwd)]
        environment = self.environment(env)
        with self.guarded():
            async with process_group(
                whole, cwd=str(cwd), env=environment, stdin=PIPE, unwanted=self.unwanted()
            ) as process:
                yield Program(process)


def launchers(own: Path, writable: Sequence[Path]) -> Path | None:
    """Make a directory for launchers in `own`; None where they could be changed or not be run."""
    changeable = any(own.is_relative_to(root) for root in writable)
    if changeable or os.statvfs(own).f_flag & os.ST_NOEXEC:
        return None
    made = own / "run"
    made.mkdir(mode=0o700)
    return made


def _launcher(directory: Path, words: Sequence[str]) -> Path:
    """Write a program that runs `words` with its arguments added; the editor shows its name."""
    script = os.fsencode(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    path = directory / hashlib.sha256(script).hexdigest()[:8] / "sandbox"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    # Anew each time: Landlock does not keep programs from changing modes.
    file, new = tempfile.mkstemp(dir=directory)
    with os.fdopen(file, "wb") as opened:
        opened.write(script)
        os.fchmod(file, 0o700)
    return Path(new).replace(path)


def launcher() -> list[str]:
    """Return the words that start the launcher; the options of confine.py follow."""
    return [os.path.realpath(sys.executable), "-I", "-S", str(LAUNCHER)]


def runtime() -> tuple[Path, ...]:
    """Return what the launcher must be able to read."""
    libraries = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    places = (*libraries, os.path.realpath(sys.executable), str(LAUNCHER))
    return tuple(dict.fromkeys(Path(os.path.realpath(place)) for place in places))


def limit_options(limits: Limits) -> list[str]:
    """Return the options that hold for each process."""
    values = {"memory": limits.memory, "file": limits.scratch, "files": OPEN_FILES}
    return options(**{name: (str(value),) for name, value in values.items()})


def options(**values: Sequence[str | Path]) -> list[str]:
    """Return options for confine.py; `need_landlock` is `--need-landlock`."""
    return [
        word
        for name, given in values.items()
        for value in given
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
