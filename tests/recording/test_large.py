"""A long session is worked on piece by piece: memory does not grow with it."""

from __future__ import annotations

import json
import sys
import tracemalloc
from pathlib import Path

import pytest

from acp_agent import cli
from acp_agent.events import Text, TextDelta, ToolCallStarted, ToolCallUpdated, ToolOutput
from tests.recording.trajectories import Script

MEGABYTE = 1024 * 1024
LIMIT = 30  # MB: a few lines of 2 MB, read and written


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a session of 100 MB."""
    path = tmp_path_factory.mktemp("large") / "large.jsonl"
    text = "all work and no play\n" * (MEGABYTE // 20)
    events = [
        TextDelta("m", "hello"),
        ToolCallStarted("c", "shell", "shell"),
        ToolOutput("c", text, text, "/work"),
        ToolCallUpdated("c", status="completed", content=(Text(text),), raw_output="ok"),
    ]
    script = Script()
    script.turn("go", events)
    head, *turn = [json.dumps(record) + "\n" for record in script.records]
    with path.open("w") as file:
        file.write(head)
        for _ in range(35):
            file.writelines(turn)
    return path


@pytest.mark.parametrize("arguments", ["export --format html", "export --format rlog", "replay"])
def test_memory_is_bounded(
    large: Path, arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        tracemalloc.start()
        try:
            assert cli.run([*arguments.split(), str(large)]) == 0
            assert tracemalloc.get_traced_memory()[1] < LIMIT * MEGABYTE
        finally:
            tracemalloc.stop()
