"""The adapter against a real llama.cpp server with the demo weights."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import anyio
import pytest

from acp_agent.backends import http
from acp_agent.backends.endpoint import Endpoint, fixed
from acp_agent.backends.llama_server import LlamaServer
from acp_agent.backends.llama_wire import completion_body
from acp_agent.backends.utf8_gaps import Gaps
from acp_agent.errors import ContextOverflow, EngineFailed, EngineUnauthorized
from acp_agent.harmony.vocab import load_vocabulary
from acp_agent.ports import Availability, PromptProgress, Sampling, StepEnded, Tokens
from tests.backends.conftest import CONTEXT
from tests.engine.waiting import until

pytestmark = pytest.mark.anyio

PROMPT = load_vocabulary().encode_trusted("<|start|>user<|message|>Hello<|end|><|start|>assistant")
EMOJI = "a 👩‍👧 🫠日ñ𒀀!"
SAYS_EMOJI = f'root ::= <[200005]> "final" <[200008]> "{EMOJI}"'
FOREVER = Sampling(grammar='root ::= "a" root')


def adapter(engine: Endpoint) -> LlamaServer:
    return LlamaServer(fixed(engine), gaps=lambda: Gaps.of(load_vocabulary()))


async def ask(engine: Endpoint, method: str, path: str, body: bytes | None = None) -> Any:
    async with http.request(method, engine.at(path), key=engine.key, body=body) as response:
        return json.loads(await response.read())


async def test_streamed_ids_are_exactly_the_generated_ones(engine: Endpoint) -> None:
    sampling = Sampling(temperature=0.0, max_tokens=90, grammar=SAYS_EMOJI)
    whole = json.loads(completion_body(PROMPT, sampling)) | {"stream": False}
    generated = await ask(engine, "POST", "/completion", json.dumps(whole).encode())
    ids: list[int] = []
    async with adapter(engine).stream(PROMPT, sampling) as events:
        async for event in events:
            if isinstance(event, Tokens):
                ids += event.ids
    assert ids == generated["tokens"]
    assert EMOJI in load_vocabulary().decode(ids)
    assert ids[-1] in (200_002, 200_012, 199_999)  # the terminator is there


async def test_a_limit_is_told_from_an_end_and_timings_are_kept(engine: Endpoint) -> None:
    async with adapter(engine).stream(PROMPT, Sampling(max_tokens=3)) as events:
        found = [event async for event in events]
    ended = found[-1]
    assert isinstance(ended, StepEnded)
    timings = ended.timings
    assert (ended.reason, timings.predicted_tokens) == ("limit", 3)
    assert timings.cached_tokens + timings.prompt_tokens == len(PROMPT)
    assert [event for event in found if isinstance(event, PromptProgress)]


async def is_free(engine: Endpoint) -> bool:
    return not any(slot["is_processing"] for slot in await ask(engine, "GET", "/slots"))


async def test_leaving_the_stream_frees_the_slot(engine: Endpoint) -> None:
    async with adapter(engine).stream(PROMPT, FOREVER) as events:
        async for event in events:
            if isinstance(event, Tokens):
                break
        assert not await is_free(engine)
    await until(partial(is_free, engine))


async def test_cancelling_the_reader_frees_the_slot(engine: Endpoint) -> None:
    has_begun = anyio.Event()

    async def read() -> None:
        async with adapter(engine).stream(PROMPT, FOREVER) as events:
            async for event in events:
                if isinstance(event, Tokens):
                    has_begun.set()  # more may come before the cancel

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await has_begun.wait()
        group.cancel_scope.cancel()
    await until(partial(is_free, engine))


async def test_a_prompt_larger_than_the_context_is_told_apart(engine: Endpoint) -> None:
    with pytest.raises(ContextOverflow) as caught:
        async with adapter(engine).stream([1000] * 2000, Sampling()) as events:
            async for _ in events:
                pass
    assert (caught.value.prompt_tokens, caught.value.context_size) == (2000, CONTEXT)


async def test_a_generation_that_fills_the_context_is_a_limit(engine: Endpoint) -> None:
    async with adapter(engine).stream([1000] * (CONTEXT - 8), FOREVER) as events:
        *_, ended = [event async for event in events]
    assert isinstance(ended, StepEnded)
    assert ended.reason == "limit"


async def test_a_prefilled_prompt_is_read_from_the_cache(engine: Endpoint) -> None:
    prompt = [*PROMPT, *range(2000, 2300)]
    await adapter(engine).prefill(prompt)
    async with adapter(engine).stream([*prompt, 5], Sampling(max_tokens=1)) as events:
        *_, ended = [event async for event in events]
    assert isinstance(ended, StepEnded)
    assert ended.timings.cached_tokens >= len(prompt) - 8


async def test_the_wrong_key_is_refused(engine: Endpoint) -> None:
    wrong = LlamaServer(fixed(Endpoint(engine.url, "wrong")))
    with pytest.raises(EngineUnauthorized):
        await wrong.context_size()
    assert (await wrong.is_available()).state == "unavailable"


async def test_a_broken_grammar_is_refused_in_the_engines_words(engine: Endpoint) -> None:
    with pytest.raises(EngineFailed, match="grammar"):
        async with adapter(engine).stream(PROMPT, Sampling(grammar="root ::= (")) as events:
            async for _ in events:
                pass


async def test_the_engine_says_what_it_has(engine: Endpoint) -> None:
    there = adapter(engine)
    assert await there.is_available() == Availability("ready")
    assert await there.context_size() == CONTEXT
    [model] = await there.list_models()
    assert (model.id.startswith("nano-"), model.context_size) == (True, CONTEXT)
