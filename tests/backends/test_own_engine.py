"""Chat with an engine of our own: the real SmolLM2 on the real llama.cpp, and what breaks it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from acp_agent.backends import http
from acp_agent.backends.endpoint import Endpoint, fixed
from acp_agent.backends.openai_chat import openai_chat
from acp_agent.backends.openai_model import OpenAIModel
from acp_agent.backends.profiles import OUR_ENGINE
from acp_agent.conversation import Entry, ModelRequest, ModelStep, UserMessage
from acp_agent.engine import smollm2 as packaged
from acp_agent.engine.launch import Launcher
from acp_agent.engine.spec import EngineSpec
from acp_agent.errors import (
    BackendError,
    ContextOverflow,
    EngineFailed,
    EngineUnauthorized,
    StreamDropped,
)
from acp_agent.ports import Availability, ModelEvent, StepEnded, TextPart
from tests.backends.chat_asking import only_text, text
from tests.backends.chat_dialects import HASTE, error
from tests.backends.compliance import HTML
from tests.backends.stand_in import stand_in
from tests.engine.waiting import until

pytestmark = pytest.mark.anyio

SPEC = partial(EngineSpec, context=packaged.CONTEXT, parallel=2, threads=packaged.THREADS)
ASK_AGAIN = "ask again, and this engine of ours starts anew"
ROUTE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "decision": {"enum": ["inline", "delegate"]},
        "reason": {"type": "string", "maxLength": 40},
    },
    "required": ["decision", "reason"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep state and runtime files of this module's engines apart."""
    directory = tmp_path_factory.mktemp("small")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
            patch.setenv(variable, str(directory))
        yield


@pytest.fixture(scope="module")
def small(smollm2: Path, runtime: None) -> Iterator[Endpoint]:
    """Give the address of an engine with the small model."""
    endpoint, pid = anyio.run(_launched, smollm2)
    yield endpoint
    os.kill(pid, signal.SIGTERM)


async def _launched(model: Path) -> tuple[Endpoint, int]:
    async with Launcher(SPEC(model), linger=300) as launcher:
        endpoint = await launcher.locate()
        await chat(endpoint).list_models()  # awaits the weights
        assert launcher.engine is not None
        return endpoint, launcher.engine.pid


def chat(engine: Endpoint) -> OpenAIModel:
    return openai_chat(fixed(engine), profile=OUR_ENGINE)


def asking(*entries: str | Entry, limit: int = 60) -> ModelRequest:
    return ModelRequest(
        [UserMessage(entry) if isinstance(entry, str) else entry for entry in entries],
        instructions="You are a helpful assistant. Answer in one short sentence.",
        temperature=0.0,
        max_tokens=limit,
    )


async def answer(
    backend: OpenAIModel, request: ModelRequest
) -> tuple[list[ModelEvent], StepEnded, ModelStep]:
    with anyio.fail_after(60):
        async with backend.stream(request) as stream:
            *events, ended = [event async for event in stream]
    assert isinstance(ended, StepEnded)
    return events, ended, stream.step()


async def test_the_engine_says_what_it_has(small: Endpoint) -> None:
    backend = chat(small)
    assert await backend.is_available() == Availability("ready")
    assert (backend.name, await backend.context_size()) == ("llama.cpp", packaged.CONTEXT)
    [model] = await backend.list_models()
    assert model.id == Path(packaged.FILE_NAME).stem


async def test_a_greeting_is_answered_in_parts(small: Endpoint) -> None:
    events, ended, step = await answer(chat(small), asking("hi"))
    parts = [event.text for event in events if isinstance(event, TextPart)]
    assert len(parts) > 2
    assert "".join(parts) == only_text(step)
    assert (ended.reason, ended.timings.predicted_tokens >= len(parts)) == ("stop", True)


async def test_a_simple_fact_is_known(small: Endpoint) -> None:
    step = await chat(small).complete(asking("What is the capital of France?"))
    assert "Paris" in only_text(step)


async def test_the_limit_is_kept(small: Endpoint) -> None:
    _, ended, step = await answer(chat(small), asking("Tell me a long story.", limit=8))
    assert (ended.reason, ended.timings.predicted_tokens) == ("limit", 8)
    assert not step.messages[-1].complete


async def test_the_next_turn_reads_the_last_one_from_the_cache(small: Endpoint) -> None:
    backend = chat(small)
    _, first, step = await answer(backend, asking("What is the capital of Italy?"))
    _, second, _ = await answer(backend, asking("What is the capital of Italy?", step, "thanks"))
    asked = first.timings.cached_tokens + first.timings.prompt_tokens
    assert second.timings.cached_tokens > asked
    assert second.timings.prompt_tokens < 20


async def test_two_sessions_are_answered_at_once(small: Endpoint) -> None:
    said: list[str] = []

    async def ask(question: str) -> None:
        said.append(only_text(await chat(small).complete(asking(question))))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(ask, "hi")
            group.start_soon(ask, "What is 2 + 2?")
    assert [bool(words) for words in said] == [True, True]


async def is_free(engine: Endpoint) -> bool:
    async with http.request("GET", engine.at("/slots"), key=engine.key) as response:
        slots: list[dict[str, Any]] = json.loads(await response.read())
    return not any(slot["is_processing"] for slot in slots)


async def test_leaving_the_stream_frees_the_slot(small: Endpoint) -> None:
    with anyio.fail_after(60):
        async with chat(small).stream(asking("Tell me a long story.", limit=4000)) as stream:
            async for event in stream:
                if isinstance(event, TextPart):
                    break
            assert not await is_free(small)
        await until(partial(is_free, small))


async def test_cancelling_the_reader_frees_the_slot(small: Endpoint) -> None:
    speaks = anyio.Event()

    async def read() -> None:
        async with chat(small).stream(asking("Tell me a long story.", limit=4000)) as stream:
            async for _ in stream:
                speaks.set()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await speaks.wait()
            group.cancel_scope.cancel()
        await until(partial(is_free, small))


@pytest.mark.parametrize("question", ["hi", "fix the bug in app.py", "wie geht's?"])
async def test_a_choice_is_one_of_its_values_with_a_short_reason(
    small: Endpoint, question: str
) -> None:
    with anyio.fail_after(60):
        found = await chat(small).choose(asking(question, limit=80), ROUTE)
    assert set(found) == {"decision", "reason"}
    assert found["decision"] in ("inline", "delegate")
    assert len(found["reason"]) <= 40


async def test_a_choice_without_room_says_so(small: Endpoint) -> None:
    with pytest.raises(EngineFailed, match="cut at 3 tokens; allow it more"):
        await chat(small).choose(asking("hi", limit=3), ROUTE)


async def test_a_prompt_larger_than_the_context_is_told_apart(small: Endpoint) -> None:
    with pytest.raises(ContextOverflow) as caught:
        await chat(small).complete(asking("one two three " * 2000))
    assert caught.value.context_size == packaged.CONTEXT
    assert caught.value.prompt_tokens > 6000


async def test_the_wrong_key_is_no_errand_for_the_user(small: Endpoint) -> None:
    with pytest.raises(EngineUnauthorized, match=ASK_AGAIN):
        await chat(Endpoint(small.url, "wrong")).complete(asking("hi"))


@asynccontextmanager
async def launched(model: Path) -> AsyncGenerator[tuple[Launcher, OpenAIModel]]:
    """Give an engine that may be killed, unlike the one that others use: its context differs."""
    async with Launcher(SPEC(model, context=2048), linger=0.1) as launcher:
        yield launcher, openai_chat(launcher.locate, profile=OUR_ENGINE)


def kill(launcher: Launcher) -> None:
    assert launcher.engine is not None
    with suppress(ProcessLookupError):  # its last words are still being read
        os.kill(launcher.engine.pid, signal.SIGKILL)


@pytest.mark.usefixtures("runtime")
async def test_an_engine_that_dies_in_mid_answer_leaves_what_it_said(smollm2: Path) -> None:
    async with launched(smollm2) as (launcher, backend):
        with anyio.fail_after(60):
            async with backend.stream(asking("Tell me a long story.", limit=1500)) as stream:
                with pytest.raises(StreamDropped):
                    async for event in stream:
                        if isinstance(event, TextPart):
                            kill(launcher)
            assert stream.step().messages[-1].text
            assert only_text(await backend.complete(asking("hi")))


@pytest.mark.usefixtures("runtime")
async def test_an_engine_that_died_between_turns_is_started_again(smollm2: Path) -> None:
    async with launched(smollm2) as (launcher, backend):
        with anyio.fail_after(60):
            assert only_text(await backend.complete(asking("hi")))
            before = launcher.engine
            kill(launcher)
            assert only_text(await backend.complete(asking("hi")))
            assert launcher.engine != before


async def test_an_engine_that_ends_under_a_request_is_looked_for_again() -> None:
    async with stand_in(b"", text("ho")) as there:
        endpoints = [there.endpoint, Endpoint(there.endpoint.url, "new")]

        async def locate() -> Endpoint:
            return endpoints.pop(0)

        backend = openai_chat(locate, model="m", profile=OUR_ENGINE, patience=HASTE)
        assert only_text(await backend.complete(asking("hi"))) == "ho"
    assert endpoints == []


@pytest.mark.parametrize(
    "reply", [error(401, "Invalid API Key"), HTML, b"HTTP/1.1 502 Bad Gateway\r\n\r\noops"]
)
async def test_no_failure_sends_the_user_to_an_address_or_a_key(reply: bytes) -> None:
    async with stand_in(reply) as there:
        backend = openai_chat(fixed(there.endpoint), model="m", profile=OUR_ENGINE, patience=HASTE)
        with pytest.raises(BackendError) as caught:
            await backend.complete(asking("hi"))
    assert str(caught.value).endswith(f"; {ASK_AGAIN}")


async def test_an_engine_that_is_away_is_no_errand_for_the_user(nowhere: Endpoint) -> None:
    with pytest.raises(BackendError, match=f"nothing answers at .*; {ASK_AGAIN}$"):
        await chat(nowhere).complete(asking("hi"))
