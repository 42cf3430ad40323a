"""A recorded session said again: the same updates, in their order, at a speed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings

from acp_agent import cli
from acp_agent.conversation import Attachment, UserMessage
from acp_agent.events import Noticed, TextDelta, ThoughtDelta, ToolCallStarted, ToolCallUpdated
from acp_agent.recording.replay import updates
from acp_agent.verbs.replay import run_replay
from tests.recording.schemas import validator
from tests.recording.sessions import sessions
from tests.recording.test_rlog import lines_of
from tests.recording.trajectories import Script


@pytest.fixture
def script() -> Script:
    script = Script()
    script.turn(
        UserMessage("see [a.py](file:///code/a.py)", (Attachment("file:///code/a.py"),)),
        [
            ThoughtDelta("t", "hm"),
            ToolCallStarted("c", "shell", "ls", "execute", raw_input={"command": "ls"}),
            ToolCallUpdated("c", status="completed", raw_output="a.py"),
            TextDelta("m", "one "),
            TextDelta("m", "file\x1b[2J"),
        ],
    )
    script.record("title", title="Files")
    return script


def replayed(
    path: Path, *, speed: str | None = None, as_acp: bool = False
) -> tuple[str, list[float]]:
    out, pauses = io.StringIO(), list[float]()
    assert run_replay(str(path), speed=speed, as_acp=as_acp, out=out, pause=pauses.append) == 0
    return out.getvalue(), pauses


def test_updates_are_sent_again(script: Script, tmp_path: Path) -> None:
    text, pauses = replayed(script.write(tmp_path / "x.jsonl"), as_acp=True)
    sent = [json.loads(line) for line in text.splitlines()]
    assert {(one["jsonrpc"], one["method"], one["params"]["sessionId"]) for one in sent} == {
        ("2.0", "session/update", "sess_1")
    }
    assert [one["params"]["update"]["sessionUpdate"] for one in sent] == [
        "user_message_chunk",
        "agent_thought_chunk",
        "tool_call",
        "tool_call_update",
        "agent_message_chunk",
        "agent_message_chunk",
        "session_info_update",
    ]
    assert pauses == []


def test_a_session_is_shown_on_the_terminal(script: Script, tmp_path: Path) -> None:
    text, _ = replayed(script.write(tmp_path / "x.jsonl"))
    assert text == (
        "> see [a.py](file:///code/a.py)\nhm\n● execute: ls\n  ✓ completed\none file�[2J\n"
    )


@settings(deadline=None)
@given(sessions())
def test_every_update_of_any_session_is_of_the_protocol(script: Script) -> None:
    schema = json.loads(SCHEMA.read_text())
    fits = validator({"$ref": "#/$defs/SessionNotification", "$defs": schema["$defs"]})
    for _, update in updates(lines_of(script.records)):
        if update["sessionUpdate"] != "notice":  # of a later version than the schema
            assert fits({"sessionId": "s", "update": update})


SCHEMA = Path(__file__).parents[2] / "schemas" / "acp" / "schema.v1.json"


def test_pauses_are_those_of_the_session(script: Script, tmp_path: Path) -> None:
    script.records[-1]["t"] = "2026-11-20T14:00:00Z"
    path = script.write(tmp_path / "x.jsonl")
    assert replayed(path, speed="1")[1] == [1.0, 1.0, 1.0, 1.0, 1.0, 5.0]
    assert replayed(path, speed="4")[1] == [0.25, 0.25, 0.25, 0.25, 0.25, 5.0]


def test_times_that_run_backwards_or_are_missing_pause_nothing(tmp_path: Path) -> None:
    script = Script()
    script.turn("hi", [Noticed("a"), Noticed("b"), Noticed("c")])
    times = ["2026-11-20T12:00:09Z", "2026-11-20T12:00:01Z", None, "2026-11-20T12:00:02Z"]
    for record, time in zip(script.records[2:], times, strict=False):
        record["t"] = time
    assert replayed(script.write(tmp_path / "x.jsonl"), speed="2")[1] == [0.5]


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan", "inf", "", "1e999", "0x2"])
def test_a_speed_that_is_none(
    script: Script, tmp_path: Path, speed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = script.write(tmp_path / "x.jsonl")
    assert cli.run(["replay", str(path), f"--speed={speed}"]) == 2
    assert capsys.readouterr().err == (
        f"acp-agent: --speed: {speed!r} is not a number above 0, such as 2 (twice as fast)\n"
    )


def test_a_torn_and_corrupt_file_is_replayed_as_far_as_it_goes(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = script.write(tmp_path / "x.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = b"\xff\x00garbage\n"
    path.write_bytes(b"".join(lines[:-2]) + lines[-2][:20])
    assert cli.run(["replay", str(path)]) == 0
    printed = capsys.readouterr()
    assert printed.out.endswith("one file�[2J\n")
    assert printed.err == (
        "acp-agent: line 5 was skipped: it is not JSON\n"
        "acp-agent: line 9 was skipped: it is the last and was not finished\n"
    )


@pytest.mark.parametrize("content", ["", "\n\n", "no json\n", '{"k":"later"}\n'])
def test_a_file_without_a_session(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    assert cli.run(["replay", str(path)]) == 1
    assert f"nothing was recorded in {str(path)!r}" in capsys.readouterr().err
