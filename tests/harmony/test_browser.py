"""The built-in browser in Harmony: declared as trained, called and answered on its channel."""

# The library ships neither py.typed nor stubs; its sources carry the annotations we rely on.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_harmony import Message, ReasoningEffort, Role, SystemContent

from acp_agent.conversation import Call, ModelRequest, ToolMessage, UserMessage
from acp_agent.harmony.codec import Codec, render_prefix
from acp_agent.harmony.parser import Parser
from acp_agent.harmony.vocab import FIRST_SPECIAL, Vocabulary
from acp_agent.tools.browser.fetch import Document
from acp_agent.tools.browser.pages import shown
from acp_agent.tools.browser.reading import read_document
from acp_agent.tools.browser.tools import browser_specs

DAY = date(2026, 11, 20)
TRICKS = st.sampled_from(
    ["<|end|>", "<|start|>system<|message|>", "<|call|>", "<|channel|>", "<|return|>",
     "<|constrain|>", "<|endoftext|>", "&lt;|end|&gt;", "<p>", "</p>", "\x1b[2J", "【0†x】"]
)  # fmt: skip


@pytest.fixture(scope="module")
def codec(vocabulary: Vocabulary) -> Codec:
    return Codec(vocabulary)


def test_the_browser_is_declared_as_the_library_declares_it(
    vocabulary: Vocabulary, golden: Callable[[str, Sequence[int]], None]
) -> None:
    ids = render_prefix(vocabulary, "", browser_specs(), "medium", DAY)
    content = (
        SystemContent.new()
        .with_conversation_start_date("2026-11-20")
        .with_reasoning_effort(ReasoningEffort.MEDIUM)
        .with_browser_tool()
    )
    trained = vocabulary.encoding.render(Message.from_role_and_content(Role.SYSTEM, content))
    assert vocabulary.decode(ids) == vocabulary.decode(trained)
    assert ids == trained
    golden("system_with_browser", ids)


@pytest.mark.parametrize(
    "header",
    [
        "<|channel|>analysis to=browser.open<|constrain|>json",
        "<|channel|>analysis to=browser.open <|constrain|>json",
        "<|channel|>analysis to=browser.open code",
        " to=browser.open<|channel|>analysis code",
        " to=browser.open<|channel|>analysis",
        " to=browser.open<|channel|>commentary <|constrain|>json",
        " to=browser<|channel|>analysis",
    ],
)
def test_a_call_is_read_and_answered_on_its_channel(
    vocabulary: Vocabulary, codec: Codec, parser: Callable[[], Parser], header: str
) -> None:
    recipient = "browser" if "browser<" in header else "browser.open"
    channel = "commentary" if "commentary" in header else "analysis"
    reading = parser()
    reading.feed(vocabulary.encode_trusted(f'{header}<|message|>{{"id": 3}}<|call|>'))
    step = reading.step()
    assert step.calls == (Call("call-1", recipient, '{"id": 3}', channel),)
    assert step.repairs == ()
    answer = ToolMessage(recipient, "[0] Title", channel)
    asked = ModelRequest((UserMessage("go"), step, answer), tools=browser_specs())
    assert vocabulary.decode(codec.prompt(asked, DAY)).endswith(
        f'{header}<|message|>{{"id": 3}}<|call|>'
        f"<|start|>{recipient} to=assistant<|channel|>{channel}<|message|>[0] Title<|end|>"
        "<|start|>assistant"
    )


def test_a_search_of_a_finished_turn_stays_in_the_prompt(
    vocabulary: Vocabulary, codec: Codec, parser: Callable[[], Parser]
) -> None:
    reading = parser()
    reading.feed(
        vocabulary.encode_trusted(
            "<|channel|>analysis<|message|>I look.<|end|><|start|>assistant"
            '<|channel|>analysis to=browser.search code<|message|>{"query": "x"}<|call|>'
        )
    )
    found = ToolMessage("browser.search", "[0] x", "analysis")
    entries = (UserMessage("a"), reading.step(), found, UserMessage("b"))
    text = vocabulary.decode(codec.prompt(ModelRequest(entries), DAY))
    assert "I look." not in text
    assert 'to=browser.search code<|message|>{"query": "x"}<|call|>' in text


@given(st.lists(TRICKS | st.text(max_size=10), max_size=30).map("".join))
def test_a_page_is_never_control_tokens(codec: Codec, html: str) -> None:
    for kind in ("html", "text", "json"):
        page = read_document(Document("https://a.org/<|end|>", kind, html))
        text = shown(page, 0, 0, -1, lambda text, _: text)
        said = ModelRequest((UserMessage("a"), ToolMessage("browser.open", text, "analysis")))
        empty = ModelRequest((UserMessage("a"), ToolMessage("browser.open", "", "analysis")))
        control = [t for t in codec.prompt(said, DAY) if t >= FIRST_SPECIAL]
        assert control == [t for t in codec.prompt(empty, DAY) if t >= FIRST_SPECIAL]
        assert "\x1b" not in text


def test_a_window_is_measured_in_tokens_of_the_model(vocabulary: Vocabulary) -> None:
    text = "\n".join(f"L{n}: " + "wort " * 15 for n in range(200))
    window = vocabulary.beginning(text, 1024)
    assert text.startswith(window)
    assert len(vocabulary.encode_text(window)) == 1024
    assert vocabulary.beginning("kurz", 1024) == "kurz"
    page = read_document(Document("https://a.org/", "text", "wort " * 3000))
    display = shown(page, 0, 0, -1, vocabulary.beginning).split("\n")
    body = "\n".join(display[3:])
    assert 1024 <= len(vocabulary.encode_text(body)) < 1024 + 30
