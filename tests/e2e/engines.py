"""Runs, finds and ends the engines of one environment."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from acp_agent.backends.endpoint import Endpoint
from acp_agent.engine.home import EngineHome, EngineState
from acp_agent.engine.launch import Launcher
from acp_agent.engine.nano import ensure_nano
from acp_agent.engine.spec import EngineSpec


def engines(env: Mapping[str, str]) -> list[EngineState]:
    """Return what the engines of this environment say about themselves."""
    homes = Path(env["XDG_RUNTIME_DIR"]).glob("acp-agent/engine-*")
    return [state for state in (EngineHome(path).read() for path in homes) if state is not None]


def end_engines(env: Mapping[str, str]) -> None:
    """Ask the engines of this environment to end."""
    for engine in engines(env):
        with suppress(ProcessLookupError):
            os.kill(engine.pid, signal.SIGTERM)


@asynccontextmanager
async def running_engine(env: Mapping[str, str]) -> AsyncGenerator[Endpoint]:
    """Run a real engine that the agent has not started."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
            patch.setenv(variable, env[variable])
        async with Launcher(
            EngineSpec(ensure_nano(), context=4096, threads=1), linger=0.2
        ) as launcher:
            yield await launcher.locate()
