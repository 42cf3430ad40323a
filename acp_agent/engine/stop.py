"""Ends an engine that runs, whoever started it, and leaves nothing of it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import anyio

from acp_agent.engine.home import EngineHome

PAUSE = 0.02
KILLED_SECONDS = 5.0


async def stop(home: EngineHome, timeout: float = 10.0) -> bool:
    """Tell the engine to end, kill it after `timeout` seconds; return whether it had to be killed.

    Whoever uses it starts another one with the next prompt.

    Raises:
        PermissionError: It is not ours to end.
        TimeoutError: It lives on, though it was killed.

    """
    killed = False
    if home.is_alive():
        with anyio.move_on_after(timeout):
            await _end(home, signal.SIGTERM)
        killed = home.is_alive()
        if killed:
            with anyio.fail_after(KILLED_SECONDS):
                await _end(home, signal.SIGKILL)
    gone = home.lock("alive")
    if gone is not None:  # else another has begun since, whose state it is
        home.forget()
        gone.release()
        home.remove()
    return killed


async def _end(home: EngineHome, number: signal.Signals) -> None:
    told = 0
    while home.is_alive():
        state = home.read()
        # Without a state it has only just begun, and is about to write one.
        if state is not None and state.pid != told:
            told = state.pid
            if number == signal.SIGKILL:
                home.forget()  # or whoever needs it next would take its end for a crash
            with suppress(ProcessLookupError):
                os.kill(told, number)
        await anyio.sleep(PAUSE)
