"""The readers of streamed text: the same comes out wherever the pieces end."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.backends.markers import Markers
from acp_agent.backends.prompted_calls import PromptedCalls, Read, ReadCall, read_call
from acp_agent.backends.sse import EventReader, ServerEvent

CALL = '<tool_call>{"tool": "shell", "parameters": {"a": [1]}}</tool_call>'
WORDS = st.sampled_from(
    ["a", " ", "\n", "{", "}", "<", "<tool_call>", "</tool_call>", CALL, '{"tool": "shell"}', "```"]
)
TEXTS = st.lists(WORDS, max_size=8).map("".join)


def pieces(text: str, cuts: list[int]) -> list[str]:
    ends = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(ends)]


def read(parts: list[str], *, whole: bool = True) -> list[Read]:
    """Return what is read, neighbouring texts joined."""
    reader = PromptedCalls({"shell"})
    found = [item for part in parts for item in reader.feed(part)] + reader.close(whole=whole)
    joined: list[Read] = []
    for item in found:
        if joined and isinstance(item, str) and isinstance(joined[-1], str):
            joined[-1] += item
        else:
            joined.append(item)
    return joined


@given(TEXTS, st.lists(st.integers(0, 999), max_size=9), st.booleans())
def test_calls_are_read_alike_however_the_text_is_cut(
    text: str, cuts: list[int], whole: bool
) -> None:
    assert read(pieces(text, cuts), whole=whole) == read([text], whole=whole)


@given(TEXTS)
def test_text_that_holds_no_call_is_kept(text: str) -> None:
    found = read([text])
    if all(isinstance(item, str) for item in found):
        assert "".join(map(str, found)) == text.lstrip()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", ["plain"]),
        (CALL, [ReadCall("shell", '{"a": [1]}')]),
        (f"So: {CALL}", ["So: ", ReadCall("shell", '{"a": [1]}')]),
        (CALL + "\n" + CALL, [ReadCall("shell", '{"a": [1]}')] * 2),
        ('{"tool": "shell", "parameters": {}}', [ReadCall("shell", "{}")]),
        ('```json\n{"name": "shell", "arguments": "{}"}\n```', [ReadCall("shell", "{}")]),
        ('{"tool_call": [{"name": "shell"}]}', [ReadCall("shell", "{}")]),
        ('{"tool": "unknown"}', ['{"tool": "unknown"}']),
        ('{"answer": 42}', ['{"answer": 42}']),
        ("<tool_call>{oops}</tool_call>", ["<tool_call>{oops}</tool_call>"]),
        ("<tool_call>[]</tool_call>", ["<tool_call>[]</tool_call>"]),
        ('<tool_call>{"tool": 7}</tool_call>', ['<tool_call>{"tool": 7}</tool_call>']),
        ('<tool_call>{"tool": "shell"}', [ReadCall("shell", "{}")]),
        ("a < b, <tool", ["a < b, <tool"]),
        ("", []),
    ],
)
def test_what_is_a_call_and_what_is_text(text: str, found: list[Read]) -> None:
    assert read([text]) == found


def test_deeply_nested_json_is_text() -> None:
    assert read_call("[" * 100_000, None) is None


MARKED = st.lists(
    st.sampled_from(
        [
            "<start_of_turn>",
            "model\n",
            "user",
            "\n",
            "<ctrl46>",
            "<end_of_turn>",
            "<",
            "ctrl",
            "a<b>",
        ]
    ),
    max_size=8,
).map("".join)


@given(MARKED, st.lists(st.integers(0, 999), max_size=9))
def test_markers_are_found_however_the_text_is_cut(text: str, cuts: list[int]) -> None:
    def clean(parts: list[str]) -> str:
        markers = Markers()
        return "".join(map(markers.feed, parts)) + markers.close()

    assert clean(pieces(text, cuts)) == clean([text])
    assert "<ctrl46>" not in clean([text])


STREAM = (
    b": comment\n\nevent: a\ndata: one\ndata: two\n\n"
    b"data:three\r\n\r\nevent: b\ndata: 4\nevent: c\ndata: \xf0\x9f\x8e\x89\n\nid: 7\n\n"
    b"error: bad\n\ndata: last"
)
EVENTS = [
    ServerEvent("a", "one\ntwo"),
    ServerEvent("message", "three"),
    ServerEvent("b", "4"),
    ServerEvent("c", "🎉"),
    ServerEvent("error", "bad"),
    ServerEvent("message", "last"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=9))
def test_events_are_read_alike_however_the_bytes_are_cut(cuts: list[int]) -> None:
    reader = EventReader()
    ends = sorted({0, *cuts, len(STREAM)})
    found = [event for start, end in pairwise(ends) for event in reader.feed(STREAM[start:end])]
    assert found + reader.close() == EVENTS


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    reader = EventReader()
    reader.feed(data)
    reader.close()


KEYS = st.sampled_from(["tool", "name", "parameters", "tool_call"])
VALUES = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(VALUES)
def test_any_json_is_a_call_or_none(value: object) -> None:
    call = read_call(json.dumps(value), {"shell"})
    assert call is None or call.name.removeprefix("functions.") == "shell"
