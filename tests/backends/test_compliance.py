"""What every backend does, whichever server it speaks to: answers.

test_compliance_choices.py and test_compliance_patience.py go on.
"""

from __future__ import annotations

from typing import Literal

import anyio
import pytest

from acp_agent.conversation import Call, ModelStep
from acp_agent.errors import (
    BackendError,
    ContextOverflow,
    EngineFailed,
    EngineMismatch,
    EngineUnauthorized,
    StreamDropped,
)
from acp_agent.ports import (
    Availability,
    CallOpened,
    ModelInfo,
    StepEnded,
    TextPart,
    ThoughtPart,
)
from tests.backends.compliance import HTML, Dialect, Play, bench
from tests.backends.dialects import (
    CALL,
    HELLO,
    REQUEST,
    WITH_TOOL,
    answer,
    calling,
    every,
    text_of,
    thinking,
)

pytestmark = pytest.mark.anyio


def said(step: ModelStep, channel: str = "final") -> list[str]:
    return [m.text for m in step.messages if m.channel == channel]


def shape(call: Call) -> tuple[str, str]:
    return call.recipient, call.arguments.replace(" ", "")


@every
async def test_a_server_that_answers_is_available(dialect: Dialect) -> None:
    async with bench(dialect, HELLO) as there:
        assert await dialect.backend(there.endpoint).is_available() == Availability("ready")


@every
async def test_the_models_of_the_server_are_listed(dialect: Dialect) -> None:
    async with bench(dialect, HELLO) as there:
        models = await dialect.backend(there.endpoint).list_models()
    assert [model.id for model in models] == [dialect.model]
    assert all(isinstance(model, ModelInfo) and model.name for model in models)


@every
async def test_the_context_size_is_known(dialect: Dialect) -> None:
    async with bench(dialect, HELLO) as there:
        assert await dialect.backend(there.endpoint).context_size() == dialect.context


@every
async def test_a_complete_answer_comes_in_one_piece(dialect: Dialect) -> None:
    async with bench(dialect, HELLO) as there:
        step = await dialect.backend(there.endpoint).complete(REQUEST)
    assert said(step) == ["Hello there"]
    assert all(message.complete for message in step.messages)
    assert step.calls == ()


@every
async def test_a_streamed_answer_comes_in_parts_and_ends_with_its_figures(dialect: Dialect) -> None:
    async with bench(dialect, HELLO) as there:
        events, step = await answer(dialect.backend(there.endpoint))
    assert text_of(events) == "Hello there" == said(step)[0]
    *_, ended = events
    assert isinstance(ended, StepEnded)
    assert ended.reason == "stop"
    assert ended.timings.cached_tokens + ended.timings.prompt_tokens == 12
    assert ended.timings.predicted_tokens == 3
    assert len(there.answers) == 1


@every
async def test_parts_arrive_before_the_answer_is_whole(dialect: Dialect) -> None:
    async with bench(dialect, Play(text=("Hello",), ending="hang")) as there:
        with anyio.fail_after(5):
            async with dialect.backend(there.endpoint).stream(REQUEST) as stream:
                async for event in stream:
                    if isinstance(event, TextPart):
                        break
                step = stream.step()
    assert said(step) == ["Hello"]
    assert not step.messages[-1].complete


@every
async def test_an_answer_that_meets_its_limit_says_so(dialect: Dialect) -> None:
    async with bench(dialect, Play(text=("Hello",), ending="limit")) as there:
        events, step = await answer(dialect.backend(there.endpoint))
    assert isinstance(events[-1], StepEnded)
    assert events[-1].reason == "limit"
    assert said(step) == ["Hello"]


@calling
async def test_a_tool_call_is_announced_and_then_complete(dialect: Dialect) -> None:
    async with bench(dialect, CALL) as there:
        events, step = await answer(dialect.backend(there.endpoint), WITH_TOOL)
    [call] = step.calls
    assert shape(call) == ("functions.read_file", '{"path":"a.py"}')
    assert [e for e in events if isinstance(e, CallOpened)] == [
        CallOpened(call.call_id, "functions.read_file")
    ]
    assert text_of(events) == ""


@calling
@pytest.mark.parametrize("ending", ["drop", "garbage"])
async def test_a_call_that_was_not_ended_is_none(
    dialect: Dialect, ending: Literal["drop", "garbage"]
) -> None:
    play = Play(call=("read_file", '{"path": "a.p'), ending=ending)
    async with bench(dialect, play) as there:
        async with dialect.backend(there.endpoint).stream(WITH_TOOL) as stream:
            with pytest.raises(BackendError):
                async for _ in stream:
                    pass
            assert stream.step().calls == ()


@thinking
async def test_reasoning_is_told_from_text(dialect: Dialect) -> None:
    async with bench(dialect, Play(thought="Hm, well.", text=("Hello",))) as there:
        events, step = await answer(dialect.backend(there.endpoint))
    assert "".join(e.text for e in events if isinstance(e, ThoughtPart)) == "Hm, well."
    assert text_of(events) == "Hello"
    assert said(step, "analysis") == ["Hm, well."]
    assert said(step) == ["Hello"]


@every
async def test_leaving_the_stream_hangs_up(dialect: Dialect) -> None:
    async with bench(dialect, Play(text=("Hello",), ending="hang")) as there:
        with anyio.fail_after(5):
            async with dialect.backend(there.endpoint).stream(REQUEST) as stream:
                async for event in stream:
                    if isinstance(event, TextPart):
                        break
            await there.left.wait()


@every
async def test_cancelling_before_the_first_byte_hangs_up(dialect: Dialect) -> None:
    async with bench(dialect, Play(text=("Hello",), slow=True)) as there:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(answer, dialect.backend(there.endpoint))
                await there.asked.wait()
                group.cancel_scope.cancel()
            await there.left.wait()


@every
async def test_a_slow_first_byte_is_waited_for(dialect: Dialect) -> None:
    found: list[str] = []
    async with bench(dialect, Play(text=("Hello",), slow=True)) as there:
        backend = dialect.backend(there.endpoint)

        async def ask() -> None:
            events, _ = await answer(backend)
            found.append(text_of(events))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                await there.asked.wait()
                there.go.set()
    assert found == ["Hello"]
    assert len(there.answers) == 1


@every
async def test_a_server_that_goes_in_mid_answer_leaves_what_it_said(dialect: Dialect) -> None:
    async with bench(dialect, Play(text=("Hello",), ending="drop")) as there:
        async with dialect.backend(there.endpoint).stream(REQUEST) as stream:
            with pytest.raises(StreamDropped):
                async for _ in stream:
                    pass
            assert said(stream.step()) == ["Hello"]
    assert len(there.answers) == 1


@every
async def test_broken_json_in_mid_answer_is_a_typed_error(dialect: Dialect) -> None:
    async with bench(dialect, Play(text=("Hello",), ending="garbage")) as there:
        async with dialect.backend(there.endpoint).stream(REQUEST) as stream:
            with pytest.raises((EngineMismatch, EngineFailed)):
                async for _ in stream:
                    pass
            assert said(stream.step()) == ["Hello"]


@every
async def test_the_key_is_sent(dialect: Dialect) -> None:
    async with bench(dialect, HELLO, key="secret") as there:
        await answer(dialect.backend(there.endpoint))
    assert [a.headers.get("authorization") for a in there.answers] == ["Bearer secret"]


@every
async def test_a_wrong_key_is_told_apart_and_not_tried_again(dialect: Dialect) -> None:
    play = Play(instead=dialect.refused(), everywhere=True)
    async with bench(dialect, play, key="wrong") as there:
        backend = dialect.backend(there.endpoint)
        with pytest.raises(EngineUnauthorized) as caught:
            await answer(backend)
        assert len(there.answers) <= 1
        assert (await backend.is_available()).state == "unavailable"
    assert "wrong" not in str(caught.value)


@every
async def test_a_prompt_that_is_too_long_is_an_overflow_and_not_tried_again(
    dialect: Dialect,
) -> None:
    async with bench(dialect, Play(instead=dialect.overflow())) as there:
        with pytest.raises(ContextOverflow):
            await answer(dialect.backend(there.endpoint))
        assert len(there.answers) == 1


@every
async def test_an_address_that_answers_html_is_named_in_one_sentence(dialect: Dialect) -> None:
    async with bench(dialect, Play(instead=HTML, everywhere=True)) as there:
        backend = dialect.backend(there.endpoint)
        with pytest.raises(EngineMismatch) as caught:
            await answer(backend)
        assert there.endpoint.url in str(caught.value)
        assert "\n" not in str(caught.value)
        found = await backend.is_available()
        assert (found.state, there.endpoint.url in found.reason) == ("unavailable", True)


@every
async def test_no_request_looks_like_a_browsers(dialect: Dialect) -> None:
    async with bench(dialect, HELLO) as there:
        await answer(dialect.backend(there.endpoint))
    for asked in (*there.questions, *there.answers):
        assert not {"origin", "referer", "sec-fetch-mode"} & set(asked.headers)
