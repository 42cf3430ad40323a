"""Finds and ends the engines of one environment by what they say about themselves."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from acp_agent.engine.home import EngineHome, EngineState


def engines(env: Mapping[str, str]) -> list[EngineState]:
    """Return what the engines of this environment say about themselves."""
    homes = Path(env["XDG_RUNTIME_DIR"]).glob("acp-agent/engine-*")
    return [state for state in (EngineHome(path).read() for path in homes) if state is not None]


def end_engines(env: Mapping[str, str]) -> None:
    """Ask the engines of this environment to end."""
    for engine in engines(env):
        with suppress(ProcessLookupError):
            os.kill(engine.pid, signal.SIGTERM)
