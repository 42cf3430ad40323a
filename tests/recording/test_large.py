"""A long session is worked on piece by piece: memory does not grow with it."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from acp_agent import cli
from acp_agent.conversation import Message, ModelStep, ToolMessage, UserMessage
from acp_agent.events import Text, TextDelta, ToolCallStarted, ToolCallUpdated, ToolOutput
from acp_agent.recording.records import to_object
from tests.recording.trajectories import Record, Script

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
        ToolOutput("c", text, text, "/code"),
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


TURNS, COMPACTED = 2000, 50  # turns, and turns between two compactions


def long_session(path: Path) -> None:
    """Write a session of 2,000 turns and 100 MB, with its history."""
    script = Script()
    step = ModelStep((Message("final", "w" * 500),), (), tuple(range(100_000, 100_150)))
    output = "line of output\n" * 700
    turn = Script()
    turn.turn(
        "what is " + "this " * 200,
        [
            *(TextDelta("m", f"word{n} ") for n in range(60)),
            ToolCallStarted("c", "shell", "shell"),
            ToolOutput("c", output, "", "/code"),
            ToolOutput("c", "", output, "/code", 0, None, ended=True),
            ToolCallUpdated("c", status="completed", raw_output=output),
        ],
    )
    entries = (UserMessage("what is"), step, ToolMessage("functions.shell", output))
    for entry in entries:
        turn.add(entry)
    compacted: Record = {"t": "", "k": "replace", "entries": [to_object(entries[0])]}
    lines = [json.dumps(record) + "\n" for record in turn.records[2:]]
    with path.open("w") as file:
        file.write(json.dumps(script.records[0]) + "\n")
        for number in range(1, TURNS + 1):
            file.write(lines[0].replace('"n": 1', f'"n": {number}'))
            file.writelines(lines[1:])
            if number % COMPACTED == 0:
                file.write(json.dumps(compacted) + "\n")


def test_a_long_session_is_loaded_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    long_session(path)
    assert path.stat().st_size > 100 * MEGABYTE
    command = [sys.executable, "-m", "tests.recording.loading", str(path)]
    ran = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, check=True)
    updates, turns, grown = map(int, ran.stdout.split())
    assert (updates, turns) == (TURNS * 5, TURNS)  # the end of an output says nothing new
    assert grown < LIMIT * MEGABYTE
