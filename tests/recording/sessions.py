"""Sessions that hypothesis makes up: anything that an agent of ours could have recorded."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from acp_agent import events
from acp_agent.conversation import Attachment, UserMessage
from tests.recording.trajectories import Script

TRAPS = st.sampled_from(
    [
        "u: hello",
        "---",
        "@end",
        "\n\n",
        "step=9 step=1",
        "ts=yesterday",
        "id=nobody",
        "tokens_in=5",
        "→ [ok]",
        "@blob sha256=ab",
        "\u2028",
        "\x1b[2J",
        "\ud800",
        "\t",
        "<script>alert(1)</script>",
        "```",
        "o: id=ghost → [ok]",
    ]
)
TEXT = st.lists(st.text(max_size=30) | TRAPS, max_size=4).map("".join)
IDS = st.sampled_from(["call_1", "call-2", "a.b", "é", "", "id=x", "turn 3"])
NAMES = st.sampled_from(["shell", "functions.shell", "gptoss.generate", "mcp/x.y-z", "", "→"])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)
META = st.none() | st.fixed_dictionaries(
    {"routing": st.fixed_dictionaries({"decision": TEXT, "reason": TEXT})}
)
CONTENT = st.one_of(
    st.builds(events.Text, TEXT),
    st.builds(events.Diff, TEXT, st.none() | TEXT, TEXT),
    st.builds(events.Image, TEXT, TEXT),
    st.builds(events.Terminal, TEXT),
)
EVENTS = st.one_of(
    st.builds(events.TextDelta, IDS, TEXT, META),
    st.builds(events.ThoughtDelta, IDS, TEXT, META),
    st.builds(events.ToolCallStarted, IDS, NAMES, TEXT, raw_input=JSON, meta=META),
    st.builds(
        events.ToolCallUpdated,
        IDS,
        status=st.none() | st.sampled_from(["in_progress", "completed", "failed"]),
        content=st.none() | st.lists(CONTENT, max_size=2).map(tuple),
        raw_input=JSON,
        raw_output=JSON,
    ),
    st.builds(events.ToolOutput, IDS, TEXT, TEXT, TEXT),
    st.builds(events.Noticed, TEXT, st.sampled_from(["info", "error"]), TEXT),
    st.builds(
        events.PlanUpdated,
        st.lists(
            st.builds(events.PlanEntry, TEXT, st.sampled_from(["pending", "completed"])),
            max_size=3,
        ).map(tuple),
    ),
    st.builds(events.UsageUpdated, st.integers(0), st.integers(0), META),
    st.builds(
        events.StepMeasured,
        *(st.integers(0, 9999),) * 4,
        st.just({"prompt": 10, "predicted": 20.5}),
        st.lists(TEXT, max_size=2).map(tuple),
    ),
)
STOPS = st.sampled_from(["end_turn", "cancelled", "max_tokens"])


@st.composite
def sessions(draw: st.DrawFn) -> Script:
    script = Script(cwd=draw(TEXT))
    for _ in range(draw(st.integers(0, 3))):
        attached = draw(st.lists(st.builds(Attachment, TEXT), max_size=2))
        message = UserMessage(draw(TEXT), tuple(attached))
        script.turn(message, draw(st.lists(EVENTS, max_size=8)), draw(STOPS))
        script.permission(draw(IDS), draw(NAMES), draw(TEXT), "allowed")
        script.record("title", title=draw(TEXT))
        script.record("drop", count=draw(st.integers(0, 2)))
        script.record("replace", entries=[])
        script.record("surely_later", what=1)
    if draw(st.booleans()):  # the process was killed in mid-turn
        script.record("turn", n=9, message={"type": "UserMessage", "words": "go on"})
        for event in draw(st.lists(EVENTS, max_size=4)):
            script.event(event)
    return script
