"""The log that grows beside a session, and goes on after a crash."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

import pytest

from acp_agent.events import StepMeasured, TextDelta, ToolCallStarted
from acp_agent.recording.lines import Opened
from acp_agent.recording.repository import NO_COMMIT, Commit
from acp_agent.recording.rlog_file import RlogWriter, rlog_path
from tests.recording.rlog_reading import read_rlog
from tests.recording.test_rlog import lines_of
from tests.recording.trajectories import Script

OPENED = Opened("2026-11-20T12:00:00.000Z", "sess_1", "/code", agent="acp-agent 0.1.0")
COMMIT = Commit("abcdef" * 6 + "abcd", "main")


def script_of_a_turn() -> Script:
    script = Script()
    script.turn("hi", [TextDelta("m", "hello"), StepMeasured(5, 5, 0, 2)])
    return script


def test_the_path_has_the_day_and_the_session(tmp_path: Path) -> None:
    path = rlog_path(tmp_path, "sess_1", datetime(2026, 1, 2, 23, 59))
    assert path == tmp_path / "docs" / "logs" / "20260102" / "sess_1.rlog"


def test_lines_are_in_the_file_before_the_session_ends(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.rlog"
    writer = RlogWriter(path, OPENED, COMMIT)
    for line in lines_of(script_of_a_turn().records):
        writer.line(line)
    assert "a: hello ts=2026-11-20T12:00:03.000Z\n" in path.read_text()
    writer.close()
    assert read_rlog(path.read_text()).wrong == []
    assert path.stat().st_mode & 0o777 == 0o600


def test_closing_twice_ends_once(tmp_path: Path) -> None:
    writer = RlogWriter(tmp_path / "x.rlog", OPENED, COMMIT)
    writer.close()
    writer.close()
    writer.line(OPENED)
    assert (tmp_path / "x.rlog").read_text().count("@end") == 1


def test_a_log_goes_on_after_a_crash_and_stays_valid(tmp_path: Path) -> None:
    path = tmp_path / "x.rlog"
    crashed = RlogWriter(path, OPENED, COMMIT)
    script = script_of_a_turn()
    script.record("turn", n=2, message={"type": "UserMessage", "words": "go"})
    script.event(ToolCallStarted("c9", "shell", "shell", raw_input={"command": "ls"}))
    for line in lines_of(script.records):
        crashed.line(line)
    killed = path.read_bytes()
    crashed.close()
    path.write_bytes(killed + "a: torn in mid-wörd".encode()[:-3])
    resumed = RlogWriter(path, OPENED, COMMIT)
    for line in lines_of(script_of_a_turn().records):
        resumed.line(line)
    resumed.close()
    found = read_rlog(path.read_text(errors="replace"))
    assert (found.wrong, found.kinds.count("lifecycle")) == ([], 5)
    assert path.read_text(errors="replace").count("step=2 ") == 1


def test_a_file_without_a_whole_header_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.rlog"
    path.write_text("---\nformat: rlog/1\n")
    writer = RlogWriter(path, OPENED, Commit())
    writer.close()
    found = read_rlog(path.read_text())
    assert (found.wrong, found.header["repo_sha"]) == ([], NO_COMMIT)
    assert found.header["notes"] == "there is no commit"


def test_a_log_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "docs").write_text("not a directory")
    with caplog.at_level(logging.WARNING):
        writer = RlogWriter(rlog_path(tmp_path, "s", datetime.now()), OPENED, COMMIT)
        for line in lines_of(script_of_a_turn().records):
            writer.line(line)
        writer.close()
    assert [record.message.partition(":")[0][:25] for record in caplog.records] == [
        "the session is not logged"
    ]


def test_a_link_is_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "diary").write_text("dear diary")
    (tmp_path / "x.rlog").symlink_to(tmp_path / "diary")
    RlogWriter(tmp_path / "x.rlog", OPENED, COMMIT).close()
    assert (tmp_path / "diary").read_text() == "dear diary"
    assert "is not logged" in caplog.text
