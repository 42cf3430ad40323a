"""What is peculiar to servers with Chat Completions; test_compliance.py has what all share."""

from __future__ import annotations

from typing import Any

import pytest

from acp_agent.backends.profiles import FM_SERVE, FOUNDATION_BRIDGE
from acp_agent.conversation import Call, Message, ModelRequest, ModelStep, UserMessage
from acp_agent.errors import (
    ContextOverflow,
    EngineFailed,
    EngineMismatch,
    EngineUnavailable,
)
from acp_agent.ports import (
    CallOpened,
    StepEnded,
    TextPart,
    ThoughtPart,
    Timings,
)
from tests.backends.chat_asking import (
    DONE,
    REQUEST,
    SEARCH,
    SHELL,
    ask,
    backend,
    chunk,
    only_text,
    text,
)
from tests.backends.stand_in import answer, events, stand_in

pytestmark = pytest.mark.anyio


async def test_the_request_says_all_that_was_chosen() -> None:
    request = ModelRequest(
        [UserMessage("hi")], "Be brief.", (SEARCH,), "high", max_tokens=9, temperature=0.5
    )
    *_, bodies = await ask([text("ho")], request)
    assert bodies == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "hi"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0.5,
            "max_tokens": 9,
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "browser_search",
                        "description": "Search the web.",
                        "parameters": {"type": "object"},
                    },
                }
            ],
            "reasoning_effort": "high",
        }
    ]


async def test_apples_server_gets_nothing_that_it_refuses_or_ignores() -> None:
    request = ModelRequest([UserMessage("hi")], tools=(SHELL,), max_tokens=9)
    *_, bodies = await ask([text("ho")], request, FM_SERVE)
    assert bodies == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "hi"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]


async def test_a_limit_that_the_server_ignores_is_kept_here() -> None:
    request = ModelRequest([UserMessage("hi")], max_tokens=2)
    found, step, _ = await ask([text("123456", "7890", "more")], request, FM_SERVE)
    assert found == [TextPart(0, "123456"), TextPart(0, "78"), StepEnded("limit")]
    assert step.messages == (Message("final", "12345678", complete=False),)


async def test_template_markers_do_not_reach_the_user() -> None:
    pieces = (
        "<start_of_turn>",
        "model\nHel",
        "lo <",
        "ctrl46",
        ">there",
        "<end_of_turn>",
        " a < b <c>",
    )
    _, step, _ = await ask([text(*pieces)], profile=FM_SERVE)
    assert only_text(step) == "Hello there a < b <c>"
    assert step.repairs == ("template markers in the text",)


GUARDRAIL = {"error": {"message": "The model's safety guardrails were triggered."}}


async def test_a_guardrail_in_mid_answer_ends_it_with_what_there_is() -> None:
    found, step, bodies = await ask(
        [events(chunk({"content": "Some words"}), GUARDRAIL)], profile=FM_SERVE
    )
    assert found == [TextPart(0, "Some words"), StepEnded("stop")]
    assert step == ModelStep(
        (Message("final", "Some words"),),
        repairs=("the server ended the answer: The model's safety guardrails were triggered.",),
    )
    assert len(bodies) == 1


async def test_a_guardrail_before_the_first_word_is_a_failure_that_says_so() -> None:
    with pytest.raises(EngineFailed, match="safety guardrails were triggered"):
        await ask([events(GUARDRAIL)], profile=FM_SERVE)


async def test_a_refusal_is_the_answer() -> None:
    deltas = (chunk({"role": "assistant"}), chunk({"refusal": "I cannot."}))
    _, step, _ = await ask([events(*deltas, chunk({}, "content_filter"), DONE)])
    assert step == ModelStep((Message("final", "I cannot."),))


async def test_another_error_in_mid_answer_is_a_failure_in_the_servers_words() -> None:
    async with stand_in(
        events(chunk({"content": "Some"}), {"error": {"message": "boom"}})
    ) as there:
        async with backend(there).stream(REQUEST) as stream:
            with pytest.raises(EngineFailed, match="boom"):
                async for _ in stream:
                    pass
            assert only_text(stream.step()) == "Some"


async def test_an_overflow_in_mid_answer_is_one() -> None:
    overflow = {"error": {"message": "Exceeded model context window size"}}
    with pytest.raises(ContextOverflow) as caught:
        await ask([events(overflow)], profile=FM_SERVE)
    assert caught.value.context_size == 4096


async def test_a_model_that_is_not_there_is_not_asked_again() -> None:
    body = {"error": "apple_fm_not_ready", "message": "off", "unavailableReason": "disabled"}
    async with stand_in(answer(503, body)) as there:
        with pytest.raises(EngineUnavailable, match="off"):
            await backend(there, FOUNDATION_BRIDGE).complete(REQUEST)
        assert len(there.bodies) == 1


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
async def test_reasoning_is_read_from_each_field_that_servers_use(field: str) -> None:
    stream = events(chunk({field: "Hm", "content": ""}), chunk({"content": "ho"}, "stop"), DONE)
    found, *_ = await ask([stream])
    assert found == [ThoughtPart(0, "Hm"), TextPart(1, "ho"), StepEnded("stop")]


async def test_parallel_calls_are_told_apart_by_index() -> None:
    def call(index: int, arguments: str, name: str = "") -> dict[str, Any]:
        function = {"arguments": arguments} | ({"name": name} if name else {})
        return {"index": index, "id": "call_0" if name else None, "function": function}

    deltas = [
        {"content": "Looking."},
        {"tool_calls": [call(0, "", "shell")]},
        {"tool_calls": [call(1, '{"q":', "browser_search")]},
        {"tool_calls": [call(0, '{"a": 1}'), call(1, " 2}")]},
    ]
    stream = events(*map(chunk, deltas), chunk({}, "tool_calls"), DONE)
    request = ModelRequest([UserMessage("go")], tools=(SHELL, SEARCH))
    found, step, _ = await ask([stream], request)
    first, second = step.calls
    assert first == Call(first.call_id, "functions.shell", '{"a": 1}')
    assert second == Call(second.call_id, "browser.search", '{"q": 2}')
    assert first.call_id != second.call_id  # though the server gave both the same
    assert found == [
        TextPart(0, "Looking."),
        CallOpened(first.call_id, "functions.shell"),
        CallOpened(second.call_id, "browser.search"),
        StepEnded("stop"),
    ]
    assert step.messages[0] == Message("commentary", "Looking.")


async def test_calls_with_one_index_are_told_apart_by_id() -> None:
    calls = [
        {"index": 0, "id": name, "function": {"name": "shell", "arguments": f'{{"a": "{name}"}}'}}
        for name in ("x", "y")
    ]
    chunks = [chunk({"tool_calls": [call]}) for call in calls]
    _, step, _ = await ask([events(*chunks, chunk({}, "tool_calls"), DONE)])
    assert [call.arguments for call in step.calls] == ['{"a": "x"}', '{"a": "y"}']


async def test_arguments_that_are_an_object_are_read() -> None:
    calls = [{"function": {"name": "shell", "arguments": {"a": 1}}}]
    _, step, _ = await ask([events(chunk({"tool_calls": calls}, "tool_calls"), DONE)])
    assert [call.arguments for call in step.calls] == ['{"a": 1}']


async def test_a_server_that_does_not_stream_is_read_all_the_same() -> None:
    whole = {
        "choices": [{"message": {"role": "assistant", "content": "ho"}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 68,
            "completion_tokens": 13,
            "prompt_tokens_details": {"cached_tokens": 60},
        },
    }
    found, step, _ = await ask([answer(200, whole)])
    timings = Timings(cached_tokens=60, prompt_tokens=8, predicted_tokens=13)
    assert found == [TextPart(0, "ho"), StepEnded("stop", timings)]
    assert step == ModelStep((Message("final", "ho"),))


async def test_an_error_that_is_answered_with_200_is_a_failure() -> None:
    with pytest.raises(EngineFailed, match="Unexpected endpoint"):
        await ask([answer(200, {"error": "Unexpected endpoint or method."})])


async def test_an_answer_without_words_is_a_whole_one() -> None:
    _, step, _ = await ask([events(chunk({"role": "assistant"}), chunk({}, "stop"), DONE)])
    assert step == ModelStep((Message("final", ""),))


async def test_json_of_another_shape_is_no_chat_server() -> None:
    with pytest.raises(EngineMismatch, match="chat chunks"):
        await ask([events({"hello": "world"})])


@pytest.mark.parametrize(
    "broken",
    [
        {"choices": "no"},
        {"choices": [None]},
        {"choices": [{"delta": {"content": 7}}]},
        {"choices": [{"delta": {"tool_calls": [7, {"index": "x"}]}}]},
        {"choices": [], "usage": {"prompt_tokens": "many"}},
        {"choices": [], "timings": {"prompt_ms": []}},
    ],
)
async def test_broken_chunks_are_passed_over_or_named(broken: dict[str, Any]) -> None:
    try:
        _, step, _ = await ask([events(broken, chunk({"content": "ho"}, "stop"), DONE)])
    except EngineMismatch:
        return
    assert "ho" in [message.text for message in step.messages]


async def test_an_error_that_is_null_is_none() -> None:
    pieces = [{**piece, "error": None} for piece in (chunk({"content": "ho"}), chunk({}, "stop"))]
    found, *_ = await ask([events(*pieces)])
    assert found[0] == TextPart(0, "ho")


@pytest.mark.parametrize("body", ["", "OK"], ids=["nothing", "a word"])
async def test_a_health_that_is_no_json_says_nothing_against_the_server(body: str) -> None:
    listing = {"object": "list", "data": [{"id": "m"}]}
    async with stand_in(answer(200, body), answer(200, listing)) as there:
        assert (await backend(there).is_available()).state == "ready"
