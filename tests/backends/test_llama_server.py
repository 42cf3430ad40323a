"""The adapter against recorded answers; test_llama_engine.py has a real engine."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import anyio
import pytest

from acp_agent.backends.endpoint import Endpoint, Locate, fixed
from acp_agent.backends.llama_server import LlamaServer
from acp_agent.backends.utf8_gaps import Gaps
from acp_agent.errors import (
    ConfigError,
    ContextOverflow,
    EngineFailed,
    EngineMismatch,
    EngineUnauthorized,
    EngineUnavailable,
    StreamDropped,
)
from acp_agent.ports import (
    Availability,
    EngineEvent,
    EngineLoading,
    ModelInfo,
    PromptProgress,
    Sampling,
    StepEnded,
    Timings,
    Tokens,
)
from tests.backends.stand_in import (
    END,
    LOADING,
    OVERFLOW,
    WRONG_KEY,
    answer,
    chunk,
    events,
    stand_in,
    token,
)

pytestmark = pytest.mark.anyio

ENDED = StepEnded(
    "limit",
    Timings(
        cached_tokens=1,
        prompt_tokens=2000,
        prompt_ms=31.194,
        predicted_tokens=2,
        predicted_ms=1.228,
    ),
)
PROPS: dict[str, object] = {
    "default_generation_settings": {"n_ctx": 4096, "params": {}},
    "total_slots": 1,
}


async def said(engine: LlamaServer, prompt: Sequence[int] = (1, 2)) -> list[EngineEvent]:
    """Return everything the engine says to a prompt, tokens one by one."""
    found: list[EngineEvent] = []
    with anyio.fail_after(10):
        async with engine.stream(prompt, Sampling(max_tokens=2)) as stream:
            async for event in stream:
                if isinstance(event, Tokens):
                    found += [Tokens((one,)) for one in event.ids]
                else:
                    found.append(event)
    return found


def moving(*endpoints: Endpoint) -> Locate:
    """Return a `Locate` that finds the engine elsewhere each time."""
    left = list(endpoints)

    async def locate() -> Endpoint:
        return left.pop(0)

    return locate


async def test_tokens_progress_and_timings_arrive_as_they_were_sent() -> None:
    progress = {
        "tokens": [0],
        "content": "",
        "stop": False,
        "prompt_progress": {"total": 2001, "cache": 1, "processed": 1024, "time_ms": 20},
    }
    stream = events(progress, ": ping\n\n", token(1, 12043, " оч"), token(2, 200012, ""), END)
    async with stand_in(stream) as there:
        assert await said(LlamaServer(fixed(there.endpoint))) == [
            PromptProgress(processed=1024, cached=1, total=2001),
            Tokens((12043,)),
            Tokens((200012,)),
            ENDED,
        ]


async def test_a_request_looks_for_no_module(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_for: list[str] = []

    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            looked_for.append(name)

    async with stand_in(events(token(1, 12043, " оч"), END)) as there:
        engine = LlamaServer(fixed(there.endpoint))
        first = await said(engine)
        monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
        assert await said(engine) == first
    assert looked_for == []


async def test_every_sampling_value_is_sent() -> None:
    sampling = Sampling(max_tokens=7, grammar='root ::= "a"', seed=3)
    async with stand_in(events(END), key="secret") as there:
        async with LlamaServer(fixed(there.endpoint)).stream([5, 6], sampling) as stream:
            assert [event async for event in stream] == [ENDED]
    assert "authorization: Bearer secret" in there.asked[0]
    assert there.bodies == [
        {
            "prompt": [5, 6],
            "stream": True,
            "return_tokens": True,
            "return_progress": True,
            "cache_prompt": True,
            "response_fields": [
                "content",
                "tokens",
                "stop",
                "stop_type",
                "truncated",
                "timings",
                "tokens_predicted",
                "tokens_evaluated",
            ],
            "n_predict": 7,
            "temperature": 1.0,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "grammar": 'root ::= "a"',
            "seed": 3,
        }
    ]


async def test_prefill_asks_for_no_tokens() -> None:
    async with stand_in(events(END)) as there:
        await LlamaServer(fixed(there.endpoint)).prefill([1, 2, 3])
    assert [(body["prompt"], body["n_predict"]) for body in there.bodies] == [([1, 2, 3], 0)]


async def test_a_character_split_over_tokens_keeps_all_its_ids() -> None:
    fragments = {b" \xf0\x9f": 11, b"\xab": 12, b"\xa0": 13}
    stream = events(token(1, 1, "ok"), token(4, 13, " 🫠"), END)
    async with stand_in(stream) as there:
        found = await said(
            LlamaServer(fixed(there.endpoint), gaps=lambda: Gaps(fragments, lambda _: ()))
        )
    assert found == [Tokens((1,)), Tokens((11,)), Tokens((12,)), Tokens((13,)), ENDED]


async def test_bytes_that_are_no_character_leave_the_ids_that_were_named() -> None:
    async with stand_in(events(token(3, 13, "\ufffdx"), END)) as there:
        found = await said(
            LlamaServer(fixed(there.endpoint), gaps=lambda: Gaps({b"\xf0": 1}, lambda _: ()))
        )
    assert found == [Tokens((13,)), ENDED]


async def test_loading_is_said_once_and_awaited() -> None:
    loading, health = answer(503, LOADING), answer(200, {"status": "ok"})
    async with stand_in(loading, loading, loading, health, events(token(1, 5, "a"), END)) as there:
        assert await said(LlamaServer(fixed(there.endpoint))) == [
            EngineLoading("the engine is loading its model"),
            Tokens((5,)),
            ENDED,
        ]
    assert [asked.split()[1] for asked in there.asked] == [
        "/completion",
        "/health",
        "/health",
        "/health",
        "/completion",
    ]


async def test_loading_that_takes_long_is_told_again() -> None:
    loading, health = answer(503, LOADING), answer(200, {"status": "ok"})
    async with stand_in(loading, loading, loading, health, events(token(1, 5, "a"), END)) as there:
        assert await said(LlamaServer(fixed(there.endpoint), tell_seconds=0)) == [
            EngineLoading("the engine is loading its model"),
            EngineLoading("the engine is loading its model: 0 s so far"),
            EngineLoading("the engine is loading its model: 0 s so far"),
            Tokens((5,)),
            ENDED,
        ]


async def test_loading_for_ever_is_given_up() -> None:
    async with stand_in(answer(503, LOADING)) as there:
        with pytest.raises(EngineUnavailable, match=r"still loading its model after 0\.05 s"):
            await said(LlamaServer(fixed(there.endpoint), load_seconds=0.05))


async def test_a_prompt_too_long_says_how_long() -> None:
    async with stand_in(answer(400, OVERFLOW)) as there:
        with pytest.raises(ContextOverflow) as caught:
            await said(LlamaServer(fixed(there.endpoint)))
    assert (caught.value.prompt_tokens, caught.value.context_size) == (9000, 4096)


async def test_a_wrong_key_is_told_from_a_missing_engine() -> None:
    async with stand_in(answer(401, WRONG_KEY)) as there:
        with pytest.raises(EngineUnauthorized, match=r"wants another key.*GPT_OSS_API_KEY"):
            await said(LlamaServer(fixed(there.endpoint)))


async def test_nothing_that_listens_names_the_address_and_what_to_do(nowhere: Endpoint) -> None:
    with pytest.raises(EngineUnavailable, match=r"http://127.0.0.1:9 .*start the engine"):
        await said(LlamaServer(fixed(nowhere)))


@pytest.mark.parametrize(
    "sent",
    [
        answer(404, "404 page not found"),
        answer(404, {"detail": "Not Found"}),
        answer(200, {"error": "Unexpected endpoint"}),
        answer(200, "<html>hello</html>"),
        answer(500, "<html>oops</html>"),
        answer(302, ""),
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x00\x00\x00",
        b"HTTP/9 what\r\n\r\n",
        events("data: [DONE]\n\n"),
        events({"choices": [{"text": "hi"}]}),
        events({"content": "an old server", "stop": False}),
        events({"content": "x", "stop": False, "tokens": "no", "tokens_predicted": "one"}),
        events({"content": "x", "stop": False, "tokens": ["a"], "tokens_predicted": 1}),
        events({"content": "x", "stop": False, "tokens": [None], "tokens_predicted": 1}),
        events("data: " + "x" * 3_000_000),
        events().removesuffix(b"0\r\n\r\n") + b"no size\r\n",
    ],
)
async def test_something_else_at_the_address_is_named(sent: bytes) -> None:
    async with stand_in(sent) as there:
        with pytest.raises(EngineMismatch, match=there.endpoint.url):
            await said(LlamaServer(fixed(there.endpoint)))


@pytest.mark.parametrize(
    "sent",
    [
        events(token(1, 5, "a"), complete=False),
        events(token(1, 5, "a"), complete=True),
        events(token(1, 5, "a"), complete=False) + chunk(token(2, 6, "b"))[:20],
    ],
    ids=["between events", "without a last event", "inside an event"],
)
async def test_a_stream_that_breaks_keeps_what_came_and_is_not_asked_again(sent: bytes) -> None:
    found: list[EngineEvent] = []
    async with stand_in(sent, events(token(1, 5, "a"), END)) as there:
        engine = LlamaServer(fixed(there.endpoint))
        with pytest.raises(StreamDropped):
            async with engine.stream([1], Sampling()) as stream:
                async for event in stream:
                    found.append(event)  # noqa: PERF401 - what came before the error counts
    assert (found, len(there.asked)) == ([Tokens((5,))], 1)


async def test_a_connection_closed_unanswered_is_tried_once_more() -> None:
    async with stand_in(b"", events(token(1, 5, "a"), END)) as there:
        assert await said(LlamaServer(fixed(there.endpoint))) == [Tokens((5,)), ENDED]


async def test_an_engine_that_never_answers_is_not_tried_for_ever() -> None:
    async with stand_in(b"") as there:
        with pytest.raises(EngineFailed, match="closed the connection unanswered"):
            await said(LlamaServer(fixed(there.endpoint)))
    assert len(there.asked) == 2


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"code": 500, "message": "out of slots", "type": "server_error"}},
        'error: {"code": 500, "message": "out of slots"}\n\n',
        'data: {"error": "out of slots"}\n\n',
    ],
)
async def test_an_error_in_mid_stream_gives_the_engines_own_words(event: object) -> None:
    async with stand_in(events(token(1, 5, "a"), event)) as there:
        with pytest.raises(EngineFailed, match="out of slots"):
            await said(LlamaServer(fixed(there.endpoint)))


async def test_a_refused_request_gives_the_engines_own_words() -> None:
    refusal = {"error": {"code": 400, "message": "Prompt contains invalid tokens", "type": "x"}}
    async with stand_in(answer(400, refusal)) as there:
        with pytest.raises(EngineFailed, match="Prompt contains invalid tokens"):
            await said(LlamaServer(fixed(there.endpoint)))


async def test_an_engine_that_went_is_looked_for_again(nowhere: Endpoint) -> None:
    async with stand_in(events(token(1, 5, "a"), END)) as there:
        assert await said(LlamaServer(moving(nowhere, there.endpoint))) == [Tokens((5,)), ENDED]


async def test_a_new_key_is_looked_for_when_the_old_one_is_refused() -> None:
    async with stand_in(answer(401, WRONG_KEY), events(END)) as there:
        old = Endpoint(there.endpoint.url, "old")
        assert await said(LlamaServer(moving(old, there.endpoint))) == [ENDED]


async def test_the_context_size_is_asked_once() -> None:
    async with stand_in(answer(200, PROPS)) as there:
        engine = LlamaServer(fixed(there.endpoint))
        assert [await engine.context_size(), await engine.context_size()] == [4096, 4096]
    assert len(there.asked) == 1


async def test_models_are_listed_with_their_context() -> None:
    listed = {"data": [{"id": "gpt-oss-20b", "meta": {"n_ctx": 4096}}, {"id": "other"}, 7]}
    async with stand_in(answer(200, listed)) as there:
        assert await LlamaServer(fixed(there.endpoint)).list_models() == [
            ModelInfo("gpt-oss-20b", "gpt-oss-20b", 4096),
            ModelInfo("other", "other", None),
        ]


async def test_a_server_without_models_or_props_is_not_llama_cpp() -> None:
    async with stand_in(answer(200, {})) as there:
        engine = LlamaServer(fixed(there.endpoint))
        with pytest.raises(EngineMismatch, match="lists no models"):
            await engine.list_models()
        with pytest.raises(EngineMismatch, match="no context size"):
            await engine.context_size()


@pytest.mark.parametrize(
    ("sent", "state", "reason"),
    [
        (answer(200, PROPS), "ready", ""),
        (answer(503, LOADING), "loading", "loading its model"),
        (answer(401, WRONG_KEY), "unavailable", "another key"),
        (answer(200, "ok"), "unavailable", "not a llama.cpp server"),
    ],
)
async def test_availability_tells_the_state_and_its_reason(
    sent: bytes, state: str, reason: str
) -> None:
    async with stand_in(sent) as there:
        found = await LlamaServer(fixed(there.endpoint)).is_available()
    assert isinstance(found, Availability)
    assert found.state == state
    assert reason in found.reason


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("localhost:8080", ""),
        ("ftp://localhost", ""),
        ("http://", ""),
        ("http://[::1", ""),
        ("http://localhost:99999", ""),
        ("http://localhost/?x=1", ""),
        ("http://büro:8080", ""),
        ("http://localhost", "two\r\nlines"),
    ],
)
def test_an_address_that_no_request_can_go_to_is_refused(url: str, key: str) -> None:
    with pytest.raises(ConfigError):
        Endpoint(url, key)


def test_the_key_does_not_show() -> None:
    assert "secret" not in repr(Endpoint("http://localhost", "secret"))
