"""What holds of the parser for any ids whatever."""

# The library ships neither py.typed nor stubs.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st
from openai_harmony import Role, StreamableParser

from acp_agent.conversation import ModelStep
from acp_agent.harmony.parser import Parser, Part
from acp_agent.harmony.vocab import FIRST_SPECIAL, SIZE, Vocabulary
from acp_agent.ports import CallOpened, TextPart, ThoughtPart

MakeParser = Callable[[], Parser]

WORDS = (
    "<|start|>",
    "<|channel|>",
    "<|message|>",
    "<|end|>",
    "<|call|>",
    "<|return|>",
    "<|constrain|>",
    "<|endoftext|>",
    "assistant",
    "user",
    "bash",
    "analysis",
    "commentary",
    "final",
    " to=",
    "to=functions.",
    "functions.shell",
    "python",
    "json",
    " code",
    " ",
    "Hello",
    "{}",
    "🫠",
    "<|start|>assistant",
    "<|channel|>commentary to=functions.shell <|constrain|>json<|message|>",
)


@st.composite
def generations(draw: st.DrawFn) -> list[tuple[str, bool] | int]:
    """Draw words, trusted or spelled, among ids of any value."""
    word = st.tuples(st.sampled_from(WORDS), st.booleans())
    special = st.integers(FIRST_SPECIAL, SIZE + 2)
    return draw(st.lists(word | special | st.integers(0, SIZE) | st.integers(), max_size=40))


def encoded(vocabulary: Vocabulary, drawn: list[tuple[str, bool] | int]) -> list[int]:
    ids: list[int] = []
    for item in drawn:
        match item:
            case int():
                ids.append(item)
            case (word, trusted):
                ids += vocabulary.encode_trusted(word) if trusted else vocabulary.encode_text(word)
    return ids


def merged(parts: Sequence[Part]) -> list[Part]:
    """Join neighbours of one message: chunks decide only where texts are cut."""
    whole: list[Part] = []
    for part in parts:
        match whole[-1] if whole else None, part:
            case ThoughtPart(i, before), ThoughtPart(j, text) if i == j:
                whole[-1] = ThoughtPart(i, before + text)
            case TextPart(i, before), TextPart(j, text) if i == j:
                whole[-1] = TextPart(i, before + text)
            case _:
                whole.append(part)
    return whole


def said(step: ModelStep) -> list[object]:
    messages = [(m.channel, m.recipient, m.text) for m in step.messages]
    return [messages, [(c.recipient, c.arguments, c.channel) for c in step.calls]]


@given(generations())
def test_the_tokens_of_a_step_read_as_the_same_step(
    parser: MakeParser, vocabulary: Vocabulary, drawn: list[tuple[str, bool] | int]
) -> None:
    first, second = parser(), parser()
    first.feed(encoded(vocabulary, drawn))
    step = first.step()
    assert step.tokens is not None
    assert all(0 <= token < SIZE for token in step.tokens)
    second.feed(step.tokens)
    again = second.step()
    assert said(again) == said(step)
    assert again.tokens == step.tokens


@given(generations(), st.lists(st.integers(0, 60), max_size=8))
def test_chunks_make_no_difference(
    parser: MakeParser,
    vocabulary: Vocabulary,
    drawn: list[tuple[str, bool] | int],
    cuts: list[int],
) -> None:
    ids = encoded(vocabulary, drawn)
    whole, chunked = parser(), parser()
    parts: list[Part] = []
    for start, end in itertools.pairwise([0, *sorted(cuts), max(0, len(ids), *cuts)]):
        parts += chunked.feed(ids[start:end])
        chunked.step()  # looking changes nothing
    assert merged(parts) == merged(whole.feed(ids))
    assert chunked.step() == whole.step()


@given(generations())
def test_what_was_shown_is_what_the_messages_say(
    parser: MakeParser, vocabulary: Vocabulary, drawn: list[tuple[str, bool] | int]
) -> None:
    reader = parser()
    shown: dict[int, str] = {}
    opened: set[str] = set()
    for part in reader.feed(encoded(vocabulary, drawn)):
        match part:
            case CallOpened(call_id):
                assert call_id not in opened
                opened.add(call_id)
            case ThoughtPart(index, text) | TextPart(index, text):
                shown[index] = shown.get(index, "") + text
    step = reader.step()
    assert {call.call_id for call in step.calls} <= opened
    for index, message in enumerate(step.messages):
        if message.recipient is None and message.complete:
            assert shown.get(index, "") == message.text


NAMES = st.from_regex(r"(functions\.)?[a-z][a-z0-9_\-]{0,12}", fullmatch=True).filter(
    lambda name: name not in ("assistant", "user", "all", "system", "developer", "tool")
)
BODIES = st.text(max_size=30)


@st.composite
def trained(draw: st.DrawFn) -> list[tuple[str, str, str]]:
    """Draw messages in trained form: header, body, terminator."""
    texts = st.tuples(st.sampled_from(["analysis", "commentary"]), BODIES)
    messages = [
        (f"<|channel|>{channel}<|message|>", body, "<|end|>")
        for channel, body in draw(st.lists(texts, max_size=3))
    ]
    if draw(st.booleans()):
        name, body = draw(NAMES), draw(BODIES)
        channel = draw(st.sampled_from(["analysis", "commentary"]))
        kind = draw(st.sampled_from(["", " <|constrain|>json", " json", " code"]))
        header = draw(
            st.sampled_from(
                [
                    f"<|channel|>{channel} to={name}{kind}<|message|>",
                    f" to={name}<|channel|>{channel}{kind}<|message|>",
                ]
            )
        )
        return [*messages, (header, body, "<|call|>")]
    return [*messages, ("<|channel|>final<|message|>", draw(BODIES), "<|return|>")]


@given(trained())
def test_the_library_reads_trained_output_alike(
    parser: MakeParser, vocabulary: Vocabulary, messages: list[tuple[str, str, str]]
) -> None:
    ids: list[int] = []
    for header, body, terminator in messages:
        ids += vocabulary.encode_trusted(("<|start|>assistant" if ids else "") + header)
        ids += [*vocabulary.encode_text(body), *vocabulary.encode_trusted(terminator)]
    oracle = StreamableParser(vocabulary.encoding, Role.ASSISTANT)
    for token in ids:
        oracle.process(token)
    reader = parser()
    reader.feed(ids)
    step = reader.step()
    assert [(m.channel, m.recipient, m.text) for m in step.messages] == [
        (m.channel, m.recipient, m.content[0].to_dict()["text"]) for m in oracle.messages
    ]
    assert step.tokens == tuple(ids)
    assert step.repairs == ()
