"""The small model that a machine has already."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from acp_agent.engine import smollm2
from acp_agent.engine.at_hand import small_model
from acp_agent.paths import models_dir


def test_a_machine_without_one_has_none(home: Path) -> None:
    assert small_model("linux") == ""


def test_weights_that_were_fetched_are_at_hand(home: Path) -> None:
    with (models_dir() / smollm2.FILE_NAME).open("wb") as file:
        file.truncate(smollm2.SIZE)
    assert small_model("linux") == "smollm2"


def test_on_a_mac_apples_model_goes_first_where_its_package_is(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert small_model("darwin") == ""
    (tmp_path / "apple_fm_sdk.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert small_model("darwin") == "apple_fm"
    assert small_model("linux") == ""
