"""Why an engine of ours has ended, for the user whose turn it cut, and for the next."""

from __future__ import annotations

from pathlib import Path

import anyio

from acp_agent.backends.endpoint import Endpoint
from acp_agent.engine.home import EngineHome, EngineState, engine_homes
from acp_agent.engine.last_words import explain_crash, read_log

PAUSE = 0.02
ENDING_SECONDS = 3.0  # from the end of its answers to the end of its process


def cause(left: EngineState) -> str:
    """Return what the engine died of that left this state."""
    log = read_log(Path(left.log)) if left.ready and left.log else ""
    return left.failure or explain_crash(log) or "it ended without a word"


async def why_ended(endpoint: Endpoint) -> str:
    """Return why the engine that answered here has; "" if it lives, or if nobody knows."""
    home = next((home for home, state, _ in engine_homes() if _is_at(state, endpoint)), None)
    if home is None:
        return ""
    crashes = home.crashes()
    with anyio.move_on_after(ENDING_SECONDS):
        while home.is_alive():
            if not _is_at(home.read(), endpoint):
                break  # another has its place
            await anyio.sleep(PAUSE)
        return _words(home, endpoint, len(crashes))
    return ""


def _words(home: EngineHome, endpoint: Endpoint, crashes: int) -> str:
    left = home.read()
    if left is not None and _is_at(left, endpoint):
        return f"{cause(left)} (log: {left.log})"
    since = home.crashes()[crashes:]  # others may have found it, and started another
    return since[0].words if since else "it was told to end"


def _is_at(state: EngineState | None, endpoint: Endpoint) -> bool:
    return state is not None and (state.url, state.key) == (endpoint.url, endpoint.key)
