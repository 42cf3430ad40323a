"""Where files are kept."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from acp_agent.paths import models_dir, models_path


def test_the_models_directory_is_private_and_made_when_asked_for(home: Path) -> None:
    path = home.parent / "data" / "acp-agent" / "models"
    assert models_path() == path
    assert not path.exists()
    assert models_dir() == path
    assert {p.stat().st_mode & 0o777 for p in (path, path.parent)} == {0o700}


def test_without_a_variable_it_is_where_the_system_keeps_data(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_DATA_HOME")
    usual = "Library/Application Support" if sys.platform == "darwin" else ".local/share"
    assert models_path() == home / usual / "acp-agent" / "models"
