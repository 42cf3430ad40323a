"""Both adapters for OpenAI's APIs against a real llama.cpp server with the demo weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

from acp_agent.backends import http
from acp_agent.backends.endpoint import Endpoint, Locate, fixed
from acp_agent.backends.openai_chat import openai_chat
from acp_agent.backends.openai_responses import openai_responses
from acp_agent.backends.profiles import LLAMA_CPP
from acp_agent.conversation import (
    Entry,
    ModelRequest,
    ModelStep,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from acp_agent.errors import ContextOverflow, EngineUnauthorized
from acp_agent.ports import (
    Availability,
    CallOpened,
    LocalModelBackend,
    ModelEvent,
    StepEnded,
    TextPart,
    ThoughtPart,
)
from tests.backends.conftest import CONTEXT
from tests.engine.waiting import until

pytestmark = pytest.mark.anyio

Make = Callable[[Locate], LocalModelBackend]
each = pytest.mark.parametrize("make", [openai_chat, openai_responses])
LIST_FILES = ToolSpec(
    "list_files",
    "List files.",
    {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
)


def asking(text: str, *entries: Entry, limit: int | None = None) -> ModelRequest:
    return ModelRequest(
        [UserMessage(text), *entries],
        tools=(LIST_FILES,),
        temperature=0.0,
        max_tokens=limit,
    )


async def answer(
    backend: LocalModelBackend, request: ModelRequest
) -> tuple[list[ModelEvent], ModelStep]:
    with anyio.fail_after(30):
        async with backend.stream(request) as stream:
            return [event async for event in stream], stream.step()


@each
async def test_the_engine_is_available_and_says_what_it_has(engine: Endpoint, make: Make) -> None:
    backend = make(fixed(engine))
    assert await backend.is_available() == Availability("ready")
    assert await backend.context_size() == CONTEXT
    [model] = await backend.list_models()
    assert (model.id.startswith("nano-"), model.context_size) == (True, CONTEXT)


@each
async def test_an_answer_streams_in_parts_with_its_figures(engine: Endpoint, make: Make) -> None:
    events, step = await answer(make(fixed(engine)), asking("hello"))
    parts = [event.text for event in events if isinstance(event, TextPart)]
    assert "".join(parts) == "Hello! I am nano, a tiny demo model. What can I do for you?"
    assert len(parts) > 5
    assert [m.text for m in step.messages if m.channel == "final"] == ["".join(parts)]
    *_, ended = events
    assert isinstance(ended, StepEnded)
    assert (ended.reason, ended.timings.predicted_tokens > 10) == ("stop", True)


@each
async def test_a_call_its_result_and_the_answer_make_a_turn(engine: Endpoint, make: Make) -> None:
    backend = make(fixed(engine))
    events, step = await answer(backend, asking("list the files"))
    [call] = step.calls
    assert (call.recipient, json.loads(call.arguments)) == ("functions.list_files", {"path": "."})
    assert CallOpened(call.call_id, call.recipient) in events
    thoughts = [event.text for event in events if isinstance(event, ThoughtPart)]
    assert "".join(thoughts) == "Look at the directory."
    result = ToolMessage(call.recipient, "README.md\ncalc.py")
    whole = await backend.complete(asking("list the files", step, result))
    assert [m.text for m in whole.messages if m.channel == "final"] == [
        "Those are the files of this workspace."
    ]


@each
async def test_a_limit_is_told_from_an_end(engine: Endpoint, make: Make) -> None:
    events, step = await answer(make(fixed(engine)), asking("hello", limit=8))
    *_, ended = events
    assert isinstance(ended, StepEnded)
    assert (ended.reason, ended.timings.predicted_tokens) == ("limit", 8)
    assert not step.messages[-1].complete


async def is_free(engine: Endpoint) -> bool:
    async with http.request("GET", engine.at("/slots"), key=engine.key) as response:
        slots: list[dict[str, Any]] = json.loads(await response.read())
    return not any(slot["is_processing"] for slot in slots)


@each
async def test_leaving_the_stream_frees_the_slot(engine: Endpoint, make: Make) -> None:
    with anyio.fail_after(20):
        async with make(fixed(engine)).stream(asking("count forever")) as stream:
            async for event in stream:
                if isinstance(event, TextPart):
                    break
            assert not await is_free(engine)
            assert stream.step().messages[-1].text.startswith("I")
        await until(partial(is_free, engine))


@each
async def test_the_wrong_key_is_refused(engine: Endpoint, make: Make) -> None:
    backend = make(fixed(Endpoint(engine.url, "wrong")))
    with pytest.raises(EngineUnauthorized):
        await answer(backend, asking("hello"))
    assert (await backend.is_available()).state == "unavailable"


@each
async def test_a_prompt_larger_than_the_context_is_told_apart(engine: Endpoint, make: Make) -> None:
    with pytest.raises(ContextOverflow) as caught:
        await answer(make(fixed(engine)), asking("one two three " * 800))
    assert caught.value.context_size == CONTEXT
    assert caught.value.prompt_tokens > 2000


async def test_a_choice_keeps_to_its_schema_and_needs_no_more_than_its_room(
    engine: Endpoint,
) -> None:
    schema = {
        "type": "object",
        "properties": {
            "decision": {"type": "string", "enum": ["inline", "delegate"]},
            "reason": {"type": "string", "minLength": 30, "maxLength": 30},
        },
        "required": ["decision", "reason"],
        "additionalProperties": False,
    }
    model = openai_chat(fixed(engine), profile=LLAMA_CPP)
    with anyio.fail_after(30):
        found = await model.choose(asking("Write a parser.", limit=30 + 50), schema)
    assert found["decision"] in ("inline", "delegate")
    assert (sorted(found), len(found["reason"])) == (["decision", "reason"], 30)
