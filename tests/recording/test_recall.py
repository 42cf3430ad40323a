"""A record that is damaged in any way is read as far as it goes, and never fails a load."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acp_agent.agent.stored import Asked
from acp_agent.conversation import ModelStep, UserMessage
from acp_agent.events import (
    CompactionUpdated,
    Diff,
    PlanEntry,
    PlanUpdated,
    StepMeasured,
    TextDelta,
    ToolCallStarted,
    ToolCallUpdated,
    ToolOutput,
    UsageUpdated,
)
from acp_agent.protocol import jsonrpc
from acp_agent.protocol.agent import ClientCapabilities
from acp_agent.protocol.convert import Converter, user_chunk
from acp_agent.recording.recall import Recall
from acp_agent.recording.store import Store
from tests.recording.sessions import JSON
from tests.recording.trajectories import Record, Script

CLIENTS = st.builds(
    ClientCapabilities,
    notices=st.booleans(),
    live_terminals=st.booleans(),
    compaction=st.booleans(),
)


def script() -> Script:
    script = Script()
    routing = {"decision": "inline", "reason": "short"}
    events = [
        TextDelta("m", "hello", {"routing": routing}),
        ToolCallStarted("c", "shell", "ls", "execute", raw_input={"command": "ls"}),
        ToolOutput("c", "out", "out", "/code", 0, None, ended=True),
        ToolCallUpdated("c", status="completed", content=(Diff("/a", None, "x"),), raw_output="a"),
        PlanUpdated((PlanEntry("one", "pending"),)),
        StepMeasured(5, 5, 0, 2, {"prompt": 1.5}),
        CompactionUpdated("k", "completed", "shorter"),
        UsageUpdated(7, 100),
    ]
    script.turn(UserMessage("hi"), events)
    script.add(UserMessage("hi"))
    script.add(ModelStep((), (), (1, 2)))
    script.record("drop", count=1)
    script.record("replace", entries=[])
    script.permission("c", "shell", "ls", "allowed")
    script.record("title", title="Greeting")
    return script


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return where something stands in a JSON value."""
    found = [path]
    if isinstance(value, dict):
        items = list(cast("Mapping[str, object]", value).items())
    elif isinstance(value, list):
        items = list(enumerate(cast("list[object]", value)))
    else:
        return found
    for name, item in items:
        found += places(item, (*path, name))
    return found


@st.composite
def damaged(draw: st.DrawFn) -> list[Record]:
    """Return records of which up to three hold something else at some place."""
    records: list[Any] = json.loads(json.dumps(script().records))
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(places(records)[1:]))
        holder: Any = records
        for name in path:
            holder = holder[name]
        holder[last] = draw(JSON)
    return records


async def load(path: Path, client: ClientCapabilities) -> None:
    recall, converter = Recall(path), Converter(client)
    async for batch in recall.shown():
        for item in batch:
            asked = isinstance(item, Asked)
            for update in [user_chunk(item)] if asked else converter.updates(item):
                assert jsonrpc.notification("session/update", {"update": update})
    assert list(recall.tally.diff()) is not None
    await Store(path.parents[1]).page(None, "")


@settings(deadline=None)
@given(damaged(), CLIENTS)
def test_json_of_any_kind_in_any_place_fails_no_load(
    records: list[Record], client: ClientCapabilities
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "work", "s.jsonl")
        path.parent.mkdir()
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
        anyio.run(load, path, client)


@settings(deadline=None)
@given(st.data())
def test_bytes_of_any_kind_fail_no_load(data: st.DataObject) -> None:
    whole = "".join(f"{json.dumps(record)}\n" for record in script().records).encode()
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, len(whole)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "work", "s.jsonl")
        path.parent.mkdir()
        path.write_bytes(whole[:begin] + data.draw(st.binary(max_size=20)) + whole[end:])
        anyio.run(load, path, ClientCapabilities())


@pytest.mark.anyio
async def test_a_compaction_that_was_killed_is_over_and_its_name_is_taken(tmp_path: Path) -> None:
    made = Script()
    made.turn("/compact", [CompactionUpdated("s.compaction-1", "in_progress")])
    recall = Recall(made.write(tmp_path / "s.jsonl"))
    shown = [item async for batch in recall.shown() for item in batch]
    assert shown[-1] == CompactionUpdated("s.compaction-1", "cancelled")
    assert recall.tally.compactions == 1
