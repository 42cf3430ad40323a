"""A `llama-server` as a child of the host, in a process group of its own that dies with the host.

A guard sees to that: a shell that waits for the end of a pipe which only the host holds open. The
kernel closes it however the host ends, on Linux and on a Mac.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from acp_agent.engine.asking import Asker
from acp_agent.engine.binary import KEY_FILE, KEY_VARIABLE, NAME, Binary
from acp_agent.engine.command import command
from acp_agent.engine.home import private
from acp_agent.engine.last_words import explain, whole_log
from acp_agent.engine.order import LoadFailed, Order

PAUSE = 0.05
STDERR = 2  # the log of the host
END_SECONDS = 5.0
# A line says that all is well; the end of the pipe without one, that the host is gone. (dash knows
# no `--` here.)
GUARD = 'read -r word || kill -9 "-$1"'


class Child:
    """The server of `binary`; it answers as long as it is not closed."""

    kind = NAME

    def __init__(self, binary: Binary, order: Order, home: Path) -> None:
        self._home = home
        self.program, self.version = binary.path, binary.version
        self._order = order
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that holds the weights; 0 before there is one."""
        return self._process.pid if self._process else 0

    def load(self) -> None:
        """Start it, and return when the model is there."""
        try:
            self._process = self._started()
            self._guard = _guard(self._process.pid)
        except OSError as error:
            self.close()
            raise LoadFailed(f"cannot run {self.program}: {error.strerror or error}") from None
        asker = Asker(self._order.url, self._order.key)
        while asker.get("/props") is None or not self.is_alive():
            if not self.is_alive():
                self.close()
                log = whole_log(self._order.log, looks=1)
                raise LoadFailed(explain(log, self._order.spec.model))
            time.sleep(PAUSE)

    def is_alive(self) -> bool:
        """Tell whether it runs."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """End it and all that it has started, then the guard."""
        if self._process is not None:
            self._signal(self._process, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
            self._signal(self._process, signal.SIGKILL)
            self._process.wait()
        if self._guard is not None:
            with suppress(OSError):
                self._guard.communicate(b"\n")
            self._guard = None

    def _signal(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        # The group, for it may have children; macOS answers EPERM for a group of zombies.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)

    def _started(self) -> subprocess.Popen[bytes]:
        arguments, environ = command(self._binary, self._order), dict(os.environ)
        if self._binary.takes_key_variable:
            environ[KEY_VARIABLE] = self._order.key
        else:
            arguments += [KEY_FILE, str(self._key_file())]
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=STDERR,
            env=environ,
            start_new_session=True,
        )

    def _key_file(self) -> Path:
        path = self._home / "key"
        path.unlink(missing_ok=True)
        with open(path, "x", encoding="utf-8", opener=private) as file:
            file.write(self._order.key)
        return path


def _guard(group: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", GUARD, "guard", str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
