"""What the parser makes of output that deviates from the trained form, and what it then says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from acp_agent.conversation import Call, Message, ModelStep
from acp_agent.harmony.parser import Parser
from acp_agent.harmony.vocab import Vocabulary
from acp_agent.ports import TextPart

ANALYSIS = "<|channel|>analysis<|message|>"
NEXT = "<|end|><|start|>assistant"
MakeParser = Callable[[], Parser]


def final(text: str) -> Message:
    return Message("final", text)


def thought(text: str) -> Message:
    return Message("analysis", text)


def called(recipient: str, arguments: str = "{}") -> Message:
    return Message("commentary", arguments, recipient)


SHELL = Call("call-1", "functions.shell", "{}")

# Output that deviates: what is read, what stands in history instead, and what is said about it.
Outcome = tuple[str, tuple[Message, ...], tuple[Call, ...], str, tuple[str, ...]]
CALL_SHELL = "<|channel|>commentary to=functions.shell<|message|>{}<|call|>"
FINAL_X = "<|channel|>final<|message|>x<|end|>"
FINAL_Y = "<|channel|>final<|message|>y<|return|>"
DEVIANT: dict[str, Outcome] = {
    "call without a recipient": (
        "<|channel|>commentary <|constrain|>json<|message|>{}<|call|>",
        (Message("commentary", "{}"),),
        (),
        "<|channel|>commentary <|constrain|>json<|message|>{}<|end|>",
        ("a message that ended in the wrong terminator",),
    ),
    "no message token": (
        "<|channel|>analysis I think that<|end|>",
        (thought("I think that"),),
        (),
        f"{ANALYSIS}I think that<|end|>",
        ("no <|message|>",),
    ),
    "a call without a message token": (
        "<|channel|>commentary to=functions.shell <|constrain|>json{}<|call|>",
        (called("functions.shell"),),
        (SHELL,),
        "<|channel|>commentary to=functions.shell <|constrain|>json<|message|>{}<|call|>",
        ("no <|message|>",),
    ),
    "extra words in the header": (
        "<|channel|>commentary to=functions.shell write file now<|message|>{}<|call|>",
        (called("functions.shell"),),
        (SHELL,),
        CALL_SHELL,
        ("stray words in the header: 'write file now'",),
    ),
    "channel twice": (
        "<|channel|>analysis<|channel|>commentary to=functions.shell<|message|>{}<|call|>",
        (called("functions.shell"),),
        (SHELL,),
        CALL_SHELL,
        ("more than one channel",),
    ),
    "unknown channel": (
        "<|channel|>??<|message|>x<|end|>",
        (final("x"),),
        (),
        FINAL_X,
        ("no known channel", "stray words in the header: '??'"),
    ),
    "empty channel": (
        "<|channel|><|message|>x<|end|>",
        (final("x"),),
        (),
        FINAL_X,
        ("no known channel",),
    ),
    "plain text": (
        "Hello there<|return|>",
        (final("Hello there"),),
        (),
        "<|channel|>final<|message|>Hello there<|return|>",
        ("no known channel", "no <|message|>"),
    ),
    "no start token": (
        f"{ANALYSIS}x<|end|>assistant{FINAL_Y}",
        (thought("x"), final("y")),
        (),
        f"{ANALYSIS}x{NEXT}{FINAL_Y}",
        ("no <|start|> before a message",),
    ),
    "no start token and no role": (
        f"{ANALYSIS}x<|end|>{FINAL_Y}",
        (thought("x"), final("y")),
        (),
        f"{ANALYSIS}x{NEXT}{FINAL_Y}",
        ("no <|start|> before a message",),
    ),
    "a message without any header": (
        "<|message|>plain<|return|>",
        (final("plain"),),
        (),
        "<|channel|>final<|message|>plain<|return|>",
        ("no known channel",),
    ),
    "the user's turn": (
        f"{FINAL_X}<|start|>user<|message|>hm<|end|>",
        (final("x"),),
        (),
        FINAL_X,
        ("a message in the name of 'user' was dropped",),
    ),
    "the user's turn without a message token": (
        f"{FINAL_X}<|start|>user hm<|end|>",
        (final("x"),),
        (),
        FINAL_X,
        ("a message in the name of 'user' was dropped",),
    ),
    "a tool's answer": (
        f"{FINAL_X}<|start|>functions.shell to=assistant<|channel|>commentary<|message|>ok<|end|>",
        (final("x"),),
        (),
        FINAL_X,
        ("a message in the name of 'functions.shell' was dropped",),
    ),
    "an unknown role": (
        f"{ANALYSIS}x<|end|><|start|>bash{FINAL_Y}",
        (thought("x"), final("y")),
        (),
        f"{ANALYSIS}x{NEXT}{FINAL_Y}",
        ("stray words in the header: 'bash'",),
    ),
    "cut in a header": (
        "<|channel|>commentary to=functions.she",
        (),
        (),
        "",
        ("a header was cut off",),
    ),
    "cut in a second header": (
        f"{ANALYSIS}x{NEXT}<|channel|>comm",
        (thought("x"),),
        (),
        f"{ANALYSIS}x<|end|>",
        ("a header was cut off",),
    ),
    "cut in a call": (
        '<|channel|>commentary to=functions.shell <|constrain|>json<|message|>{"cmd":"l',
        (Message("commentary", '{"cmd":"l', "functions.shell", complete=False),),
        (),
        '<|channel|>commentary to=functions.shell <|constrain|>json<|message|>{"cmd":"l<|end|>',
        ("a call to 'functions.shell' was cut off",),
    ),
    "cut in a text": (
        "<|channel|>final<|message|>Hel",
        (Message("final", "Hel", complete=False),),
        (),
        "<|channel|>final<|message|>Hel<|end|>",
        ("a message was cut off",),
    ),
    "start inside a body": (
        f"{ANALYSIS}abc<|start|>assistant{FINAL_Y}",
        (thought("abc"), final("y")),
        (),
        f"{ANALYSIS}abc{NEXT}{FINAL_Y}",
        ("<|start|> inside a message",),
    ),
    "channel inside a body": (
        f"{ANALYSIS}abc{FINAL_Y}",
        (thought("abc"), final("y")),
        (),
        f"{ANALYSIS}abc{NEXT}{FINAL_Y}",
        ("<|channel|> inside a message",),
    ),
    "other control tokens inside a body": (
        "<|channel|>final<|message|>a<|constrain|>b<|message|>c<|return|>",
        (final("abc"),),
        (),
        "<|channel|>final<|message|>abc<|return|>",
        ("control tokens inside a message were dropped",),
    ),
    "a call that ends in end": (
        "<|channel|>commentary to=functions.shell<|message|>{}<|end|>",
        (Message("commentary", "{}", "functions.shell", complete=False),),
        (),
        "<|channel|>commentary to=functions.shell<|message|>{}<|end|>",
        ("a call to 'functions.shell' that did not end in <|call|>",),
    ),
    "a call that ends in return": (
        "<|channel|>commentary to=functions.shell<|message|>{}<|return|>",
        (Message("commentary", "{}", "functions.shell", complete=False),),
        (),
        "<|channel|>commentary to=functions.shell<|message|>{}<|end|>",
        ("a call to 'functions.shell' that did not end in <|call|>",),
    ),
    "a final that ends in endoftext": (
        "<|channel|>final<|message|>x<|endoftext|>",
        (final("x"),),
        (),
        FINAL_X,
        ("a message that ended in the wrong terminator",),
    ),
    "a recipient that is no tool": (
        "<|channel|>commentary to=assistant<|message|>x<|end|>",
        (Message("commentary", "x"),),
        (),
        "<|channel|>commentary<|message|>x<|end|>",
        ("a recipient that is no tool",),
    ),
    "a call on channel final": (
        "<|channel|>final to=functions.shell<|message|>{}<|call|>",
        (called("functions.shell"),),
        (SHELL,),
        CALL_SHELL,
        ("a call on channel final",),
    ),
    "two recipients": (
        " to=functions.shell<|channel|>commentary to=functions.b<|message|>{}<|call|>",
        (called("functions.shell"),),
        (SHELL,),
        CALL_SHELL,
        ("more than one recipient",),
    ),
    "a recipient without to": (
        "<|channel|>commentary functions.shell<|message|>{}<|call|>",
        (called("functions.shell"),),
        (SHELL,),
        CALL_SHELL,
        ("an unusual header",),
    ),
    "a channel without its marker": (
        "assistantcommentary to=functions.shell<|message|>{}<|call|>",
        (called("functions.shell"),),
        (SHELL,),
        CALL_SHELL,
        ("an unusual header",),
    ),
    "no channel": (
        " to=functions.shell<|message|>{}<|call|>",
        (called("functions.shell"),),
        (SHELL,),
        CALL_SHELL,
        ("no known channel",),
    ),
    "nothing but a terminator": (
        "<|return|>",
        (),
        (),
        "",
        ("a terminator without a message",),
    ),
}


@pytest.mark.parametrize("name", DEVIANT)
def test_deviant_output_is_repaired_and_the_repair_named(
    name: str, parser: MakeParser, vocabulary: Vocabulary
) -> None:
    text, messages, calls, history, repairs = DEVIANT[name]
    reader = parser()
    reader.feed(vocabulary.encode_trusted(text))
    step = reader.step()
    assert step.messages == messages
    assert step.calls == calls
    assert vocabulary.decode(step.tokens or ()) == history
    assert step.repairs == repairs


@pytest.mark.parametrize(
    "header",
    [
        " to=functions.shell<|channel|>commentary",
        "<|channel|>commentary to=functions.shell<|channel|>commentary",
        "<|channel|>commentary to=functions.shell <|constrain|>json",
    ],
)
def test_control_tokens_spelled_as_text_are_not_part_of_a_name(
    header: str, parser: MakeParser, vocabulary: Vocabulary
) -> None:
    reader = parser()
    reader.feed(vocabulary.encode_text(header))
    reader.feed(vocabulary.encode_trusted("<|message|>{}<|call|>"))
    step = reader.step()
    assert step.calls == (SHELL,)
    assert "control tokens spelled as text" in step.repairs
    expected = " <|constrain|>json" if header.endswith("json") else ""
    assert vocabulary.decode(step.tokens or ()) == CALL_SHELL.replace(
        "<|message|>", f"{expected}<|message|>"
    )


def test_ids_outside_the_vocabulary_are_dropped(parser: MakeParser, vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode_trusted(FINAL_Y)
    strange: list[int] = []
    for token in ids:
        strange += [-1, token, 201_088, 10**30]
    reader = parser()
    parts = reader.feed(strange)
    assert parts == [TextPart(0, "y")]
    assert reader.step() == ModelStep(
        (final("y"),), (), tuple(ids), ("ids outside the vocabulary were dropped",)
    )
