"""What tests of engines share: the demo weights, made once, and an end to what they leave."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from acp_agent.engine.home import EngineHome
from acp_agent.engine.nano import ensure_nano
from acp_agent.paths import runtime_dir


@pytest.fixture(scope="session")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_nano(cache=tmp_path_factory.mktemp("weights"))


@pytest.fixture
def nothing_left(home: Path) -> Iterator[None]:
    """Kill whatever engine a test has left; its home is one of its own."""
    yield
    for path in runtime_dir().glob("engine-*"):
        left, state = EngineHome(path), EngineHome(path).read()
        if left.is_alive() and state is not None:
            os.kill(state.pid, signal.SIGKILL)
