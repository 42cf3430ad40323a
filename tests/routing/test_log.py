"""The decision log: what a line holds, who may read it, and how large it gets."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from acp_agent.routing.decide import decide
from acp_agent.routing.facts import Facts
from acp_agent.routing.load import default_rubric
from acp_agent.routing.log import DecisionLog, record

SCHEMA = Path(__file__).parents[2] / "schemas" / "records" / "routing_decision.schema.json"
NOW = datetime(2026, 11, 20, 9, 30, 0, 125_000, UTC)
DECISION = decide(Facts(fm_available=False, signals=("define",)), default_rubric())
DIGEST = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # of hello


def assert_valid(line: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    validator: Any = jsonschema.Draft202012Validator(schema)
    validator.validate(line)


def test_a_line_holds_the_decision_and_a_digest_of_the_prompt() -> None:
    line = record(DECISION, "hello", "s1", NOW)
    assert line == {
        "time": "2026-11-20T09:30:00.125+00:00",
        "session_id": "s1",
        **DECISION.as_json(),
        "prompt_sha256": DIGEST,
    }
    assert_valid(line)


def test_the_prompt_is_kept_only_if_the_user_turned_text_on(tmp_path: Path) -> None:
    DecisionLog(tmp_path / "a").add(DECISION, "hello", "s1", NOW)
    assert "hello" not in (tmp_path / "a").read_text()
    line = DecisionLog(tmp_path / "b", with_text=True).add(DECISION, "hello", "s1", NOW)
    assert line["prompt"] == "hello"
    assert_valid(line)


def test_the_log_lies_in_the_state_directory_for_the_user_only(home: Path) -> None:
    log = DecisionLog()
    log.add(DECISION, "hello", "s1", NOW)
    path = home.parent / "state" / "acp-agent" / "routing.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [json.loads(line) for line in path.read_text().splitlines()] == log.last()


def test_the_log_says_each_decision_as_a_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        DecisionLog(tmp_path / "log").add(DECISION, "hello", "s1", NOW)
    assert caplog.messages == [f"s1: delegate: {DECISION.reason}"]


def test_the_log_stays_within_its_size_and_keeps_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = DecisionLog(path, max_bytes=2_500, kept=2)
    for number in range(30):
        log.add(DECISION, "hello", f"s{number}", NOW)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert all(p.stat().st_size <= 2_500 for p in tmp_path.iterdir())
    assert [line["session_id"] for line in log.last(3)] == ["s27", "s28", "s29"]


def test_a_broken_line_in_the_log_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = DecisionLog(path)
    log.add(DECISION, "hello", "s1", NOW)
    with path.open("a") as file:
        file.write("{half\n3\n")
    log.add(DECISION, "hello", "s2", NOW)
    assert [line["session_id"] for line in log.last()] == ["s1", "s2"]


def test_a_log_that_cannot_be_written_is_reported_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    line = DecisionLog(tmp_path / "log").add(DECISION, "hello", "s1", NOW)
    assert line["session_id"] == "s1"
    assert "was not written to the routing log" in caplog.text
    assert not (tmp_path / "elsewhere").exists()


def test_a_prompt_with_a_lone_surrogate_is_logged(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log", with_text=True)
    log.add(DECISION, "a\ud800", "s1", NOW)
    assert log.last()[0]["prompt"] == "a\ud800"
