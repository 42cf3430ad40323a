"""What the tests of the whole line share: one home and one engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from acp_agent.engine.nano import ensure_nano
from acp_agent.verbs.demo import lay_out
from tests.e2e.engines import end_engines
from tests.e2e.terminals import Terminals

DIRECTORIES = {
    "HOME": "home",
    "XDG_CACHE_HOME": "cache",
    "XDG_STATE_HOME": "state",
    "XDG_DATA_HOME": "data",
    "XDG_CONFIG_HOME": "config",
    "XDG_RUNTIME_DIR": "runtime",
}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Give the environment in which agents share one engine with the demo weights; no network."""
    base = tmp_path_factory.mktemp("world")
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PIP_NO_INDEX": "1"}
    env |= {"ACP_AGENT_ENGINE_LINGER_SECS": "60", "LLAMA_SERVER": "off"}
    for variable, name in DIRECTORIES.items():
        (base / name).mkdir(mode=0o700)
        env[variable] = str(base / name)
    ensure_nano(cache=base / "cache" / "acp-agent")
    yield env
    end_engines(env)


@pytest.fixture
def apart(world: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """Give an environment whose engine is its own; it ends soon after its last user."""
    (tmp_path / "runtime").mkdir(mode=0o700)
    runtime = str(tmp_path / "runtime")
    env = world | {"XDG_RUNTIME_DIR": runtime, "ACP_AGENT_ENGINE_LINGER_SECS": "0.2"}
    yield env
    end_engines(env)


@pytest.fixture
def with_small(apart: dict[str, str], smollm2: Path) -> dict[str, str]:
    """Give an environment in which the packaged small model is installed."""
    return apart | {"XDG_DATA_HOME": str(smollm2.parents[2])}


@pytest.fixture
def modelless(world: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Give an environment in which there is no model anywhere."""
    (tmp_path / "models").mkdir()
    return world | {"GPT_OSS_MODEL_DIR": str(tmp_path / "models")}


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    """Give the terminals of an editor."""
    terminals = Terminals(tmp_path)
    yield terminals
    terminals.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Give a project with a failing test."""
    folder = tmp_path / "project"
    folder.mkdir()
    lay_out(folder)
    return folder
