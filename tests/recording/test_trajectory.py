"""A session writes down all that it says and hears, in order, and never fails by it."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.conversation import ModelStep, ToolMessage, UserMessage
from acp_agent.events import Meta, TextDelta, ThoughtDelta, ToolCallUpdated, UsageUpdated
from acp_agent.recording.lines import Happened, Line, Opened, record_of
from acp_agent.recording.read import read
from acp_agent.recording.records import from_object, to_object
from acp_agent.recording.trajectory import SYNC_SECONDS, SessionInUse, Trajectory, now, text_of

pytestmark = pytest.mark.anyio

HEAD = Opened("2026-11-20T12:00:00.000Z", "s", "/w")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def record(tmp_path: Path, told: list[str]) -> Trajectory:
    record = Trajectory(tmp_path / "new" / "s.jsonl", HEAD)
    record.bind(lambda: {"mode": "m"}, told.append)
    return record


async def test_a_turn_is_written_line_by_line(record: Trajectory, tmp_path: Path) -> None:
    path = tmp_path / "new" / "s.jsonl"
    assert not path.exists()
    record.turn(1, UserMessage("hi"))
    record.added(UserMessage("hi", note="note"))
    record.event(TextDelta("1", "Hello"))
    await record.end(1, "end_turn")
    record.close()
    assert path.stat().st_mode & 0o777 == 0o600
    written = lines(path)
    assert all(line.pop("t").endswith("Z") for line in written)
    assert written == [
        {"k": "session", "v": 1, "id": "s", "cwd": "/w"},
        {"k": "options", "values": {"mode": "m"}},
        {"k": "turn", "n": 1, "message": to_object(UserMessage("hi"))},
        {"k": "add", "entry": to_object(UserMessage("hi", note="note"))},
        {"k": "event", "event": to_object(TextDelta("1", "Hello"))},
        {"k": "end", "n": 1, "stop": "end_turn"},
    ]


@given(
    st.sampled_from((TextDelta, ThoughtDelta)),
    st.text(),
    st.text(),
    st.sampled_from((None, {"routing": "why"})),
)
def test_a_token_is_written_as_any_event_is(
    kind: type[TextDelta | ThoughtDelta], said: str, text: str, meta: Meta | None
) -> None:
    line = Happened(HEAD.time, kind(said, text, meta))
    written = json.dumps(record_of(line), ensure_ascii=False, separators=(",", ":"))
    assert text_of(line) == f"{written}\n".encode()


def test_a_line_has_its_moment_in_utc_to_the_millisecond() -> None:
    before = datetime.now(UTC)
    said = datetime.fromisoformat(now())
    assert before - timedelta(milliseconds=1) < said <= datetime.now(UTC)
    assert said.microsecond % 1000 == 0


async def test_entries_keep_their_exact_tokens(record: Trajectory, tmp_path: Path) -> None:
    entries = (ModelStep((), (), tokens=(1, 200_012)), ToolMessage("functions.a", "\ud83d half"))
    record.turn(1, UserMessage("hi"))
    for entry in entries:
        record.added(entry)
    record.replaced(entries)
    *_, first, second, all_of_them = lines(tmp_path / "new" / "s.jsonl")
    assert (from_object(first["entry"]), from_object(second["entry"])) == entries
    assert tuple(map(from_object, all_of_them["entries"])) == entries


async def test_the_title_and_the_size_stand_at_every_end(
    record: Trajectory, tmp_path: Path
) -> None:
    record.turn(1, UserMessage("hi"))
    record.titled("Greeting")
    record.event(UsageUpdated(10, 100))
    await record.end(1, "cancelled", "the engine\nbroke")
    last = lines(tmp_path / "new" / "s.jsonl")[-1]
    del last["t"]
    assert last == {
        "k": "end",
        "n": 1,
        "error": "the engine broke",
        "title": "Greeting",
        "used": 10,
        "size": 100,
    }


async def test_while_a_turn_runs_no_other_process_goes_on(
    record: Trajectory, tmp_path: Path
) -> None:
    record.turn(1, UserMessage("hi"))
    other = Trajectory(tmp_path / "new" / "s.jsonl", HEAD, None)
    with pytest.raises(SessionInUse, match="another agent is at work in this session"):
        other.open()
    await record.end(1, "end_turn")
    other.open()
    other.close()
    record.turn(2, UserMessage("nobody has written in between"))


async def test_who_was_overtaken_writes_nothing_more(record: Trajectory, tmp_path: Path) -> None:
    record.turn(1, UserMessage("hi"))
    await record.end(1, "end_turn")
    other = Trajectory(tmp_path / "new" / "s.jsonl", HEAD, None)
    other.turn(2, UserMessage("from elsewhere"))
    await other.end(2, "end_turn")
    size = (tmp_path / "new" / "s.jsonl").stat().st_size
    with pytest.raises(SessionInUse, match="gone on in another agent; load it anew"):
        record.turn(2, UserMessage("here"))
    record.titled("late")
    assert (tmp_path / "new" / "s.jsonl").stat().st_size == size


async def test_what_was_deleted_elsewhere_does_not_come_back(
    record: Trajectory, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "s.jsonl"
    record.turn(1, UserMessage("hi"))
    await record.end(1, "end_turn")
    path.unlink()
    with pytest.raises(SessionInUse, match="this session was deleted; start a new one"):
        record.turn(2, UserMessage("here"))
    record.titled("late")
    assert not path.exists()


async def test_a_line_that_was_cut_off_stays_alone(record: Trajectory, tmp_path: Path) -> None:
    path = tmp_path / "new" / "s.jsonl"
    record.turn(1, UserMessage("hi"))
    record.close()
    with path.open("ab") as file:
        file.write(b'{"t": "torn')
    record = Trajectory(path, HEAD, None)
    record.turn(2, UserMessage("again"))
    assert path.read_bytes().splitlines()[-2] == b'{"t": "torn'
    assert json.loads(path.read_bytes().splitlines()[-1])["n"] == 2


async def test_what_cannot_be_written_is_said_once_and_stops_nothing(
    tmp_path: Path, told: list[str]
) -> None:
    (tmp_path / "file").write_text("no directory")
    record = Trajectory(tmp_path / "file" / "s.jsonl", HEAD)
    record.bind(dict, told.append)
    record.turn(1, UserMessage("hi"))
    record.event(TextDelta("1", "Hello"))
    with anyio.fail_after(5):
        await record.end(1, "end_turn")
    assert len(told) == 1
    assert told[0].startswith("this session is not recorded any more: ")


async def test_a_slow_disk_is_not_waited_for(tmp_path: Path) -> None:
    slow = threading.Event()
    record = Trajectory(tmp_path / "s.jsonl", HEAD, sync=lambda _: _wait(slow))
    try:
        record.turn(1, UserMessage("hi"))
        with anyio.fail_after(SYNC_SECONDS + 3):
            await record.end(1, "end_turn")
        record.turn(2, UserMessage("go on"))
    finally:
        slow.set()
    assert lines(tmp_path / "s.jsonl")[-1]["n"] == 2


async def test_directories_are_for_the_user_alone(tmp_path: Path) -> None:
    record = Trajectory(tmp_path / "a" / "b" / "s.jsonl", HEAD)
    record.turn(1, UserMessage("hi"))
    record.close()
    modes = {(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")}
    assert modes == {0o700}


def _wait(slow: threading.Event) -> None:
    slow.wait()


class Broken:
    """A follower that fails."""

    def line(self, line: Line, text: bytes) -> None:
        raise ValueError(text)

    def close(self) -> None:
        raise AssertionError("it was given up")


class Collected:
    """A follower that keeps what it gets."""

    def __init__(self) -> None:
        self.said: list[tuple[Line, bytes]] = []
        self.is_closed = False

    def line(self, line: Line, text: bytes) -> None:
        self.said.append((line, text))

    def close(self) -> None:
        self.is_closed = True


async def test_followers_hear_what_was_written_and_fail_no_session(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "s.jsonl"
    record, collected = Trajectory(path, HEAD), Collected()
    record.bind(lambda: {"mode": "m"}, print, [Broken(), collected])
    record.turn(1, UserMessage("hi"))
    record.event(TextDelta("1", "Hello"))
    record.permission("c", "shell", "ls", "allowed")
    record.titled("Greeting")
    record.dropped(2)
    record.replaced(())
    await record.end(1, "end_turn")
    assert not collected.is_closed
    record.close()
    assert collected.is_closed
    assert b"".join(text for _, text in collected.said) == b"".join(
        path.read_bytes().splitlines(keepends=True)[1:]
    )
    assert [line for line, _ in collected.said] == list(read(path, lambda number, why: None))[1:]
    assert caplog.text.count("Broken is given up") == 1


async def test_what_json_does_not_know_is_written_as_its_text(tmp_path: Path) -> None:
    record = Trajectory(tmp_path / "s.jsonl", HEAD)
    record.turn(1, UserMessage("hi"))
    record.event(ToolCallUpdated("c", raw_output={"at": Path("/x"), "half": "\ud83d"}))
    last = lines(tmp_path / "s.jsonl")[-1]["event"]
    assert last["raw_output"] == {"at": "/x", "half": "\ud83d"}
