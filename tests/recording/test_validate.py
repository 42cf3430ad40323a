"""`acp-agent validate` finds what is wrong with a file, and says where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent import cli
from acp_agent.recording.validate import MAX_ISSUES, Issue, validate
from tests.recording.trajectories import Script

HEAD = ["---", "format: rlog/1", "id: sess", "repo_sha: abc123f", "runner: me", "---"]


def found(*lines: str) -> list[tuple[str, int | None]]:
    return [(issue.code, issue.line) for issue in validate([*HEAD, *lines]).issues]


# The examples of the format's documents.
GOOD = """
# t=00:00:00
@start id=sess_demo duration=10m
u: Can you check auth?
a: Looking now.
t:read id=call_1 src/auth.rs → [186 lines]
o: id=call_1 → [ok]
th: Let me analyze the flow... sig=Ep4E...
  This requires checking the handler.
t!:Read id=toolu_1 file_path=src/auth.rs → [running] ts=2025-12-19T20:29:08Z
t~:Read id=toolu_1 [50%]
o: id=toolu_1 → [ok] 186 lines
td: [in_progress] Fix login bug [pending] Add tests
s:deploy activate → [loaded]
p:create "Auth plan" → [ok]
m: auto
r: "auth" → [2 matches]
x:explore "find auth failures" → summary=...
c:github.issues state=open → [8 issues]
q: "Which auth?" → [selected: OAuth]
@phase explore
@end summary="checked auth"
""".split("\n")


def test_every_kind_of_line_is_known() -> None:
    assert found(*GOOD) == []


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        (["t~:test id=c1 50%"], [("W001", 7)]),
        (["o: id=c1 → [ok]"], [("W002", 7)]),
        (["hello"], [("W003", 7)]),
        (["t!:mcp-tool"], []),
        (["t!:→"], [("W003", 7)]),
        (["# step=2", "# step=1"], [("W004", 8)]),
        (["u: hi ts=yesterday"], [("W005", 7)]),
        (["# @blob sha256=abc"], [("W006", 7)]),
        (["t!:shell id=c1 → [running]", "a: done"], [("W007", 7)]),
        (["t!:shell id=c1 → [running]", "t:shell id=c1 → [ok]"], []),
        (["a: hi"] * 51, [("I001", None)]),
        (["@start id=s"], [("I002", None)]),
    ],
)
def test_a_line_that_is_wrong(lines: list[str], codes: list[tuple[str, int | None]]) -> None:
    assert found(*lines) == codes


@pytest.mark.parametrize(
    ("header", "codes"),
    [
        ([], ["E001"]),
        (["---", "format: rlog/1"], ["E001"]),
        (["---", "---"], ["E003", "E003", "E003", "I004"]),
        (["---", "format: rlog/1", "id: a", "repo_sha: unknown", "---"], ["W009", "I004"]),
        (["---", "format: rlog/1", "id: a", "repo_sha: abc", "---"], ["W009", "I004"]),
        (["---", "format: rlog/2", "id: a", "repo_sha: abcdef", "---"], ["W008", "I004"]),
        (["---", "format: atif/1", "id: a", "repo_sha: abcdef", "---"], ["E004", "I004"]),
        (["---", "format: rlog/1", "id: a", "repo_sha: 1234567", "---"], ["E002", "E003", "I004"]),
        (["---", "format: rlog/1", "id: a", "repo_sha: 12345e6", "---"], ["E002", "E003", "I004"]),
        (["---", "format: rlog/1", "id: a", 'repo_sha: "1234567"', "---"], ["I004"]),
        (["---", "format: rlog/1", "id: 'a", "repo_sha: abcdef", "---"], ["E002", "E003", "I004"]),
        ([*HEAD[:5], "skills:", "  - a", "---"], []),
        ([*HEAD[:5], "mode: auto", "---"], ["I003"]),
        ([*HEAD[:5], "what is this", "---"], ["E002"]),
    ],
)
def test_a_header_that_is_wrong(header: list[str], codes: list[str]) -> None:
    assert [issue.code for issue in validate(header).issues] == codes


@given(st.lists(st.text()))
def test_any_text_can_be_validated(lines: list[str]) -> None:
    assert validate(lines).issues[0].code == "E001" or "---" in map(str.strip, lines)


def test_issues_are_counted_and_not_all_kept() -> None:
    report = validate([*HEAD, *["?"] * 3000])
    assert (len(report.issues), report.severities) == (MAX_ISSUES, {"warning": 3000, "info": 1})


def test_a_valid_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.rlog"
    path.write_text("\n".join([*HEAD, *GOOD]) + "\n")
    assert cli.run(["validate", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: valid\n"


def test_a_file_with_a_warning_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.rlog"
    path.write_bytes("\n".join([*HEAD, "", "", "huh"]).encode() + b"\n\xff\n")
    assert cli.run(["validate", str(path), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert [(issue["code"], issue["line"]) for issue in answer["issues"]] == [
        ("W003", 9),
        ("W003", 10),
        ("E005", 10),
    ]


def test_a_trajectory_is_validated_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Script()
    script.turn("hi", [])
    path = script.write(tmp_path / "x.jsonl")
    assert cli.run(["validate", str(path)]) == 0
    with path.open("a") as file:
        file.write('{"k": "title"}\n{"k":"ti')
    assert cli.run(["validate", str(path)]) == 1
    assert capsys.readouterr().out.split("\n")[1:3] == [
        f"{path}:5: warning T001: a line 'title' lacks title",
        f"{path}:6: info T001: it is the last and was not finished",
    ]


@pytest.mark.parametrize("name", ["gone", "."])
def test_what_is_no_file_is_said(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["validate", str(tmp_path / name)]) == 2
    assert "file" in capsys.readouterr().err


def test_an_empty_file_has_no_header(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert cli.run(["validate", str(tmp_path / "x")]) == 1


def test_an_issue_is_a_value() -> None:
    assert validate([*HEAD, "?"]).issues == [
        Issue("warning", "W003", "unknown kind of line: '?'", 7)
    ]
