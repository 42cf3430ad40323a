"""What is peculiar to the Responses API; test_compliance.py has what all backends share."""

from __future__ import annotations

from typing import Any

import pytest

from acp_agent.backends.endpoint import fixed
from acp_agent.backends.openai_responses import openai_responses
from acp_agent.conversation import Call, Message, ModelRequest, ModelStep, ToolSpec, UserMessage
from acp_agent.errors import (
    BackendError,
    ContextOverflow,
    EngineFailed,
    EngineMismatch,
    StreamDropped,
)
from acp_agent.ports import CallOpened, ModelEvent, StepEnded, TextPart, ThoughtPart, Timings
from tests.backends.compliance import HTML
from tests.backends.stand_in import HASTE, answer, events, stand_in

pytestmark = pytest.mark.anyio

SHELL = ToolSpec("shell", "Run a command.", {"type": "object"})
REQUEST = ModelRequest([UserMessage("hi")], tools=(SHELL,), max_tokens=50)
USAGE = {"input_tokens": 126, "output_tokens": 30, "input_tokens_details": {"cached_tokens": 121}}
TIMINGS = Timings(cached_tokens=121, prompt_tokens=5, predicted_tokens=30)
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "ho"}]}


def completed(*items: object, **more: object) -> dict[str, Any]:
    return {"status": "completed", "output": list(items), "usage": USAGE, **more}


def stream(*values: object) -> bytes:
    return events(*values)


def last(**response: object) -> dict[str, Any]:
    return {"type": "response.completed", "response": {**completed(), **response}}


async def ask(reply: bytes) -> tuple[list[ModelEvent], ModelStep]:
    found: list[ModelEvent] = []
    failure: BackendError | None = None
    async with stand_in(reply) as there:
        backend = openai_responses(fixed(there.endpoint), model="m", patience=HASTE)
        async with backend.stream(REQUEST) as answering:
            try:
                found = [item async for item in answering]
            except BackendError as error:  # out of the stand-in's task group as what it is
                failure = error
    if failure is not None:
        raise failure
    return found, answering.step()


CALLS: list[dict[str, Any]] = [
    {"type": "function_call", "call_id": "c", "name": "shell", "arguments": '{"a": 1}'},
    {"type": "tool_call", "id": "c", "name": "shell", "arguments": {"a": 1}},
    {"type": "tool_call", "function": {"name": "shell", "arguments": '{"a": 1}'}},
    {
        "type": "message",
        "content": [{"type": "tool_call", "name": "functions.shell", "arguments": '{"a": 1}'}],
    },
]


@pytest.mark.parametrize("item", CALLS)
async def test_calls_are_read_in_each_shape(item: dict[str, Any]) -> None:
    found, step = await ask(answer(200, completed(item)))
    [call] = step.calls
    assert call == Call(call.call_id, "functions.shell", '{"a": 1}')
    assert found == [CallOpened(call.call_id, "functions.shell"), StepEnded("stop", TIMINGS)]


@pytest.mark.parametrize("item", CALLS)
async def test_a_call_that_was_streamed_is_not_read_twice(item: dict[str, Any]) -> None:
    item = {"id": "fc_1", **item}
    _, step = await ask(
        stream(
            {"type": "response.output_item.added", "item": {**item, "arguments": ""}},
            {"type": "response.function_call_arguments.delta", "item_id": "c", "delta": '{"a"'},
            {"type": "response.output_item.done", "item": item},
            last(output=[item]),
        )
    )
    assert [call.arguments for call in step.calls] == ['{"a": 1}']


@pytest.mark.parametrize(
    "response",
    [
        completed(MESSAGE),
        completed(MESSAGE, output_text="ho"),
        completed(output_text="ho"),
        completed({"type": "message", "content": "ho"}),
        completed({"type": "message", "content": [{"type": "text", "text": "ho"}]}),
    ],
)
async def test_text_is_read_in_each_shape(response: dict[str, Any]) -> None:
    found, step = await ask(answer(200, response))
    assert found == [TextPart(0, "ho"), StepEnded("stop", TIMINGS)]
    assert step == ModelStep((Message("final", "ho"),))


async def test_a_summary_stands_for_reasoning_that_is_kept_back() -> None:
    item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    found, _ = await ask(answer(200, completed(item, MESSAGE)))
    assert found[:2] == [ThoughtPart(0, "Hm."), TextPart(1, "ho")]


@pytest.mark.parametrize(
    "end",
    [
        {"type": "response.incomplete", "response": completed()},
        last(status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        last(usage={"input_tokens": 1, "output_tokens": 50}),  # as many as were allowed
    ],
)
async def test_a_cut_answer_is_told_in_each_shape(end: dict[str, Any]) -> None:
    found, step = await ask(stream({"type": "response.output_text.delta", "delta": "ho"}, end))
    assert isinstance(found[-1], StepEnded)
    assert found[-1].reason == "limit"
    assert step.messages == (Message("final", "ho", complete=False),)


async def test_a_content_filter_ends_the_answer_with_what_there_is() -> None:
    end = last(status="incomplete", incomplete_details={"reason": "content_filter"})
    _, step = await ask(stream({"type": "response.output_text.delta", "delta": "ho"}, end))
    assert step == ModelStep(
        (Message("final", "ho"),), repairs=("the server ended the answer: content_filter",)
    )


@pytest.mark.parametrize(
    "broken",
    [
        {"error": {"code": 500, "message": "the format is wrong"}},
        {"type": "error", "message": "the format is wrong"},
        {"type": "response.failed", "response": {"error": {"message": "the format is wrong"}}},
    ],
)
async def test_a_failure_is_told_in_the_servers_words(broken: dict[str, Any]) -> None:
    with pytest.raises(EngineFailed, match="the format is wrong"):
        await ask(stream(broken))


async def test_an_overflow_in_the_stream_is_one() -> None:
    words = "This model's maximum context length is 4096 tokens, you asked for 5000 tokens"
    broken = {"type": "response.failed", "response": {"error": {"message": words}}}
    with pytest.raises(ContextOverflow) as caught:
        await ask(stream(broken))
    assert (caught.value.prompt_tokens, caught.value.context_size) == (5000, 4096)


async def test_a_stream_without_its_last_event_was_dropped() -> None:
    with pytest.raises(StreamDropped):
        await ask(stream({"type": "response.output_text.delta", "delta": "ho"}, "data: [DONE]\n\n"))


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "response.completed"},
        {"type": "response.completed", "response": 7},
        {"type": "response.output_item.added"},
        {"type": "response.output_item.done", "item": None},
        {"type": "response.output_text.delta"},
    ],
)
async def test_events_of_another_shape_are_named(broken: dict[str, Any]) -> None:
    with pytest.raises(EngineMismatch, match="of another shape"):
        await ask(stream(broken))


async def test_unknown_events_are_passed_over() -> None:
    found, _ = await ask(
        stream({"type": "response.web_search.done", "x": 1}, last(output=[MESSAGE]))
    )
    assert found == [TextPart(0, "ho"), StepEnded("stop", TIMINGS)]


async def test_html_from_the_address_is_named() -> None:
    with pytest.raises(EngineMismatch, match="text/html"):
        await ask(HTML)
