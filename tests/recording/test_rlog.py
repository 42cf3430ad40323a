"""The rlog of any session is valid, short, and holds no secret."""

from __future__ import annotations

import json
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from acp_agent.conversation import Attachment, UserMessage
from acp_agent.events import (
    Event,
    Noticed,
    PlanEntry,
    PlanUpdated,
    StepMeasured,
    TextDelta,
    ThoughtDelta,
    ToolCallStarted,
    ToolCallUpdated,
)
from acp_agent.recording.lines import Line, line_of
from acp_agent.recording.records import to_object
from acp_agent.recording.repository import Commit
from acp_agent.recording.rlog import whole
from acp_agent.recording.rlog_header import header_lines
from acp_agent.recording.validate import validate
from tests.recording.rlog_reading import read_rlog
from tests.recording.sessions import sessions
from tests.recording.trajectories import Record, Script

COMMIT = Commit("0123456789abcdef0123456789abcdef01234567", "main")


def lines_of(records: Iterable[Record]) -> list[Line]:
    read = (line_of(json.loads(json.dumps(record))) for record in records)
    return [line for line in read if line is not None]


def rlog(script: Script) -> str:
    written = whole(lines_of(script.records), lambda opened: header_lines(opened, COMMIT))
    return "".join(f"{line}\n" for line in written)


@settings(deadline=None)
@given(sessions())
def test_the_log_of_any_session_is_valid(script: Script) -> None:
    found = read_rlog(rlog(script))
    assert (found.wrong, found.header["repo_sha"]) == ([], COMMIT.sha)


@settings(deadline=None)
@given(sessions())
def test_our_validator_finds_nothing_either(script: Script) -> None:
    report = validate(rlog(script).split("\n")[:-1])
    assert report.issues == []


@settings(deadline=None)
@given(sessions())
def test_no_line_is_longer_than_people_read(script: Script) -> None:
    assert max(map(len, rlog(script).split("\n"))) < 1200


@settings(deadline=None)
@given(sessions())
def test_a_log_holds_nothing_that_commands_a_terminal(script: Script) -> None:
    assert all(c.isprintable() or c in "\n\u200c\u200d" for c in rlog(script))


def test_a_session_reads_well() -> None:
    script = Script()
    routing = {"routing": {"decision": "delegate", "reason": "it is about code"}}
    message = UserMessage("Fix the bug\n\nin auth", (Attachment("file:///code/auth.py"),))
    script.record("turn", n=1, message=to_object(message))
    for event in (
        ThoughtDelta("1.0", "I should ", routing),
        ThoughtDelta("1.0", "look."),
        ToolCallStarted("c-1", "functions.shell", "shell", "execute"),
        StepMeasured(900, 120, 780, 30, {"prompt": 100.0, "predicted": 400.4}),
        ToolCallUpdated("c-1", title="ls", status="pending", raw_input={"command": "ls a→b"}),
    ):
        script.event(event)
    script.permission("c-1", "shell", "ls", "allowed")
    for event in (
        ToolCallUpdated("c-1", status="in_progress"),
        ToolCallUpdated("c-1", status="completed", raw_output="auth.py\nmain.py\n"),
        PlanUpdated((PlanEntry("Fix", "in_progress"), PlanEntry("Test", "pending"))),
        Noticed("the engine is busy", "warning"),
        TextDelta("2.0", "Done: step=1"),
        StepMeasured(1000, 50, 950, 12, {}, ("cut",)),
    ):
        script.event(event)
    script.record("end", n=1, stop="end_turn", title="Fix auth", used=1012, size=8192)
    assert rlog(script) == snapshot("""\
---
format: rlog/1
id: "sess_1"
agent: "acp-agent"
version: "0.1.0"
runner: "acp-agent 0.1.0"
mode: "gptoss_20b"
model: "gpt-oss-20b"
repo_sha: "0123456789abcdef0123456789abcdef01234567"
branch: "main"
cwd: "/code"
---

@start id=sess_1 ts=2026-11-20T12:00:00.000Z
m: gptoss_20b model=gpt-oss-20b effort=low approvals=ask ts=2026-11-20T12:00:01.000Z
u: Fix the bug ts=2026-11-20T12:00:02.000Z
  in auth
  attached: file:///code/auth.py
# routing: it is about code → [delegate]
th: I should look. ts=2026-11-20T12:00:03.000Z
# model call: step=1 ts=2026-11-20T12:00:06.000Z latency_ms=500 read 120, cached 780, wrote 30
t!:shell id=c_1 ts=2026-11-20T12:00:07.000Z command=ls a->b → [running]
# permission: id=c_1 ts=2026-11-20T12:00:08.000Z shell "ls" → [allowed]
o: id=c_1 ts=2026-11-20T12:00:10.000Z latency_ms=3000 → [ok] auth.py main.py
td: [in_progress] Fix [pending] Test ts=2026-11-20T12:00:11.000Z
# notice: the engine is busy level=warning ts=2026-11-20T12:00:12.000Z
a: Done: step= 1 ts=2026-11-20T12:00:13.000Z
# model call: step=2 ts=2026-11-20T12:00:14.000Z read 50, cached 950, wrote 12; repaired: cut
@checkpoint turn=1 stop=end_turn ts=2026-11-20T12:00:15.000Z context 1012 of 8192
@end id=sess_1 tokens_in=1900 tokens_out=42 tokens_cached=1730 ts=2026-11-20T12:00:15.000Z
""")


def test_calls_that_nobody_answered_are_closed() -> None:
    script = Script()
    script.turn("go", [ToolCallStarted("c1", "shell", "shell")], "cancelled")
    assert "o: id=c1 ts=2026-11-20T12:00:04.000Z interrupted → [error] not finished" in rlog(
        script
    ).split("\n")


def test_texts_are_cut_for_people() -> None:
    script = Script()
    events: list[Event] = [ThoughtDelta("t", "x" * 9000), TextDelta("m", "y" * 90_000)]
    call = ToolCallUpdated("c", status="failed", raw_input={"a": "z" * 500}, raw_output="w" * 500)
    script.turn("u" * 500, [*events, call])
    text = rlog(script)
    sizes = {letter: text.count(letter * 2 + letter) for letter in "uxyzw"}
    assert sizes == {"u": 66, "x": 49, "y": 66, "z": 32, "w": 33}


SECRET = st.sampled_from(
    [
        "sk-ant-api03-" + "Abc9" * 8,
        "sk-proj-" + "Zq_8" * 10,
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2" * 9,
        "AKIA" + "ABCD1234" * 2,
        "sk_live_" + "a1B2" * 6,
        "xoxb-" + "1234567890-" * 2 + "abcdef",
        "AIza" + "Sy9_" * 9,
        "SG." + "a1B2" * 6 + "." + "c3D4" * 10,
        "npm_" + "a1B2" * 9,
        "pypi-" + "AgEI" * 12,
        "hf_" + "a1B2" * 9,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nAAAA\n"
        "-----END OPENSSH PRIVATE KEY-----",
    ]
)
AROUND = st.text(st.characters(codec="utf-8"), max_size=250)


@settings(deadline=None)
@given(SECRET, AROUND, AROUND, st.data())
def test_a_secret_appears_nowhere(
    secret: str, before: str, after: str, data: st.DataObject
) -> None:
    glue = st.sampled_from(["", " ", "\n", "=", '"'])
    planted = before + data.draw(glue) + secret + data.draw(glue) + after
    cuts = sorted(data.draw(st.lists(st.integers(0, len(planted)), max_size=6)))
    deltas = [planted[i:j] for i, j in zip([0, *cuts], [*cuts, None], strict=True)]
    script = Script(cwd=planted)
    meta = {"routing": {"decision": planted, "reason": planted}}
    script.turn(
        UserMessage(planted, (Attachment(planted),)),
        [
            *(ThoughtDelta("t", delta, meta) for delta in deltas),
            *(event for delta in deltas for event in (TextDelta("m", delta), Noticed(planted))),
            ToolCallStarted(planted, planted, planted, raw_input={"a": planted, planted: 1}),
            ToolCallUpdated(planted, status="completed", raw_output={"b": [planted]}),
            PlanUpdated((PlanEntry(planted, "pending"),)),
            StepMeasured(1, 1, 0, 1, {}, (planted,)),
            TextDelta("m", planted),
        ],
        planted,
    )
    script.permission(planted, planted, planted, planted)
    script.record("title", title=planted)
    script.record("end", n=2, error=planted)
    text = rlog(script)
    lines = {line for line in secret.split("\n") if len(line) > 10}
    assert [line for line in lines if line in text] == []
    # Nor what is left of it where something was cut.
    assert secret[:24] not in text


def test_a_secret_at_the_edge_of_what_is_looked_at_does_not_slip_in() -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + "x" * 65_440 + "\n-----END PRIVATE KEY-----\n"
    for shift in range(60):
        script = Script()
        script.turn("go", [TextDelta("m", "_" * shift + key + "sk-ant-" + "Abc9" * 8)])
        assert "sk-ant" not in rlog(script)


def test_the_rest_of_a_message_that_was_written_is_left_out() -> None:
    script = Script()
    call = ToolCallStarted("c", "shell", "shell")
    script.turn("go", [TextDelta("m", "sk-ant-"), call, TextDelta("m", "Abc9" * 8)])
    assert "Abc9" not in rlog(script)


def test_what_was_cut_stands_before_the_notice_that_it_begins_anew() -> None:
    script = Script()
    script.event(ThoughtDelta("m.0.0", "I ponder"))
    script.event(TextDelta("m.0.1", "Half of"))
    script.record("drop", count=1)
    script.event(Noticed("it begins anew"))
    script.event(TextDelta("m.1.0", "The whole."))
    *_, thought, cut, forgotten, notice, anew, _ = rlog(script).splitlines()
    assert [thought[:12], cut[:10], anew[:13]] == ["th: I ponder", "a: Half of", "a: The whole."]
    assert "forgotten" in forgotten
    assert notice.startswith("# notice: it begins anew")
