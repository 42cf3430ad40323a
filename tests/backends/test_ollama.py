"""What is Ollama's own; test_compliance.py has what every backend does.

The shapes are those of ollama_dialect.py, which no running Ollama has confirmed. With
ACP_AGENT_TEST_OLLAMA=1 and OLLAMA_BASE_URL set, the last test asks a real one.
"""

from __future__ import annotations

import os

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.backends.api import Api
from acp_agent.backends.endpoint import Endpoint, fixed
from acp_agent.backends.ollama import SERVICE, OllamaBackend
from acp_agent.backends.ollama_stream import ChatReader
from acp_agent.backends.ollama_wire import ModelFacts, chat_body, chat_messages
from acp_agent.backends.reply import Reply
from acp_agent.backends.sse import ServerEvent
from acp_agent.conversation import (
    Call,
    Message,
    ModelRequest,
    ModelStep,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from acp_agent.errors import (
    BackendError,
    ContextOverflow,
    EngineFailed,
    EngineMismatch,
    StreamDropped,
)
from acp_agent.ports import (
    Availability,
    CallOpened,
    ModelEvent,
    StepEnded,
    TextPart,
    ThoughtPart,
    Timings,
)
from tests.backends.ollama_dialect import (
    MODEL,
    OVERFLOW,
    SHOWN,
    backend,
    ended,
    line,
    said,
    stream,
    tags,
)
from tests.backends.stand_in import answer, stand_in

pytestmark = pytest.mark.anyio

RUNNING = answer(200, "Ollama is running")
SHOW = answer(200, SHOWN)
NOT_FOUND = answer(404, {"error": f"model '{MODEL}' not found"})
UNREAD = (
    'error parsing tool call: raw=\'{"path": "a.py"]}\','
    " err=invalid character ']' after object key:value pair"
)
LIST_FILES = ToolSpec("list_files", "List files.", {"type": "object", "properties": {}})
SEARCH = ToolSpec("browser.search", "Search.", {"type": "object", "properties": {}})
HI = ModelRequest([UserMessage("hi")])
ENDED = StepEnded(
    "stop",
    Timings(prompt_tokens=12, prompt_ms=342.546, predicted_tokens=3, predicted_ms=4535.599),
)


async def told(
    model: OllamaBackend, request: ModelRequest = HI
) -> tuple[list[ModelEvent], ModelStep]:
    with anyio.fail_after(10):
        async with model.stream(request) as answered:
            return [event async for event in answered], answered.step()


async def test_a_step_with_reasoning_a_preamble_and_two_calls() -> None:
    function = {"index": 0, "name": "list_files", "arguments": {"path": "src", "depth": 2}}
    other: dict[str, object] = {"index": 1, "name": "browser_search", "arguments": {}}
    lines = (
        said(thinking="Look"),
        said(thinking=" first."),
        said(content="I look."),
        said(tool_calls=[{"function": function}, {"function": other}]),
        ended(),
    )
    async with stand_in(SHOW, stream(*lines)) as there:
        events, step = await told(
            backend(there), ModelRequest([UserMessage("?")], tools=(LIST_FILES, SEARCH))
        )
    assert events == [
        ThoughtPart(0, "Look"),
        ThoughtPart(0, " first."),
        TextPart(1, "I look."),
        CallOpened("call_1", "functions.list_files"),
        CallOpened("call_2", "browser.search"),
        ENDED,
    ]
    assert step.calls == (
        Call("call_1", "functions.list_files", '{"path": "src", "depth": 2}'),
        Call("call_2", "browser.search", "{}"),
    )
    assert step.messages[:2] == (
        Message("analysis", "Look first."),
        Message("commentary", "I look."),
    )


async def test_the_whole_request() -> None:
    request = ModelRequest(
        [UserMessage("hi")],
        instructions="Be kind.",
        tools=(LIST_FILES,),
        effort="high",
        max_tokens=50,
        temperature=0.5,
    )
    async with stand_in(SHOW, stream(ended())) as there:
        await told(backend(there, context=8192, keep_alive="1h"), request)
    assert there.bodies == [
        {"model": MODEL},
        {
            "model": MODEL,
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "hi"},
            ],
            "stream": True,
            "keep_alive": "1h",
            "truncate": False,
            "shift": False,
            "options": {"num_ctx": 8192, "num_predict": 50, "temperature": 0.5},
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "list_files",
                        "description": "List files.",
                        "parameters": {"type": "object", "properties": {}},
                    },
                }
            ],
            "think": "high",
        },
    ]


async def test_a_decision_is_constrained_to_its_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"decision": {"type": "string", "enum": ["inline", "delegate"]}},
    }
    lines = (said(thinking="Hm"), said(content='{"decision":'), said(content=' "inline"}'), ended())
    async with stand_in(SHOW, stream(*lines)) as there:
        request = ModelRequest([UserMessage("hi")], tools=(LIST_FILES,))
        assert await backend(there).choose(request, schema) == {"decision": "inline"}
    assert there.bodies[1]["format"] == schema
    assert "tools" not in there.bodies[1]


@pytest.mark.parametrize(
    ("facts", "effort", "think"),
    [
        (ModelFacts(family="gptoss", thinks=True), "low", "low"),
        (ModelFacts(family="gpt-oss", thinks=True), "medium", "medium"),
        (ModelFacts(family="qwen3", thinks=True), "low", False),
        (ModelFacts(family="qwen3", thinks=True), "high", True),
        (ModelFacts(family="gemma3"), "high", None),
    ],
)
def test_how_much_to_think_is_said_as_the_model_takes_it(
    facts: ModelFacts, effort: str, think: object
) -> None:
    request = ModelRequest([UserMessage("hi")], effort=effort)  # pyright: ignore[reportArgumentType] of the three
    body = chat_body(MODEL, request, facts, context=4096, keep_alive="5m")
    assert body.get("think") == think


def test_a_conversation_keeps_its_calls_and_the_reasoning_before_them() -> None:
    called = ModelStep(
        (
            Message("analysis", "Look."),
            Message("commentary", "I look."),
            Message("commentary", '{"path": "a"}', "functions.read_file"),
        ),
        (Call("c1", "functions.read_file", '{"path": "a"}'), Call("c2", "python", "print(1)")),
    )
    answered = ModelStep((Message("analysis", "Done."), Message("final", "It is empty.")))
    entries = [
        UserMessage("what is in a?"),
        called,
        ToolMessage("functions.read_file", "(empty)"),
        ToolMessage("python", "1"),
        answered,
    ]
    assert chat_messages("", entries) == [
        {"role": "user", "content": "what is in a?"},
        {
            "role": "assistant",
            "content": "I look.",
            "thinking": "Look.",
            "tool_calls": [
                {"function": {"name": "read_file", "arguments": {"path": "a"}}},
                {"function": {"name": "python", "arguments": {"input": "print(1)"}}},
            ],
        },
        {"role": "tool", "content": "(empty)", "tool_name": "read_file"},
        {"role": "tool", "content": "1", "tool_name": "python"},
        {"role": "assistant", "content": "It is empty."},
    ]


async def test_num_ctx_is_never_more_than_the_model_has() -> None:
    small = {
        **SHOWN,
        "model_info": {"general.architecture": "gemma3", "gemma3.context_length": 2048},
    }
    async with stand_in(answer(200, small)) as there:
        assert await backend(there).context_size() == 2048


@pytest.mark.parametrize("shown", [{}, {"model_info": {}}, {"model_info": None, "details": 5}])
def test_a_model_of_which_little_is_known_is_taken_as_it_comes(shown: dict[str, object]) -> None:
    assert ModelFacts.of(shown) == ModelFacts()


async def test_an_overflow_inside_an_error_text_gives_its_numbers() -> None:
    async with stand_in(SHOW, answer(400, OVERFLOW)) as there:
        with pytest.raises(ContextOverflow) as caught:
            await told(backend(there))
    assert (caught.value.prompt_tokens, caught.value.context_size) == (8889, 4096)


async def test_an_overflow_without_numbers_is_one_all_the_same() -> None:
    words = "the prompt is longer than the context length currently available to the model"
    async with stand_in(SHOW, answer(400, {"error": words})) as there:
        with pytest.raises(ContextOverflow) as caught:
            await told(backend(there, context=4096))
    assert (caught.value.prompt_tokens, caught.value.context_size) == (4097, 4096)


async def test_a_call_that_ollama_cannot_read_is_told_in_clear_words() -> None:
    async with stand_in(SHOW, answer(500, {"error": UNREAD})) as there:
        with pytest.raises(EngineFailed) as caught:
            await told(backend(there))
    assert str(caught.value) == (
        "Ollama could not read the model's tool call '{\"path\": \"a.py\"]}' (invalid character ']'"
        " after object key:value pair) and dropped the whole step; try again, or serve the model"
        " with llama.cpp"
    )
    assert len(there.asked) == 2


async def test_an_error_line_in_mid_stream_keeps_what_was_said() -> None:
    lines = (said(content="Well"), line({"error": UNREAD}))
    async with stand_in(SHOW, stream(*lines)) as there:
        async with backend(there).stream(HI) as answered:
            with pytest.raises(EngineFailed, match="could not read the model's tool call"):
                async for _ in answered:
                    pass
            assert answered.step() == ModelStep((Message("final", "Well", complete=False),))


async def test_any_other_error_gives_ollamas_own_words() -> None:
    words = "model requires more system memory (12.1 GiB) than is available (8.0 GiB)"
    async with stand_in(SHOW, answer(500, {"error": words})) as there:
        with pytest.raises(EngineFailed) as caught:
            await told(backend(there))
    assert str(caught.value) == (
        f"Ollama at {there.endpoint.url} refused the request (HTTP 500): {words}"
    )


@pytest.mark.parametrize(
    "sent",
    [
        answer(404, "404 page not found"),
        answer(405, "<html>no</html>"),
        stream(line("<html>\n")),
        stream(line("[1, 2]\n")),
        stream(line({"model": MODEL, "response": "hi", "done": False})),
        stream(line({"message": "hi", "done": False})),
        stream(line({"message": {"tool_calls": [{"name": "x"}]}, "done": False})),
    ],
)
async def test_something_else_at_the_address_is_named(sent: bytes) -> None:
    async with stand_in(SHOW, sent) as there:
        with pytest.raises(EngineMismatch, match=rf"{there.endpoint.url} is not Ollama.*OLLAMA_"):
            await told(backend(there))


async def test_a_last_line_without_an_end_counts() -> None:
    whole = stream(said(content="Hi"), ended().replace(b"}\n\r\n", b"} \r\n"))
    async with stand_in(SHOW, whole) as there:
        assert (await told(backend(there)))[0] == [TextPart(0, "Hi"), ENDED]


async def test_a_stream_that_ends_too_early_is_dropped() -> None:
    async with stand_in(SHOW, stream(said(content="Hi"))) as there:
        with pytest.raises(StreamDropped, match="without saying that it was done"):
            await told(backend(there))


async def test_apfel_at_the_same_port_is_not_taken_for_ollama() -> None:
    apfel = answer(404, {"error": {"message": "Not found: GET /", "type": "error"}})
    async with stand_in(apfel) as there:
        found = await backend(there).is_available()
    assert found == Availability(
        "unavailable",
        f"what answers at {there.endpoint.url} is not Ollama: GET / does not say"
        " 'Ollama is running' (HTTP 404); set OLLAMA_BASE_URL",
    )


async def test_a_model_that_is_not_installed_is_named_with_those_that_are() -> None:
    async with stand_in(RUNNING, NOT_FOUND, tags("qwen3:4b", "gemma3:1b")) as there:
        found = await backend(there).is_available()
    assert found == Availability(
        "unavailable",
        f"Ollama has no model '{MODEL}'; it has: qwen3:4b, gemma3:1b;"
        f" fetch it with: ollama pull {MODEL}",
    )


async def test_without_a_name_the_first_model_answers() -> None:
    async with stand_in(tags("qwen3:4b", MODEL), SHOW, stream(ended())) as there:
        model = backend(there, model="")
        await told(model)
    assert (model.default_model, there.bodies[2]["model"]) == ("qwen3:4b", "qwen3:4b")


async def test_an_ollama_without_models_says_how_to_get_one() -> None:
    async with stand_in(tags()) as there:
        with pytest.raises(EngineFailed, match="ollama pull"):
            await told(backend(there, model=""))


@given(st.binary() | st.text().map(str.encode))
def test_no_line_makes_the_reader_fail_otherwise_than_by_a_typed_error(data: bytes) -> None:
    api = Api(SERVICE, fixed(Endpoint("http://127.0.0.1:9")))
    with pytest.raises(BackendError):
        ChatReader(api, Reply(), 4096).read(ServerEvent("line", data.decode(errors="replace")))


@pytest.mark.skipif(
    not (os.environ.get("OLLAMA_BASE_URL") and os.environ.get("ACP_AGENT_TEST_OLLAMA")),
    reason="needs a running Ollama: set OLLAMA_BASE_URL and ACP_AGENT_TEST_OLLAMA=1"
    " (and OLLAMA_MODEL for another model than the first)",
)
async def test_a_real_ollama_answers() -> None:
    endpoint = Endpoint(os.environ["OLLAMA_BASE_URL"])
    model = OllamaBackend(fixed(endpoint), model=os.environ.get("OLLAMA_MODEL", ""), context=4096)
    assert await model.is_available() == Availability("ready")
    with anyio.fail_after(300):
        events, step = await told(model, ModelRequest([UserMessage("Say hello.")], effort="low"))
    assert isinstance(events[-1], StepEnded)
    assert events[-1].timings.predicted_tokens > 0
    assert any(message.channel == "final" and message.text for message in step.messages)
