"""A trajectory is read as far as it can be, and what cannot be is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.conversation import Message, ModelStep, UserMessage
from acp_agent.errors import ConfigError
from acp_agent.events import TextDelta
from acp_agent.recording import read as reading
from acp_agent.recording.lines import (
    Happened,
    HistoryChanged,
    Line,
    Opened,
    OptionsSet,
    PermissionDecided,
    Titled,
    TurnEnded,
    TurnStarted,
    line_of,
    moment,
)
from acp_agent.recording.records import BadRecord, to_object
from acp_agent.recording.well_typed import misfit
from tests.recording.test_records import ENTRIES, EVENTS
from tests.recording.trajectories import Script

T = "2026-11-20T12:00:00.000Z"


def read_all(path: Path) -> tuple[list[Line], list[tuple[int, str]]]:
    skipped: list[tuple[int, str]] = []
    lines = list(reading.read(path, lambda number, reason: skipped.append((number, reason))))
    return lines, skipped


def test_every_kind_is_read(tmp_path: Path) -> None:
    script = Script()
    step = ModelStep((Message("final", "hello"),), tokens=(1, 2))
    script.turn("hi", [TextDelta("m", "hello")])
    script.add(step)
    script.permission("c", "shell", "ls", "allowed")
    script.record("drop", count=2)
    script.record("replace", entries=[to_object(UserMessage("all of it"))])
    script.record("title", title="Greeting")
    script.record("end", n=2, error="the engine fell over")
    times = [f"2026-11-20T12:00:{second:02}.000Z" for second in range(11)]
    assert read_all(script.write(tmp_path / "x.jsonl")) == (
        [
            Opened(times[0], "sess_1", "/code", (), "acp-agent 0.1.0", "gptoss_20b", "gpt-oss-20b"),
            OptionsSet(times[1], "gptoss_20b", "gpt-oss-20b", "low", "ask"),
            TurnStarted(times[2], 1, UserMessage("hi")),
            Happened(times[3], TextDelta("m", "hello")),
            TurnEnded(times[4], 1, "end_turn", used=10, size=100),
            HistoryChanged(times[5], (step,)),
            PermissionDecided(times[6], "c", "shell", "ls", "allowed"),
            HistoryChanged(times[7], (), 2),
            HistoryChanged(times[8], (UserMessage("all of it"),), None),
            Titled(times[9], "Greeting"),
            TurnEnded(times[10], 2, error="the engine fell over"),
        ],
        [],
    )


def test_what_is_broken_is_skipped_and_said(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    lines = [
        b'{"t": "%s", "k": "title", "title": "one"}' % T.encode(),
        b"",
        b"\x00\x00\x00",
        b"\xff\xfe",
        b'{"k": "later", "x": 1}',
        b'{"k": "title", "title": 5}',
        b'{"k": "event", "event": {"type": "TextDelta", "message_id": "m", "text": ["no"]}}',
        b"[" * 100_000,
        b'{"t": "noon", "k": "title", "title": "two"}',
        b'{"t": "2026-11-20T12:00',
    ]
    path.write_bytes(b"\n".join(lines))
    assert read_all(path) == (
        [Titled(T, "one"), Titled("", "two")],
        [
            (3, "it is not JSON"),
            (4, "it is not JSON"),
            (6, "a line 'title' has no usable title"),
            (7, "a line 'event' has no usable event"),
            (8, "it is not JSON"),
            (10, "it is the last and was not finished"),
        ],
    )


def test_a_last_line_that_lacks_only_its_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"k": "title", "title": "whole"}')
    assert read_all(path) == ([Titled("", "whole")], [])


def test_a_line_that_is_far_too_long_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"x" * 50 + b"\nab\n" + b"y" * 9 + b"\n" + b"z" * 10)
    with path.open("rb") as file:
        assert list(reading.numbered(file, 9)) == [
            (1, None),
            (2, b"ab\n"),
            (3, b"y" * 9 + b"\n"),
            (4, None),
        ]


BROKEN: list[tuple[Any, str]] = [
    (None, "it is not an object"),
    ([], "it is not an object"),
    ({}, "it has no kind"),
    ({"k": 1}, "it has no kind"),
    ({"k": "session"}, "a line 'session' lacks id"),
    ({"k": "session", "id": "s", "roots": [1]}, "a line 'session' has no usable roots"),
    ({"k": "session", "id": "s", "roots": "/a"}, "a line 'session' has no usable roots"),
    ({"k": "options", "values": []}, "a line 'options' has no usable values"),
    ({"k": "options", "values": {"mode": 1}}, "a line 'options' has no usable mode"),
    ({"k": "turn", "n": True, "message": {"type": "UserMessage", "words": ""}}, "usable n"),
    ({"k": "turn", "n": 1, "message": {"type": "TextDelta"}}, "a TextDelta lacks message_id"),
    ({"k": "event", "event": {"type": "UserMessage", "words": ""}}, "holds an entry"),
    ({"k": "event", "event": {"type": "Text", "text": ""}}, "has no usable event"),
    ({"k": "drop", "count": -1}, "a line 'drop' has no usable count"),
    ({"k": "replace", "entries": {}}, "a line 'replace' has no usable entries"),
    ({"k": "replace", "entries": [1]}, "it names no known type"),
    ({"k": "add", "entry": {"type": "ModelStep", "messages": ["x"]}}, "has no usable added"),
    ({"k": "end", "n": "1"}, "a line 'end' has no usable n"),
]


@pytest.mark.parametrize(("record", "words"), BROKEN)
def test_what_nobody_wrote_is_refused(record: Any, words: str) -> None:
    with pytest.raises(BadRecord, match=words):
        line_of(record)


@given(EVENTS | ENTRIES)
def test_what_was_made_well_fits_its_types(value: Any) -> None:
    assert misfit(value) == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = ("k", "t", "n", "id", "event", "entry", "entries", "message", "title", "values", "type")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["session", "end", "turn"])))
def test_any_object_is_a_line_or_refused(record: Any) -> None:
    try:
        line = line_of(record)
    except BadRecord:
        return
    assert line is None or misfit(line) == ""


@pytest.mark.parametrize("time", ["", "noon", "2026-13-40T99:99:99Z"])
def test_a_time_that_is_none(time: str) -> None:
    assert moment(time) is None


def test_a_session_is_found_by_its_id(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "acp-agent" / "sessions" / "0123456789abcdef"
    path = Script().write(folder / "sess_1.jsonl")
    assert reading.trajectory_file("sess_1") == path
    assert reading.trajectory_file(str(path)) == path


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("sess_2", "no file and no session 'sess_2'"),
        ("gone.jsonl", "no file 'gone.jsonl'"),
        ("*", "neither a file nor the id"),
        ("", "neither a file nor the id"),
        ("/", "'/' is not a file"),
        ("../gone/x", "no file '../gone/x'"),
    ],
)
def test_a_session_that_is_not_there(home: Path, target: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        reading.trajectory_file(target)
    assert words in str(caught.value)


def test_lines_come_before_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"k": "title", "title": "one"}) + "\n" + "{}\n" * 100_000)
    skipped: list[int] = []
    lines = reading.read(path, lambda number, _: skipped.append(number))
    assert (next(lines), skipped) == (Titled("", "one"), [])
