"""What the parser makes of model output, well formed or not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from acp_agent.conversation import Call, Channel, Message, ModelStep
from acp_agent.harmony.parser import Parser
from acp_agent.harmony.vocab import RETURN, Vocabulary
from acp_agent.ports import CallOpened, TextPart, ThoughtPart

ANALYSIS = "<|channel|>analysis<|message|>"
NEXT = "<|end|><|start|>assistant"
MakeParser = Callable[[], Parser]


def final(text: str) -> Message:
    return Message("final", text)


def thought(text: str) -> Message:
    return Message("analysis", text)


def called(recipient: str, arguments: str = "{}", channel: Channel = "commentary") -> Message:
    return Message(channel, arguments, recipient)


SHELL = Call("call-1", "functions.shell", "{}")

# Output in trained form: what is read, and that its tokens are kept as they are.
WELL_FORMED: dict[str, tuple[str, tuple[Message, ...], tuple[Call, ...]]] = {
    "reasoning, then a call": (
        f"{ANALYSIS}hi{NEXT}<|channel|>commentary to=functions.shell <|constrain|>json<|message|>"
        '{"a":1}<|call|>',
        (thought("hi"), called("functions.shell", '{"a":1}')),
        (Call("call-1", "functions.shell", '{"a":1}'),),
    ),
    "recipient in the role": (
        f"{ANALYSIS}hi{NEXT} to=functions.shell<|channel|>commentary <|constrain|>json<|message|>"
        "{}<|call|>",
        (thought("hi"), called("functions.shell")),
        (SHELL,),
    ),
    "recipient in the role of the first message": (
        " to=functions.shell<|channel|>commentary<|message|>{}<|call|>",
        (called("functions.shell"),),
        (SHELL,),
    ),
    "call on analysis": (
        "<|channel|>analysis to=functions.shell code<|message|>{}<|call|>",
        (called("functions.shell", channel="analysis"),),
        (Call("call-1", "functions.shell", "{}", "analysis"),),
    ),
    "built-in tool": (
        "<|channel|>analysis to=python code<|message|>print(1)<|call|>",
        (called("python", "print(1)", "analysis"),),
        (Call("call-1", "python", "print(1)", "analysis"),),
    ),
    "json without constrain": (
        "<|channel|>commentary to=functions.shell json<|message|>{}<|call|>",
        (called("functions.shell"),),
        (SHELL,),
    ),
    "constrain without a space": (
        "<|channel|>commentary to=functions.shell<|constrain|>json<|message|>{}<|call|>",
        (called("functions.shell"),),
        (SHELL,),
    ),
    "preamble": (
        f"<|channel|>commentary<|message|>I will look.{NEXT}"
        "<|channel|>commentary to=functions.shell <|constrain|>json<|message|>{}<|call|>",
        (Message("commentary", "I will look."), called("functions.shell")),
        (SHELL,),
    ),
    "final json": ("<|channel|>final json<|message|>{}<|return|>", (final("{}"),), ()),
    "final constrain json": (
        "<|channel|>final <|constrain|>json<|message|>{}<|return|>",
        (final("{}"),),
        (),
    ),
    "final that ends in end": ("<|channel|>final<|message|>done<|end|>", (final("done"),), ()),
    "emoji over several tokens": (
        "<|channel|>final<|message|>ok 👩‍👩‍👧 日本 ñ<|return|>",
        (final("ok 👩‍👩‍👧 日本 ñ"),),
        (),
    ),
    "a name with a hyphen": (
        "<|channel|>commentary to=functions.web-browse <|constrain|>json<|message|>{}<|call|>",
        (called("functions.web-browse"),),
        (Call("call-1", "functions.web-browse", "{}"),),
    ),
    "a name without its namespace": (
        "<|channel|>commentary to=shell <|constrain|>json<|message|>{}<|call|>",
        (called("shell"),),
        (Call("call-1", "shell", "{}"),),
    ),
    "an empty body": ("<|channel|>final<|message|><|return|>", (final(""),), ()),
}


@pytest.mark.parametrize("name", WELL_FORMED)
def test_trained_output_is_read_and_its_tokens_kept(
    name: str, parser: MakeParser, vocabulary: Vocabulary
) -> None:
    text, messages, calls = WELL_FORMED[name]
    ids = vocabulary.encode_trusted(text)
    reader = parser()
    reader.feed(ids)
    assert reader.step() == ModelStep(messages, calls, tuple(ids))


def test_parts_come_as_their_tokens_come(parser: MakeParser, vocabulary: Vocabulary) -> None:
    text = (
        f"{ANALYSIS}So far{NEXT}<|channel|>commentary<|message|>I look.{NEXT}"
        "<|channel|>commentary to=functions.shell<|message|>{}<|call|>"
    )
    reader = parser()
    steps = [reader.feed([token]) for token in vocabulary.encode_trusted(text)]
    assert [part for parts in steps for part in parts] == [
        ThoughtPart(0, "So"),
        ThoughtPart(0, " far"),
        TextPart(1, "I"),
        TextPart(1, " look"),
        TextPart(1, "."),
        CallOpened("call-1", "functions.shell"),
    ]


def test_what_is_said_without_a_header_is_shown(parser: MakeParser, vocabulary: Vocabulary) -> None:
    reader = parser()
    assert reader.feed(vocabulary.encode_text("Hello there")) == []
    assert reader.feed([RETURN]) == [TextPart(0, "Hello there")]


def test_a_call_that_never_completes_was_announced_once(
    parser: MakeParser, vocabulary: Vocabulary
) -> None:
    reader = parser()
    parts = reader.feed(
        vocabulary.encode_trusted('<|channel|>commentary to=functions.shell<|message|>{"cmd":"l')
    )
    assert parts == [CallOpened("call-1", "functions.shell")]
    assert reader.step().calls == ()


def test_half_a_character_waits_for_the_other_half(
    parser: MakeParser, vocabulary: Vocabulary
) -> None:
    reader = parser()
    reader.feed(vocabulary.encode_trusted("<|channel|>final<|message|>"))
    first, second = vocabulary.encode_text("🫠")[:2], vocabulary.encode_text("🫠")[2:]
    assert reader.feed(first) == []
    assert reader.step().messages == (Message("final", "\ufffd", complete=False),)
    assert reader.feed(second) == [TextPart(0, "🫠")]


def test_half_a_character_at_the_end_is_replaced(
    parser: MakeParser, vocabulary: Vocabulary
) -> None:
    reader = parser()
    half = vocabulary.encode_text("🫠")[:1]
    ids = [*vocabulary.encode_trusted("<|channel|>final<|message|>"), *half, RETURN]
    assert reader.feed(ids) == [TextPart(0, "\ufffd")]
    assert reader.step() == ModelStep((final("\ufffd"),), (), tuple(ids))


def test_nothing_generated_is_an_empty_step(parser: MakeParser) -> None:
    assert parser().step() == ModelStep((), (), ())
