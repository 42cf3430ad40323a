"""How long an editor waits until the agent is there, and what that costs."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench_agent import Usage, agent
from bench_figures import Figure

SPAWNS = 12
NOTHING = "import os; os.write(1, b'.')"
LOOP = "import asyncio, os; os.write(1, b'.')"


def bench_start(workspace: Path) -> list[Figure]:
    """Start the agent again and again, with nothing but an interpreter in between."""
    started: list[float] = []
    ready: list[float] = []
    left: list[float] = []
    begun: list[Usage] = []
    spent: list[float] = []
    bare = [_interpreter(NOTHING) for _ in range(2)][2:]  # the first ones fill the disk cache
    loop: list[float] = []
    for _ in range(SPAWNS):
        bare.append(_interpreter(NOTHING))
        loop.append(_interpreter(LOOP))
        with agent(["--demo"], workspace) as running:
            started.append(1000 * (running.initialize() - running.started))
            begun.append(running.usage())
            ready.append(1000 * (running.new_session()[1] - running.started))
            spent.append(running.usage().cpu)
            left.append(1000 * running.leave())
    memory = tuple(usage.resident_mb for usage in begun)
    return [
        Figure("initialize", "start → initialize answered", "ms", tuple(started), tuple(bare)),
        Figure("ready", "start → session/new answered", "ms", tuple(ready), tuple(bare)),
        Figure("python", "for scale: python, one byte written", "ms", tuple(bare)),
        Figure("python_asyncio", "for scale: the same after import asyncio", "ms", tuple(loop)),
        Figure("start_cpu", "CPU until session/new is answered", "s", tuple(spent)),
        Figure("rss_initialize", "resident at initialize", "MB", memory),
        Figure("exit", "stdin closed → process gone", "ms", tuple(left)),
    ]


def _interpreter(program: str) -> float:
    """Return the milliseconds from the start of an interpreter to its first byte."""
    started = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        return 1000 * (time.monotonic() - started)
