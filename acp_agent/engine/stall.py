"""Ends a host whose model does not get on with loading; a process beside it, while that lasts.

A load may take as long as the disk needs, so no total counts, only that something moves: memory,
what is read, or the log. The host cannot watch that itself: the wheel holds its interpreter.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from acp_agent.engine.home import EngineHome, EngineState
from acp_agent.engine.last_words import read_log

LOOKS = 20  # at least, before it counts as hanging
LONGEST_PAUSE = 1.0
GRAIN = 1 << 20  # bytes; the questions of those who wait move less
QUESTION = re.compile(r"\b(?:GET|POST) /|log_server_r")  # a line of the log about one


@contextmanager
def watched(home: EngineHome, state: EngineState) -> Generator[None]:
    """Have this process, the host, ended if the block hangs for `state.stall` seconds (0: never).

    What it hung in is then the failure in the state.
    """
    if not state.stall:
        yield
        return
    command = [sys.executable, "-P", "-m", "acp_agent.engine.stall", str(home.path)]
    watcher = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        watcher.kill()
        watcher.wait()


def main(home: EngineHome) -> None:
    """Watch the host of `home`, our parent, until it hangs or is gone."""
    state = home.read()
    if state is None or not state.stall:
        return
    pause = min(LONGEST_PAUSE, state.stall / LOOKS)
    seen, quiet = _look(state), 0.0
    # Pauses are counted, not the clock: a machine that slept has loaded nothing meanwhile.
    while quiet < state.stall:
        time.sleep(pause)
        if os.getppid() != state.pid:
            return
        now = _look(state)
        seen, quiet = (now, 0.0) if _moved(seen, now) else (seen, quiet + pause)
    state = home.read() or state
    home.write(replace(state, failure=words(state, seen[2])))
    os.kill(state.pid, signal.SIGKILL)  # the guard of a child ends that


def words(state: EngineState, log: str) -> str:
    """Return what to tell the user of a host that hung after it had logged this."""
    said = [f" after {line.strip()[:200]!r}" for line in log.splitlines()[-1:]]
    other = "set LLAMA_SERVER=off for the llama.cpp of this package" if state.program else ""
    advice = ("try again", other, "copy the file to another disk")
    return (
        f"{state.program or 'llama.cpp'} hung while it loaded {state.model} and was ended:"
        f" {state.stall:g} s passed in which it read nothing, took no memory and wrote no line"
        f"{''.join(said)}; {', '.join(filter(None, advice))}, or wait longer"
        f" (ACP_AGENT_LOAD_STALL_SECS; log: {state.log})"
    )


Seen = tuple[int, int, str]


def _look(state: EngineState) -> Seen:
    """Return the bytes held and read by the host and all that it started, and the log."""
    import psutil

    held = read = 0
    with suppress(psutil.Error):
        host = psutil.Process(state.pid)
        for process in (host, *host.children(recursive=True)):
            if process.pid == os.getpid():
                continue
            with suppress(psutil.Error):
                held += process.memory_info().rss
                read += _read_by(process.pid)
    lines = read_log(Path(state.log)).splitlines()
    said = "\n".join(line for line in lines if line.strip() and not QUESTION.search(line))
    return held, read, said


def _read_by(pid: int) -> int:
    """Return the bytes that a process has read, from disks and otherwise; 0 but on Linux."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
        return sum(int(n.split()[1]) for n in lines if n.startswith(("rchar:", "read_bytes:")))
    except (OSError, ValueError, IndexError):
        return 0


def _moved(before: Seen, now: Seen) -> bool:
    held, read = (abs(new - old) >= GRAIN for old, new in zip(before[:2], now[:2], strict=True))
    return held or read or before[2] != now[2]


if __name__ == "__main__":
    main(EngineHome(Path(sys.argv[1])))
