"""Events as session/update objects, to what the client can show; all are valid by the schema."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from acp_agent.conversation import UserMessage
from acp_agent.events import (
    Diff,
    Emit,
    Event,
    Image,
    Location,
    Noticed,
    PlanEntry,
    PlanUpdated,
    StepMeasured,
    StopReason,
    Terminal,
    Text,
    TextDelta,
    ThoughtDelta,
    ToolCallStarted,
    ToolCallUpdated,
    ToolOutput,
    UsageUpdated,
)
from acp_agent.ports import Editor
from tests.protocol.harness import Json, connected, updates

pytestmark = pytest.mark.anyio

LIVE: Json = {"_meta": {"terminal_output": True}}
NOTICES: Json = {"session": {"notices": {}}}
TERMINAL: Json = {"type": "terminal", "terminalId": "c1"}


async def shown(events: Sequence[Event], capabilities: Json | None = None) -> list[Json]:
    """Return the updates that a client with these capabilities gets for the events."""

    async def play(message: UserMessage, emit: Emit, editor: Editor) -> StopReason:
        for event in events:
            await emit(event)
        return "end_turn"

    async with connected(play) as client:
        await client.open(capabilities)
        return updates(await client.until_answer(client.prompt()))


def text(content: str) -> Json:
    return {"type": "content", "content": {"type": "text", "text": content}}


async def test_thoughts_and_text_carry_their_message_id() -> None:
    assert await shown([ThoughtDelta("m1", "hm"), TextDelta("m2", "ünï\n😀")]) == [
        {
            "sessionUpdate": "agent_thought_chunk",
            "messageId": "m1",
            "content": {"type": "text", "text": "hm"},
        },
        {
            "sessionUpdate": "agent_message_chunk",
            "messageId": "m2",
            "content": {"type": "text", "text": "ünï\n😀"},
        },
    ]


async def test_half_a_surrogate_pair_from_a_model_does_not_break_the_frame() -> None:
    (update,) = await shown([TextDelta("m1", "a\ud83db")])
    assert update["content"]["text"] == "a?b"


async def test_tool_call_from_start_to_end() -> None:
    events: list[Event] = [
        ToolCallStarted("c1", "apply_patch", "Edit a", "edit", raw_input={"path": "a"}),
        ToolCallUpdated(
            "c1",
            content=(Diff("/w/a", "old", "new"), Terminal("t1")),
            locations=(Location("/w/a", 3), Location("/w/b")),
        ),
        ToolCallUpdated("c1", status="in_progress", kind="edit", title="Edit a, b"),
        ToolCallUpdated("c1", status="completed", content=(), raw_output={"files": 1}),
    ]
    call: Json = {"sessionUpdate": "tool_call_update", "toolCallId": "c1"}
    assert await shown(events) == [
        {
            "sessionUpdate": "tool_call",
            "toolCallId": "c1",
            "name": "apply_patch",
            "title": "Edit a",
            "kind": "edit",
            "status": "pending",
            "rawInput": {"path": "a"},
        },
        call
        | {
            "content": [
                {"type": "diff", "path": "/w/a", "oldText": "old", "newText": "new"},
                {"type": "terminal", "terminalId": "t1"},
            ],
            "locations": [{"path": "/w/a", "line": 3}, {"path": "/w/b"}],
        },
        call | {"title": "Edit a, b", "kind": "edit", "status": "in_progress"},
        call | {"status": "completed", "content": [], "rawOutput": {"files": 1}},
    ]


EVIL = "a\x1b[31mb\u202ec\x9bd"


async def test_what_is_shown_is_plain_and_what_is_written_is_exact() -> None:
    events: list[Event] = [
        ToolCallStarted("c1", f"x\n{EVIL}", f"x\n{EVIL}", "other"),
        ToolCallUpdated(
            "c1", content=(Text(EVIL), Diff("/w/a", EVIL, EVIL)), raw_output={"a": EVIL}
        ),
        ToolCallUpdated("c1", raw_output=EVIL, locations=(Location(f"/w/{EVIL}"),)),
        PlanUpdated((PlanEntry(EVIL, "pending"),)),
        TextDelta("m1", f"{EVIL}\r\n"),
    ]
    started, first, second, plan, answer = await shown(events)
    assert (started["name"], started["title"]) == ("x�a�[31mb�c�d",) * 2
    assert first["content"] == [
        {"type": "content", "content": {"type": "text", "text": "ab�c�d"}},
        {"type": "diff", "path": "/w/a", "oldText": EVIL, "newText": EVIL},
    ]
    assert (first["rawOutput"], second["rawOutput"]) == ({"a": "ab�c�d"}, "ab�c�d")
    assert second["locations"] == [{"path": f"/w/{EVIL}"}]
    assert plan["entries"][0]["content"] == "ab�c�d"
    assert answer["content"]["text"] == "a�[31mb\u202ec�d\r\n"


async def test_plan_is_sent_whole() -> None:
    entries = (PlanEntry("one", "completed", "high"), PlanEntry("two", "pending"))
    assert await shown([PlanUpdated(entries), PlanUpdated(())]) == [
        {
            "sessionUpdate": "plan",
            "entries": [
                {"content": "one", "priority": "high", "status": "completed"},
                {"content": "two", "priority": "medium", "status": "pending"},
            ],
        },
        {"sessionUpdate": "plan", "entries": []},
    ]


async def test_usage_is_sent_and_measurements_are_not() -> None:
    meta = {"source": "fm_orchestrator"}
    events = [StepMeasured(1, 1, 0, 1), UsageUpdated(100, 8192), UsageUpdated(7, 4096, meta)]
    assert await shown(events) == [
        {"sessionUpdate": "usage_update", "used": 100, "size": 8192},
        {"sessionUpdate": "usage_update", "used": 7, "size": 4096, "_meta": meta},
    ]


async def test_notice_goes_to_a_client_that_has_notices() -> None:
    events = [Noticed("Loading", "info", "12 GB"), Noticed("", "error")]
    assert await shown(events, NOTICES) == [
        {
            "sessionUpdate": "notice",
            "severity": "info",
            "title": "Loading",
            "description": "12 GB",
        },
        {"sessionUpdate": "notice", "severity": "error", "title": "error"},
    ]


async def test_notice_is_a_thought_of_its_own_for_any_other_client() -> None:
    events = [Noticed("Loading", "info", "12 GB"), Noticed("Ready")]
    told = [(u["sessionUpdate"], u["messageId"], u["content"]["text"]) for u in await shown(events)]
    assert told == [
        ("agent_thought_chunk", "notice-1", "Loading: 12 GB\n"),
        ("agent_thought_chunk", "notice-2", "Ready\n"),
    ]


IMAGE = Image("AAAA", "image/png")
PICTURE: Json = {"type": "image", "data": "AAAA", "mimeType": "image/png"}
OUTPUT: list[Event] = [
    ToolOutput("c1", "a\n", "a\n", "/w"),
    ToolOutput("c1", "b\n", "a\nb\n", "/w"),
    ToolOutput("c1", "", "a\nb\n", "/w", exit_code=1, ended=True),
    ToolCallUpdated("c1", status="completed", content=(Text("a\nb\n"),), raw_output="a\nb\n"),
]


async def test_live_terminal_is_opened_once_fed_and_closed() -> None:
    shown_live = await shown(OUTPUT, LIVE)
    assert [(u.get("content"), u.get("_meta")) for u in shown_live] == [
        (
            [TERMINAL],
            {
                "terminal_info": {"terminal_id": "c1", "cwd": "/w"},
                "terminal_output": {"terminal_id": "c1", "data": "a\n"},
            },
        ),
        (None, {"terminal_output": {"terminal_id": "c1", "data": "b\n"}}),
        (None, {"terminal_exit": {"terminal_id": "c1", "exit_code": 1, "signal": None}}),
        ([TERMINAL], None),
    ]


async def test_client_without_live_terminals_sees_the_output_so_far() -> None:
    contents = [update["content"] for update in await shown(OUTPUT)]
    # What is shown already is not sent again when the output ends.
    assert contents == [[text("```\na\n```")], [text("```\na\nb\n```")], [text("a\nb\n")]]


CODE = Text("code")


@pytest.mark.parametrize(
    ("capabilities", "output"),
    [({}, [text("```\na\n```")]), (LIVE, [TERMINAL])],
    ids=["text", "terminal"],
)
async def test_what_a_call_runs_stays_above_its_output(
    capabilities: Json, output: list[Json]
) -> None:
    events = [
        ToolCallUpdated("c1", status="pending", content=(CODE,)),
        ToolOutput("c1", "a\n", "a\n", "/w"),
        ToolOutput("c1", "", "a\n", "/w", exit_code=0, ended=True),
        ToolCallUpdated("c1", status="completed", content=(CODE, Text("```\na\n```"), IMAGE)),
    ]
    told = [u["content"] for u in await shown(events, capabilities) if "content" in u]
    assert told == [
        [text("code")],
        [text("code"), *output],
        [text("code"), *output, {"type": "content", "content": PICTURE}],
    ]


HUGE = "x" * 50_000_000
HUGE_EVENTS: dict[str, Event] = {
    "text": TextDelta("m", HUGE),
    "title": ToolCallStarted("c", "n", HUGE),
    "raw input": ToolCallStarted("c", "n", "t", raw_input={"content": HUGE}),
    "raw output": ToolCallUpdated("c", raw_output=[HUGE]),
    "diff": ToolCallUpdated("c", content=(Diff("/a", None, HUGE),)),
    "many diffs": ToolCallUpdated("c", content=(Diff("/a", "", "\0" * 500_000),) * 50),
    "output": ToolOutput("c1", HUGE, HUGE, "/w"),
    "plan": PlanUpdated((PlanEntry(HUGE, "pending"),)),
}


@pytest.mark.parametrize("capabilities", [{}, LIVE])
@pytest.mark.parametrize("event", HUGE_EVENTS.values(), ids=HUGE_EVENTS)
async def test_no_frame_is_larger_than_clients_take(event: Event, capabilities: Json) -> None:
    (update,) = await shown([event], capabilities)
    assert len(json.dumps(update)) < 16 * 1024 * 1024


async def test_what_is_too_large_says_so() -> None:
    events: list[Event] = [
        ToolCallUpdated("c", content=(Diff("/a", None, HUGE), Text(HUGE)), raw_output=HUGE)
    ]
    (update,) = await shown(events)
    note, cut = (content["content"]["text"] for content in update["content"])
    assert note == "/a: a change of 50000000 characters, too large to show"
    assert "\n[49737856 characters left out]\n" in cut
    assert update["rawOutput"] == cut
