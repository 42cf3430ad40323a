"""Apple's model behind a stand-in for Apple's package; where that is, the last test asks it."""

from __future__ import annotations

import importlib.util
import queue
import subprocess
import sys
import threading

import anyio
import pytest
from anyio import to_thread

from acp_agent.backends.apple_fm import AppleFm, prompt_text
from acp_agent.backends.apple_sdk import PACKAGE, load_sdk
from acp_agent.conversation import (
    Call,
    Message,
    ModelRequest,
    ModelStep,
    ToolMessage,
    UserMessage,
)
from acp_agent.errors import (
    BackendError,
    ContextOverflow,
    EngineFailed,
    EngineUnavailable,
    StreamDropped,
)
from acp_agent.ports import Availability, ModelEvent, ModelInfo, StepEnded, TextPart
from tests.backends.apple_stand_in import FakeSdk, FoundationModelsError, Options, Reason, failing

pytestmark = pytest.mark.anyio

INSTALLED = importlib.util.find_spec(PACKAGE) is not None
HI = ModelRequest([UserMessage("hi")])
SCHEMA = {
    "type": "object",
    "properties": {"decision": {"type": "string", "enum": ["inline", "delegate"]}},
}


def model(sdk: FakeSdk) -> AppleFm:
    return AppleFm(lambda: sdk)


async def told(fm: AppleFm, request: ModelRequest = HI) -> tuple[list[ModelEvent], ModelStep]:
    with anyio.fail_after(10):
        async with fm.stream(request) as stream:
            return [event async for event in stream], stream.step()


async def test_cumulative_snapshots_become_deltas() -> None:
    sdk = FakeSdk(["Hel", "Hello", "Hello", "Hello there"])
    assert await told(model(sdk)) == (
        [TextPart(0, "Hel"), TextPart(0, "lo"), TextPart(0, " there"), StepEnded("stop")],
        ModelStep((Message("final", "Hello there"),)),
    )


async def test_the_stream_that_blocks_its_event_loop_does_not_block_ours() -> None:
    gate: queue.Queue[str] = queue.Queue()
    sdk = FakeSdk(["Hel", gate])
    with anyio.fail_after(5):
        async with model(sdk).stream(HI) as stream:
            assert await anext(aiter(stream)) == TextPart(0, "Hel")
            gate.put("Hello")  # reached while the other thread waits for it
            assert [event async for event in stream] == [TextPart(0, "lo"), StepEnded("stop")]
    assert sdk.threads != [threading.current_thread()]


async def test_leaving_the_stream_ends_the_generation_at_its_next_snapshot() -> None:
    gate: queue.Queue[str] = queue.Queue()
    sdk = FakeSdk(["Hel", gate, FoundationModelsError("never reached")])
    with anyio.fail_after(5):
        async with model(sdk).stream(HI) as stream:
            assert await anext(aiter(stream)) == TextPart(0, "Hel")
            step = stream.step()
        gate.put("Hello")
        assert await to_thread.run_sync(sdk.closed.wait, 5)
        await to_thread.run_sync(sdk.threads[0].join, 5)
    assert step == ModelStep((Message("final", "Hel", complete=False),))


async def test_cancelling_while_the_model_is_silent_returns_at_once() -> None:
    gate: queue.Queue[str] = queue.Queue()
    with anyio.fail_after(5):
        with anyio.move_on_after(0.05) as scope:
            await model(FakeSdk([gate])).complete(HI)
        gate.put("late")
    assert scope.cancelled_caught


async def test_words_that_change_after_they_were_shown_are_noted() -> None:
    sdk = FakeSdk(["Hello", "Hallo there"])
    events, step = await told(model(sdk))
    assert events[:2] == [TextPart(0, "Hello"), TextPart(0, " there")]
    assert step.repairs == ("the model changed words that were already shown",)


async def test_the_request_reaches_a_fresh_session() -> None:
    sdk = FakeSdk(["Hi"])
    fm = model(sdk)
    request = ModelRequest(
        [UserMessage("hi")], instructions="Be brief.", temperature=0.15, max_tokens=140
    )
    await fm.complete(request)
    await fm.complete(HI)
    assert sdk.sessions == ["Be brief.", None]
    assert sdk.prompts == ["hi", "hi"]
    assert sdk.options == [Options(0.15, 140), None]


def test_a_conversation_is_what_the_user_said_and_saw() -> None:
    step = ModelStep(
        (Message("analysis", "Look."), Message("commentary", "{}", "functions.x")),
        (Call("c1", "functions.x", "{}"),),
    )
    answered = ModelStep((Message("final", "It is empty."),))
    entries = [
        UserMessage("a?"),
        step,
        ToolMessage("functions.x", "…"),
        answered,
        UserMessage("b?"),
    ]
    assert prompt_text(entries) == "User: a?\n\nAssistant: It is empty.\n\nUser: b?\n\nAssistant:"


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("AssetsUnavailableError", EngineUnavailable, "not on this Mac yet"),
        ("GuardrailViolationError", EngineFailed, "safety guardrails"),
        ("RefusalError", EngineFailed, "refused to answer"),
        ("UnsupportedGuideError", EngineFailed, "schema"),
        ("InvalidGenerationSchemaError", EngineFailed, "schema"),
        ("UnsupportedLanguageOrLocaleError", EngineFailed, "language"),
        ("DecodingFailureError", EngineFailed, "could not be read"),
        ("RateLimitedError", EngineFailed, "try again"),
        ("ConcurrentRequestsError", EngineFailed, "try again"),
        ("SomethingNewError", EngineFailed, "it failed"),
    ],
)
async def test_errors_of_the_package_are_told_in_our_words_and_its_own(
    name: str, kind: type[BackendError], words: str
) -> None:
    sdk = FakeSdk(["Hel", failing(name, "said Apple")])
    async with model(sdk).stream(HI) as stream:
        with pytest.raises(kind, match=rf"Apple's model did not answer: .*{words}.*said Apple"):
            async for _ in stream:
                pass
        assert stream.step() == ModelStep((Message("final", "Hel", complete=False),))


async def test_a_prompt_beyond_the_window_is_an_overflow() -> None:
    sdk = FakeSdk([failing("ExceededContextWindowSizeError")], context_size=8192)
    with pytest.raises(ContextOverflow) as caught:
        await told(model(sdk))
    assert (caught.value.prompt_tokens, caught.value.context_size) == (8193, 8192)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_fault_of_the_package_ends_the_stream_and_does_not_hang_it() -> None:
    sdk = FakeSdk(["Hel", RuntimeError("a fault of the package")])
    with pytest.raises(StreamDropped, match="without saying that it was done"):
        await told(model(sdk))
    await to_thread.run_sync(sdk.threads[0].join, 5)


@pytest.mark.parametrize(
    ("reason", "state", "words"),
    [
        (Reason.APPLE_INTELLIGENCE_NOT_ENABLED, "unavailable", "System Settings"),
        (Reason.DEVICE_NOT_ELIGIBLE, "unavailable", "this Mac cannot"),
        (Reason.MODEL_NOT_READY, "loading", "still fetching"),
        (Reason.UNKNOWN, "unavailable", "UNKNOWN"),
    ],
)
async def test_why_the_model_is_not_there_is_told(reason: Reason, state: str, words: str) -> None:
    fm = model(FakeSdk(reason=reason))
    found = await fm.is_available()
    assert (found.state, words in found.reason) == (state, True)
    with pytest.raises(EngineUnavailable, match=words):
        await told(fm)


async def test_the_one_model_is_listed_with_its_window() -> None:
    fm = model(FakeSdk(context_size=8192))
    assert await fm.is_available() == Availability("ready")
    assert await fm.list_models() == [ModelInfo("system", "Apple's on-device model", 8192)]


async def test_a_package_that_does_not_tell_the_window_means_the_smallest() -> None:
    assert await model(FakeSdk(context_size=None)).context_size() == 4096


async def test_a_decision_is_guided_by_its_schema() -> None:
    sdk = FakeSdk(chosen='{"decision": "delegate", "reason": "code"}')
    request = ModelRequest([UserMessage("Write a parser.")], instructions="Decide.", max_tokens=60)
    chosen = await model(sdk).choose(request, SCHEMA)
    assert chosen == {"decision": "delegate", "reason": "code"}
    assert (sdk.sessions, sdk.prompts, sdk.schemas) == (["Decide."], ["Write a parser."], [SCHEMA])
    assert sdk.options == [Options(None, 60)]


@pytest.mark.parametrize("chosen", ["", "delegate", '"delegate"', "[1]", '{"decision": "maybe"}'])
async def test_a_decision_beside_its_schema_is_an_error(chosen: str) -> None:
    with pytest.raises(EngineFailed, match=r"answered a choice|chose 'maybe'"):
        await model(FakeSdk(chosen=chosen)).choose(HI, SCHEMA)


async def test_a_schema_that_refers_to_itself_never_reaches_the_model() -> None:
    sdk, cyclic = FakeSdk(), {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    with pytest.raises(ValueError, match="refers to itself"):
        await model(sdk).choose(HI, cyclic)
    assert sdk.prompts == []


async def test_a_decision_that_fails_is_told_as_an_answer_would_be() -> None:
    with pytest.raises(EngineFailed, match="safety guardrails"):
        await model(FakeSdk(chosen=failing("GuardrailViolationError"))).choose(HI, SCHEMA)


@pytest.mark.skipif(INSTALLED, reason="Apple's package is installed here")
async def test_without_the_package_it_says_how_to_get_it() -> None:
    found = await AppleFm().is_available()
    assert found.state == "unavailable"
    assert "pip install apple-fm-sdk" in found.reason
    with pytest.raises(EngineUnavailable, match="pip install apple-fm-sdk"):
        load_sdk()


def test_the_module_is_imported_without_the_package() -> None:
    code = f"import sys, acp_agent.backends.apple_fm; assert {PACKAGE!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(not INSTALLED, reason="needs a Mac with macOS 26 and apple-fm-sdk")
async def test_a_real_mac_answers() -> None:
    fm = AppleFm()
    assert await fm.is_available() == Availability("ready")
    with anyio.fail_after(120):
        events, step = await told(fm, ModelRequest([UserMessage("Say hello.")]))
    assert isinstance(events[-1], StepEnded)
    assert any(message.text for message in step.messages)
