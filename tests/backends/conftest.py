"""A real llama.cpp server with the demo weights, one for all tests of this folder."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from acp_agent.backends.endpoint import Endpoint, fixed
from acp_agent.backends.llama_server import LlamaServer
from acp_agent.engine.launch import Launcher
from acp_agent.engine.nano import ensure_nano
from acp_agent.engine.spec import EngineSpec

CONTEXT = 1024


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """Give the address of an engine with a context of `CONTEXT` tokens."""
    directory = tmp_path_factory.mktemp("engine")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
            patch.setenv(variable, str(directory))
        # On a busy machine a second thread waits for the first, at times for many seconds.
        spec = EngineSpec(ensure_nano(), context=CONTEXT, threads=1)
        endpoint, pid = anyio.run(_launched, spec)
    yield endpoint
    with suppress(ProcessLookupError):  # unused for long, it has ended by itself
        os.kill(pid, signal.SIGTERM)


async def _launched(spec: EngineSpec) -> tuple[Endpoint, int]:
    async with Launcher(spec, linger=300) as launcher:
        endpoint = await launcher.locate()
        assert launcher.engine is not None
        await LlamaServer(fixed(endpoint)).context_size()  # awaits the weights
        return endpoint, launcher.engine.pid


@pytest.fixture
def nowhere(tmp_path: Path) -> Endpoint:
    """Give an address at which nothing listens."""
    return Endpoint("http://127.0.0.1:9")
