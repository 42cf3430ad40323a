"""Everything that a session is made of comes back from JSON as it was."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent import conversation as talk
from acp_agent import events
from acp_agent.recording.records import OPAQUE, BadRecord, from_object, to_object

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("type"), inner),
    max_leaves=5,
)
TEXT = st.text()
META = st.none() | st.dictionaries(TEXT, JSON)
CONTENT = st.one_of(
    st.builds(events.Text, TEXT),
    st.builds(events.Diff, TEXT, st.none() | TEXT, TEXT),
    st.builds(events.Image, TEXT, TEXT),
    st.builds(events.Terminal, TEXT),
)
EVENTS = st.one_of(
    *(st.from_type(kind) for kind in (events.Noticed, events.PlanUpdated, events.ToolOutput)),
    st.builds(events.UsageUpdated, st.integers(), st.integers(), META),
    st.builds(events.TextDelta, TEXT, TEXT, META),
    st.builds(events.ThoughtDelta, TEXT, TEXT, META),
    st.builds(events.ToolCallStarted, TEXT, TEXT, TEXT, raw_input=JSON),
    st.builds(
        events.ToolCallUpdated,
        TEXT,
        content=st.none() | st.lists(CONTENT).map(tuple),
        locations=st.none() | st.lists(st.builds(events.Location, TEXT)).map(tuple),
        raw_input=JSON,
        raw_output=JSON,
    ),
    st.builds(
        events.StepMeasured,
        st.integers(),
        st.integers(),
        st.integers(),
        st.integers(),
        st.dictionaries(TEXT, st.integers()),
    ),
)
ENTRIES: st.SearchStrategy[talk.Entry] = st.one_of(
    *(st.from_type(kind) for kind in (talk.UserMessage, talk.ModelStep, talk.ToolMessage))
)


@given(EVENTS | ENTRIES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert from_object(json.loads(json.dumps(to_object(value)))) == value


def test_defaults_are_left_out() -> None:
    assert to_object(events.TextDelta("m", "hi")) == {
        "type": "TextDelta",
        "message_id": "m",
        "text": "hi",
    }


def test_a_field_of_a_later_version_is_passed_over() -> None:
    written = {"type": "TextDelta", "message_id": "m", "text": "hi", "mood": "fine"}
    assert from_object(written) == events.TextDelta("m", "hi")


BROKEN: list[tuple[object, str]] = [
    (None, "it names no known type"),
    ({"type": "Gone"}, "it names no known type"),
    ({"type": ["TextDelta"]}, "it names no known type"),
    ({"type": "TextDelta", "text": "hi"}, "a TextDelta lacks message_id"),
    ({"type": "PlanUpdated", "entries": [{}]}, "it names no known type"),
]


@pytest.mark.parametrize(("written", "words"), BROKEN)
def test_what_nobody_wrote_is_refused(written: object, words: str) -> None:
    with pytest.raises(BadRecord, match=words):
        from_object(written)


def test_every_event_and_entry_can_be_written() -> None:
    kinds = (*get_args(events.Event), *get_args(talk.Entry))
    assert all(is_dataclass(kind) for kind in kinds)
    opaque = {field.name for kind in kinds for field in fields(kind) if "object" in str(field.type)}
    assert opaque | {"meta", "milliseconds"} == OPAQUE
