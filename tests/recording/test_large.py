"""A long session is worked on piece by piece: memory does not grow with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from acp_agent.events import Text, TextDelta, ToolCallStarted, ToolCallUpdated, ToolOutput
from tests.recording.trajectories import Script

MEGABYTE = 1024 * 1024
LIMIT = 80  # MB, of which the interpreter has 15
PROGRAM = """
import resource, sys
from acp_agent import cli
code = cli.run(sys.argv[1:])
unit = 1024 * 1024 if sys.platform == "darwin" else 1024
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit, file=sys.stderr)
"""


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
def test_memory_is_bounded(large: Path, arguments: str) -> None:
    command = (sys.executable, "-c", PROGRAM, *arguments.split(), str(large))
    ran = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True
    )
    code, megabytes = map(int, ran.stderr.split())
    assert code == 0
    assert megabytes < LIMIT
