"""What tests of engines share: the demo weights, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from acp_agent.engine.nano import ensure_nano


@pytest.fixture(scope="session")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_nano(cache=tmp_path_factory.mktemp("weights"))
