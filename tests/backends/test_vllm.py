"""The vLLM adapter against shapes read in vLLM's source; test_compliance.py has it under Harmony.

With ACP_AGENT_TEST_VLLM=1 and VLLM_BASE_URL set, the last test asks a real one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.backends.api import Api
from acp_agent.backends.endpoint import Endpoint, fixed
from acp_agent.backends.sse import ServerEvent
from acp_agent.backends.vllm import SERVICE, Affinity, VllmServer
from acp_agent.backends.vllm_wire import CompletionReader
from acp_agent.conversation import ModelRequest, UserMessage
from acp_agent.errors import (
    BackendError,
    ContextOverflow,
    EngineFailed,
    EngineMismatch,
    EngineUnavailable,
    StreamDropped,
)
from acp_agent.harmony.model import HarmonyModel
from acp_agent.harmony.vocab import CALL, RETURN
from acp_agent.ports import (
    Availability,
    EngineEvent,
    ModelInfo,
    Sampling,
    StepEnded,
    Timings,
    Tokens,
)
from tests.backends.stand_in import HASTE, ONCE, StandIn, answer, chunk, events, stand_in
from tests.backends.vllm_dialect import CONTEXT, DONE, MODEL, MODELS, OVERFLOW, event, usage

pytestmark = pytest.mark.anyio

NONE = Affinity("")
LISTED = answer(200, MODELS)
BYE = event([7, RETURN], finish="stop")
ENDED = StepEnded("stop", Timings(cached_tokens=4, prompt_tokens=8, predicted_tokens=3))
WHOLE = events(event([5]), BYE, usage(), DONE)


def server(there: StandIn, **options: object) -> VllmServer:
    """Return the adapter for a stand-in, without pauses between tries."""
    return VllmServer(fixed(there.endpoint), **{"patience": ONCE, **options})  # pyright: ignore[reportArgumentType] of a test


async def said(
    engine: VllmServer, prompt: Sequence[int] = (1, 2), sampling: Sampling | None = None
) -> list[EngineEvent]:
    with anyio.fail_after(10):
        async with engine.stream(prompt, sampling or Sampling(max_tokens=9)) as stream:
            return [event async for event in stream]


async def test_ids_go_in_and_ids_come_out() -> None:
    async with stand_in(LISTED, WHOLE) as there:
        assert await said(server(there)) == [Tokens((5,)), Tokens((7, RETURN)), ENDED]


async def test_every_value_that_has_a_default_there_is_sent() -> None:
    async with stand_in(LISTED, WHOLE) as there:
        await said(server(there, affinity=NONE), [5, 6], Sampling(max_tokens=7, seed=3))
    assert there.bodies[1] == {
        "model": MODEL,
        "prompt": [5, 6],
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_token_ids": True,
        "stop_token_ids": [RETURN, CALL],
        "skip_special_tokens": False,
        "max_tokens": 7,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "seed": 3,
    }


@pytest.mark.parametrize(("wanted", "sent"), [(None, CONTEXT - 2), (CONTEXT, CONTEXT - 2), (5, 5)])
async def test_an_answer_may_fill_the_rest_of_the_context(wanted: int | None, sent: int) -> None:
    async with stand_in(LISTED, WHOLE) as there:
        await said(server(there), [5, 6], Sampling(max_tokens=wanted))
    assert there.bodies[1]["max_tokens"] == sent


async def test_prefill_generates_the_one_token_that_vllm_insists_on() -> None:
    async with stand_in(LISTED, WHOLE) as there:
        await server(there).prefill([1, 2, 3])
    assert (there.bodies[1]["prompt"], there.bodies[1]["max_tokens"]) == ([1, 2, 3], 1)


async def test_affinity_reaches_router_and_engine() -> None:
    affinity = Affinity(session="agent-7", header="x-user-id", cache_salt="s3cret")
    async with stand_in(LISTED, WHOLE) as there:
        await said(server(there, affinity=affinity))
    assert "x-user-id: agent-7" in there.asked[1].lower()
    assert (there.bodies[1]["session_id"], there.bodies[1]["cache_salt"]) == ("agent-7", "s3cret")


async def test_an_agent_keeps_its_affinity_and_shares_it_with_no_other() -> None:
    async with stand_in(LISTED, WHOLE, WHOLE, LISTED, WHOLE) as there:
        mine, other = server(there), server(there)
        await said(mine)
        await said(mine)
        await said(other)
    first, second, third = (there.bodies[number]["session_id"] for number in (1, 2, 4))
    assert first == second != third
    assert f"x-session-id: {first}" in there.asked[1]
    assert "cache_salt" not in there.bodies[1]


async def test_an_empty_affinity_sends_nothing() -> None:
    async with stand_in(LISTED, WHOLE) as there:
        await said(server(there, affinity=NONE))
    assert "session_id" not in there.bodies[1]
    assert "x-session-id" not in there.asked[1]


@pytest.mark.parametrize(
    ("last", "ids"),
    [
        (event([7, CALL], finish="stop", stop=CALL), (7, CALL)),
        (event([7], finish="stop", stop=CALL), (7, CALL)),
        (event([7], finish="stop", stop=None), (7, RETURN)),
        (event([], finish="stop", stop=RETURN), (RETURN,)),
        (event([7], finish="length"), (7,)),
    ],
    ids=["there", "left out", "end of sequence left out", "alone", "no end"],
)
async def test_the_id_that_ended_the_message_is_always_there_once(
    last: object, ids: tuple[int, ...]
) -> None:
    async with stand_in(LISTED, events(last, usage(), DONE)) as there:
        found = await said(server(there))
    assert found[0] == Tokens(ids)
    assert isinstance(found[-1], StepEnded)


async def test_the_terminator_of_an_earlier_event_is_not_doubled() -> None:
    stream = events(event([7, CALL]), event([], finish="stop", stop=CALL), usage(), DONE)
    async with stand_in(LISTED, stream) as there:
        assert await said(server(there)) == [Tokens((7, CALL)), ENDED]


async def test_figures_come_without_the_cache_where_the_server_hides_it() -> None:
    stream = events(event([7], finish="length"), usage(cached=None), DONE)
    async with stand_in(LISTED, stream) as there:
        found = await said(server(there))
    assert found[-1] == StepEnded("limit", Timings(prompt_tokens=12, predicted_tokens=3))


async def test_a_prompt_beyond_the_context_is_not_even_sent() -> None:
    async with stand_in(LISTED) as there:
        with pytest.raises(ContextOverflow) as caught:
            await said(server(there, context=4), [1, 2, 3, 4])
    assert (caught.value.prompt_tokens, caught.value.context_size) == (4, 4)
    assert len(there.asked) == 1


async def test_an_overflow_that_the_server_finds_names_its_limit() -> None:
    async with stand_in(LISTED, answer(400, OVERFLOW)) as there:
        with pytest.raises(ContextOverflow) as caught:
            await said(server(there))
    assert (caught.value.prompt_tokens, caught.value.context_size) == (4097, 4096)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "top_p must be in (0, 1]", "type": "BadRequestError"}}),
        (400, {"object": "error", "message": "top_p must be in (0, 1]", "code": 400}),
        (404, {"error": {"message": "top_p must be in (0, 1]", "type": "NotFoundError"}}),
        (500, {"error": "top_p must be in (0, 1]"}),
    ],
)
async def test_a_refusal_gives_the_servers_own_words(status: int, body: object) -> None:
    async with stand_in(LISTED, answer(status, body)) as there:
        with pytest.raises(EngineFailed, match=rf"HTTP {status}\): top_p must be in"):
            await said(server(there))


@pytest.mark.parametrize(
    "last",
    [
        {"error": {"message": "engine died", "type": "InternalServerError", "code": 500}},
        {"object": "error", "message": "engine died", "code": 500},
        event([], finish="abort"),
    ],
)
async def test_a_failure_in_mid_stream_is_told_and_not_tried_again(last: object) -> None:
    async with stand_in(LISTED, events(event([5]), last, DONE), WHOLE) as there:
        with pytest.raises(EngineFailed, match=r"engine died|gave the generation up"):
            await said(server(there))
    assert len(there.asked) == 2


@pytest.mark.parametrize(
    "sent",
    [
        answer(404, {"detail": "Not Found"}),
        answer(502, "<html>bad gateway</html>"),
        answer(200, {"choices": [{"text": "hi"}]}),
        events({"choices": [{"index": 0, "text": "hi", "finish_reason": None}]}),
        events({"choices": [{"index": 0, "text": "hi", "token_ids": "five"}]}),
        events({"choices": [5]}),
        events({"choices": 5}),
        events('data: {"choices": [\n\n'),
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
)
async def test_something_else_at_the_address_is_named(sent: bytes) -> None:
    async with stand_in(LISTED, sent) as there:
        with pytest.raises(EngineMismatch, match=rf"{there.endpoint.url} is not vLLM.*VLLM_BASE"):
            await said(server(there))


@pytest.mark.parametrize(
    "sent",
    [
        events(event([5]), complete=False),
        events(event([5])),
        events(event([5]), DONE),
        events(event([5]), complete=False) + chunk(event([6]))[:20],
    ],
    ids=["between events", "ended", "no reason", "inside an event"],
)
async def test_a_stream_that_breaks_keeps_what_came(sent: bytes) -> None:
    found: list[EngineEvent] = []
    async with stand_in(LISTED, sent, WHOLE) as there:
        async with server(there).stream([1], Sampling()) as stream:
            with pytest.raises(StreamDropped):
                async for one in stream:
                    found.append(one)  # noqa: PERF401 - what came before the error counts
    assert (found, len(there.asked)) == ([Tokens((5,))], 2)


async def test_what_always_closes_unanswered_is_given_up() -> None:
    async with stand_in(b"") as there:
        with pytest.raises(EngineFailed, match="closed the connection unanswered"):
            await said(server(there))
    assert len(there.asked) == 2


async def test_the_models_come_with_their_contexts() -> None:
    async with stand_in(LISTED) as there:
        assert await server(there).list_models() == [ModelInfo(MODEL, MODEL, CONTEXT)]


async def test_an_unknown_model_is_named_with_those_that_are_served() -> None:
    async with stand_in(LISTED) as there:
        engine = server(there, model="gpt-4")
        found = await engine.is_available()
        with pytest.raises(EngineFailed, match=f"no model 'gpt-4'; it serves: {MODEL}"):
            await said(engine)
    assert (found.state, MODEL in found.reason) == ("unavailable", True)


async def test_without_a_name_the_first_model_answers() -> None:
    async with stand_in(LISTED, WHOLE) as there:
        engine = server(there)
        assert await engine.is_available() == Availability("ready")
        await said(engine)
    assert (engine.default_model, there.bodies[1]["model"]) == (MODEL, MODEL)


async def test_a_server_that_went_is_no_longer_available() -> None:
    async with stand_in(LISTED, b"") as there:
        engine = server(there)
        assert (await engine.is_available()).state == "ready"
        assert (await engine.is_available()).state == "unavailable"


@pytest.mark.parametrize(("given", "size"), [(None, CONTEXT), (8192, 8192), (999_999, CONTEXT)])
async def test_the_smaller_context_counts(given: int | None, size: int) -> None:
    async with stand_in(LISTED) as there:
        assert await server(there, context=given).context_size() == size


async def test_a_router_that_hides_the_context_needs_the_setting() -> None:
    listed = answer(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
    async with stand_in(listed) as there:
        assert await server(there, context=8192).context_size() == 8192
        with pytest.raises(EngineFailed, match="GPT_OSS_CTX"):
            await server(there).context_size()


async def test_nothing_that_listens_names_the_address(nowhere: Endpoint) -> None:
    with pytest.raises(EngineUnavailable, match=r"http://127.0.0.1:9 .*VLLM_BASE_URL"):
        await said(VllmServer(fixed(nowhere), patience=HASTE))


@given(st.binary() | st.text().map(str.encode))
def test_no_event_makes_the_reader_fail_otherwise_than_by_a_typed_error(data: bytes) -> None:
    reader = CompletionReader(Api(SERVICE, fixed(Endpoint("http://127.0.0.1:9"))), CONTEXT)
    with pytest.raises(BackendError):
        reader.read(ServerEvent("message", data.decode(errors="replace")))


@pytest.mark.skipif(
    not (os.environ.get("VLLM_BASE_URL") and os.environ.get("ACP_AGENT_TEST_VLLM")),
    reason="needs a running vLLM: set VLLM_BASE_URL and ACP_AGENT_TEST_VLLM=1",
)
async def test_a_real_vllm_answers_in_harmony() -> None:
    endpoint = Endpoint(os.environ["VLLM_BASE_URL"], os.environ.get("VLLM_API_KEY", ""))
    model = HarmonyModel(VllmServer(fixed(endpoint)))
    with anyio.fail_after(120):
        step = await model.complete(ModelRequest([UserMessage("Say hello.")], effort="low"))
    assert step.tokens is not None
    assert step.tokens[-1] == RETURN
    assert any(message.channel == "final" and message.text for message in step.messages)
