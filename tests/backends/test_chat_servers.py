"""Servers with Chat Completions: calls by prompt, constrained choices, being there or not."""

from __future__ import annotations

import pytest

from acp_agent.backends.api import LONGEST_LINE, Patience
from acp_agent.backends.endpoint import Endpoint, Locate, fixed
from acp_agent.backends.openai_chat import openai_chat
from acp_agent.backends.profiles import APFEL, FM_SERVE, FOUNDATION_BRIDGE
from acp_agent.conversation import Call, ModelRequest, UserMessage
from acp_agent.errors import (
    EngineMismatch,
    EngineUnavailable,
)
from acp_agent.ports import (
    Availability,
    TextPart,
)
from tests.backends.chat_asking import (
    REQUEST,
    SHELL,
    ask,
    backend,
    only_text,
    text,
)
from tests.backends.chat_dialects import error
from tests.backends.stand_in import HASTE, LOADING, answer, stand_in

pytestmark = pytest.mark.anyio

SCHEMA = {
    "type": "object",
    "properties": {
        "decision": {"type": "string", "enum": ["inline", "delegate"]},
        "reason": {"type": "string"},
    },
    "required": ["decision", "reason"],
}


CALL = '<tool_call>{"tool": "shell", "parameters": {"command": "ls"}}</tool_call>'
PROMPTED = ModelRequest([UserMessage("go")], tools=(SHELL,))


async def test_tools_are_written_into_the_prompt_of_a_bridge() -> None:
    *_, bodies = await ask([text("ho")], PROMPTED, FOUNDATION_BRIDGE)
    [system, user] = bodies[0]["messages"]
    assert "tools" not in bodies[0]
    assert '- shell: Run a command. {"type":"object"}' in system["content"]
    assert user == {"role": "user", "content": "go"}


async def test_text_beside_a_prompted_call_is_shown() -> None:
    pieces = ("I look. <tool", CALL.removeprefix("<tool"), "\n")
    found, step, _ = await ask([text(*pieces)], PROMPTED, FOUNDATION_BRIDGE)
    [call] = step.calls
    assert call == Call(call.call_id, "functions.shell", '{"command": "ls"}')
    assert (
        "".join(event.text for event in found if isinstance(event, TextPart)).strip() == "I look."
    )


async def test_a_prompted_call_that_is_cut_is_text() -> None:
    _, step, _ = await ask([text(CALL[:-12], finish="length")], PROMPTED, FOUNDATION_BRIDGE)
    assert step.calls == ()
    assert step.messages[0].text == CALL[:-12]


# ---------------------------------------------------------------- choices


async def test_a_choice_is_asked_for_by_schema_and_read() -> None:
    reply = '{"decision": "delegate", "reason": "it is code"}'
    async with stand_in(text(reply)) as there:
        found = await backend(there, FM_SERVE).choose(REQUEST, SCHEMA)
    assert found == {"decision": "delegate", "reason": "it is code"}
    assert there.bodies[0]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "choice", "strict": True, "schema": SCHEMA},
    }


async def test_the_bridge_chooses_among_candidates() -> None:
    reply = '{"candidate": "delegate", "reasonCode": "needs_delegation", "confidence": 1}'
    async with stand_in(text(reply)) as there:
        found = await backend(there, FOUNDATION_BRIDGE).choose(REQUEST, SCHEMA)
    assert (found["decision"], found["reason"]) == ("delegate", "needs_delegation")
    assert there.bodies[0]["route"] == {"candidates": ["inline", "delegate"]}


# ---------------------------------------------------------------- availability


def models(*ids: str) -> bytes:
    return answer(200, {"object": "list", "data": [{"id": name} for name in ids]})


@pytest.mark.parametrize(
    ("health", "found"),
    [
        (
            {"status": "degraded", "model_available": False, "version": "1.0.0"},
            Availability("unavailable", "the server says that its model is degraded"),
        ),
        (
            {"ready": False, "unavailableReason": "apple_intelligence_disabled", "message": "Off."},
            Availability("unavailable", "apple_intelligence_disabled: Off."),
        ),
        (
            {"ready": False, "unavailableReason": "model_not_ready", "message": "Wait."},
            Availability("loading", "the server is loading its model"),
        ),
    ],
)
async def test_a_bridge_without_its_model_says_why(
    health: dict[str, object], found: Availability
) -> None:
    async with stand_in(answer(200, health)) as there:
        assert await backend(there, FOUNDATION_BRIDGE).is_available() == found


async def test_a_model_that_the_server_lacks_is_named_with_those_it_has() -> None:
    async with stand_in(error(404, "no /health"), models("a", "b")) as there:
        assert await backend(there).is_available() == Availability(
            "unavailable", "unknown model 'm'; known: a, b"
        )


async def test_without_a_model_the_first_of_the_server_answers() -> None:
    async with stand_in(models("a", "b"), text("ho")) as there:
        await openai_chat(fixed(there.endpoint)).complete(REQUEST)
    assert there.bodies[-1]["model"] == "a"


async def test_a_server_that_loads_is_waited_for_before_its_models_are_known() -> None:
    loading = answer(503, LOADING)
    async with stand_in(loading, loading, models("a"), text("ho")) as there:
        chat = openai_chat(fixed(there.endpoint), patience=HASTE)
        assert only_text(await chat.complete(REQUEST)) == "ho"


async def test_a_server_that_loads_for_too_long_is_given_up() -> None:
    async with stand_in(answer(503, LOADING)) as there:
        hurry = Patience(pauses=(), loading=0.0)
        chat = openai_chat(fixed(there.endpoint), model="m", patience=hurry)
        with pytest.raises(EngineUnavailable, match="Loading model"):
            await chat.complete(REQUEST)
        assert await chat.is_available() == Availability(
            "loading", "the server is loading its model"
        )


async def test_a_server_without_models_is_unavailable() -> None:
    async with stand_in(models()) as there:
        with pytest.raises(EngineUnavailable, match="no model"):
            await openai_chat(fixed(there.endpoint)).complete(REQUEST)


async def test_green_health_with_a_failing_model_is_told_by_the_answer() -> None:
    async with stand_in(error(503, "model assets missing", code="model_unavailable")) as there:
        with pytest.raises(EngineUnavailable, match="model assets missing"):
            await backend(there, FM_SERVE).complete(REQUEST)


async def test_ollama_on_apfels_port_is_not_taken_for_it() -> None:
    async with stand_in(error(404, "no /health"), models("llama3:8b")) as there:
        apfel = openai_chat(fixed(there.endpoint), profile=APFEL)
        assert await apfel.is_available() == Availability(
            "unavailable", "unknown model 'apple-foundationmodel'; known: llama3:8b"
        )


def moving(*endpoints: Endpoint) -> Locate:
    waiting = list(endpoints)

    async def locate() -> Endpoint:
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return locate


async def test_a_server_that_moved_is_found_again() -> None:
    async with stand_in(text("ho")) as there:
        gone = Endpoint("http://127.0.0.1:9")
        moved = openai_chat(moving(gone, there.endpoint), model="m", patience=HASTE)
        assert only_text(await moved.complete(REQUEST)) == "ho"


async def test_a_server_with_a_new_key_is_asked_with_it() -> None:
    refused = error(401, "Invalid API Key")
    async with stand_in(refused, text("ho")) as there:
        url = there.endpoint.url
        keys = moving(Endpoint(url, "old"), Endpoint(url, "new"))
        assert only_text(await openai_chat(keys, model="m").complete(REQUEST)) == "ho"
        assert "authorization: Bearer new" in there.asked[1]


async def test_a_server_that_answered_and_is_gone_is_asked_again_before_it_is_given_up() -> None:
    async with stand_in(text("ho"), text("late")) as there:
        chat = backend(there)
        await chat.complete(REQUEST)
    with pytest.raises(EngineUnavailable, match="nothing answers at"):
        await chat.complete(REQUEST)


async def test_a_stream_without_lines_is_given_up() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    with pytest.raises(EngineMismatch, match="no lines"):
        await ask([head + b"x" * (LONGEST_LINE + 1_000_000)])
