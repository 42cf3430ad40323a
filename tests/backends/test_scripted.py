"""Scripts: what the format means, what is wrong with a bad one, and how an engine plays it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from acp_agent.backends import script_text
from acp_agent.backends.script import (
    Answer,
    Begin,
    Delay,
    Drop,
    Fail,
    Invoke,
    Limit,
    Load,
    Overflow,
    Preamble,
    Raw,
    Say,
    Step,
    Think,
    Wait,
)
from acp_agent.backends.script_text import parse_script, read_script
from acp_agent.backends.scripted import Request, ScriptedEngine
from acp_agent.errors import ConfigError, ContextOverflow, EngineFailed, StreamDropped
from acp_agent.harmony.prompts import environment_note
from acp_agent.harmony.vocab import load_vocabulary
from acp_agent.ports import EngineEvent, EngineLoading, Sampling, StepEnded, Timings, Tokens

pytestmark = pytest.mark.anyio

PLAIN = Sampling()


def prompt(text: str, *rest: str) -> list[int]:
    """Return a conversation: the system's, the user's, and messages in Harmony's own words."""
    messages = f"<|start|>system<|message|>user<|end|><|start|>user<|message|>{text}<|end|>"
    return load_vocabulary().encode_trusted(messages + "".join(rest) + "<|start|>assistant")


CALLED = (
    "<|start|>assistant<|channel|>analysis<|message|>hm<|end|>"
    "<|start|>assistant<|channel|>commentary to=functions.a <|constrain|>json<|message|>{}<|call|>"
    "<|start|>functions.a to=assistant<|channel|>commentary<|message|>user<|end|>"
)
ANSWERED = "<|start|>assistant<|channel|>final<|message|>ok<|end|>"


async def played(
    engine: ScriptedEngine, ids: Sequence[int], sampling: Sampling = PLAIN
) -> tuple[str, list[EngineEvent]]:
    """Return the text of all tokens, and all other events."""
    tokens: list[int] = []
    others: list[EngineEvent] = []
    with anyio.fail_after(10):
        async with engine.stream(ids, sampling) as events:
            async for event in events:
                if isinstance(event, Tokens):
                    tokens += event.ids
                else:
                    others.append(event)
    return load_vocabulary().decode(tokens), others


# ---------------------------------------------------------------- the format


def test_the_documented_example_means_what_it_says() -> None:
    assert script_text.__doc__ is not None
    example = script_text.__doc__.split("\n\n    # Prompts")[1].split("\n\nEach `call`")[0]
    assert parse_script("    # Prompts" + example) == [
        Answer(
            (
                (Think("I look at the file first."), Invoke("read_file", '{"path": "app.py"}')),
                (
                    Preamble("Now I write the test."),
                    Invoke(
                        "apply_patch",
                        '{"patch": "*** Begin Patch\\n*** Add File: test_app.py\\n+assert True\\n'
                        '*** End Patch"}',
                    ),
                ),
                (Say("The test is in test_app.py."),),
            ),
            "add a test",
        ),
        Answer(((Say("Hello!"),),)),
    ]


def test_every_command_is_known() -> None:
    source = """
    load 0.5
    delay .01
    wait 2
    think one
      two

        three
      # no comment
    preamble p
    call python
      print("a")
      print("b")
    call browser.search {"query":
      "x"}
    call empty
    raw <|channel|>final<|message|>a
    raw b<|return|>
    begin half
    limit
    think half
    drop
    overflow
    begin half
    overflow 3000
    fail out of memory
    say bye
    again
    """
    assert parse_script(source) == [
        Answer(
            (
                (
                    Load(0.5),
                    Delay(0.01),
                    Wait(2.0),
                    Think("one\ntwo\n\n  three\n# no comment"),
                    Preamble("p"),
                    Invoke("python", 'print("a")\nprint("b")'),
                ),
                (Invoke("browser.search", '{"query":\n"x"}'),),
                (Invoke("empty", "{}"),),
                (Raw("<|channel|>final<|message|>a"), Raw("b<|return|>")),
                (Begin("half"), Limit()),
                (Think("half"), Drop()),
                (Overflow(),),
                (Begin("half"), Overflow(3000), Fail("out of memory")),
                (Say("bye"),),
            ),
            again=True,
        )
    ]


def test_steps_before_the_first_on_answer_other_prompts() -> None:
    assert parse_script('say a\non "x":\n say b') == [
        Answer(((Say("a"),),)),
        Answer(((Say("b"),),), "x"),
    ]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "bad:1: there are no steps; known commands: think, "),
        ("# only a comment", "bad:1: there are no steps"),
        ('on "a":\non "b":\n say c', "bad:1: there are no steps"),
        ('say a\non "b":', "bad:2: there are no steps"),
        ("say a\n\nsay", "bad:3: say needs a text"),
        ("say a\nshout b", "bad:2: unknown command 'shout'; known: think, "),
        ("think a", "bad:1: the answer breaks off; end it with say or call"),
        ("say a\nthink b", "bad:2: the answer breaks off"),
        ("begin a", "bad:1: the answer breaks off"),
        ("delay soon\nsay a", "bad:1: delay needs a number of seconds, not 'soon'"),
        ("delay -1\nsay a", "bad:1: delay needs a number of seconds, not '-1'"),
        ("wait\nsay a", "bad:1: wait needs a number of seconds, not ''"),
        ("overflow soon", "bad:1: overflow needs a number of tokens, not 'soon'"),
        ("overflow 9", "bad:1: the answer breaks off"),
        ("drop it", "bad:1: drop takes no text, not 'it'"),
        ("call", "bad:1: call needs the name of a tool, not ''"),
        ("call {}", "bad:1: call needs the name of a tool, not '{}'"),
        ('call a {"b": }', "bad:1: the arguments are not JSON (Expecting value"),
        ("call a b", "put what is no JSON on purpose into indented lines"),
        ("again", "bad:1: there are no steps"),
        ("again\nsay a", "bad:1: nothing can follow again"),
        ('on a\n say "b"', 'bad:1: write it as on "words of the prompt":'),
        ('on "b"\n say c', "bad:1: write it as on"),
        ('on "":\n say a', "bad:1: write it as on"),
        ('on "a":\n say b\non "a":\n say c', "bad:3: there is an answer for this already"),
        ("otherwise:\n say b\notherwise:\n say c", "bad:3: there is an answer for this already"),
    ],
)
def test_a_bad_script_is_refused_with_its_line(source: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_script(source, "bad")
    assert words in str(caught.value)


def test_a_script_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"say \xff")
    for name in ("binary", "missing", "."):
        with pytest.raises(ConfigError, match="cannot read the script"):
            read_script(tmp_path / name)


# ---------------------------------------------------------------- the engine


async def test_a_step_comes_token_by_token_as_harmony() -> None:
    engine = ScriptedEngine.of([Think("hm"), Preamble("I look."), Invoke("read_file", '{"a": 1}')])
    assert await played(engine, prompt("hi")) == (
        "<|channel|>analysis<|message|>hm<|end|>"
        "<|start|>assistant<|channel|>commentary<|message|>I look.<|end|>"
        "<|start|>assistant<|channel|>commentary to=functions.read_file <|constrain|>json"
        '<|message|>{"a": 1}<|call|>',
        [StepEnded("stop", Timings(prompt_tokens=len(prompt("hi")), predicted_tokens=36))],
    )


async def test_control_tokens_in_a_text_stay_text() -> None:
    text, _ = await played(ScriptedEngine.of([Say("<|call|>")]), prompt("hi"))
    assert text == "<|channel|>final<|message|><|call|><|return|>"
    engine = ScriptedEngine.of([Say("<|call|>")])
    async with engine.stream(prompt("hi"), Sampling()) as events:
        ids = [event.ids for event in [e async for e in events] if isinstance(event, Tokens)]
    assert (200_012,) not in ids


async def test_python_is_called_on_the_analysis_channel() -> None:
    text, _ = await played(ScriptedEngine.of([Invoke("python", "1+1")]), prompt("hi"))
    assert text == "<|channel|>analysis to=python code<|message|>1+1<|call|>"


async def test_the_prompt_tells_which_step_is_due() -> None:
    steps = ([Invoke("a", "{}")], [Invoke("b", "{}")], [Say("c")])
    engine = ScriptedEngine([Answer(steps, "go"), Answer([[Say("other")]])])
    said = [
        (await played(engine, ids))[0].removesuffix("<|return|>").rpartition("<|message|>")[2]
        for ids in (
            prompt("go", CALLED, CALLED),
            prompt("else"),
            prompt("go", CALLED, CALLED, ANSWERED, "<|start|>user<|message|>no<|end|>"),
            prompt("please go"),
            prompt("else", CALLED, ANSWERED, "<|start|>user<|message|>go<|end|>", CALLED, CALLED),
        )
    ]
    assert said == ["c", "other", "other", "{}<|call|>", "c"]


async def test_again_begins_anew() -> None:
    engine = ScriptedEngine.of([Say("a")], [Say("b")], again=True)
    texts = [(await played(engine, prompt("x", *[CALLED] * n)))[0] for n in range(4)]
    assert [text.removesuffix("<|return|>")[-1] for text in texts] == ["a", "b", "a", "b"]


async def test_what_the_script_does_not_say_is_an_error() -> None:
    with pytest.raises(EngineFailed, match="no answer to 'hello'"):
        await played(ScriptedEngine([Answer([[Say("a")]], "bye")]), prompt("hello"))
    with pytest.raises(EngineFailed, match="has no step 2"):
        await played(ScriptedEngine.of([Say("a")]), prompt("hello", CALLED))


async def test_a_limit_in_the_script_or_the_request_ends_the_step() -> None:
    text, events = await played(ScriptedEngine.of([Begin("half"), Limit()]), prompt("x"))
    assert text == "<|channel|>final<|message|>half"
    assert events == [StepEnded("limit", Timings(0, len(prompt("x")), 0.0, 4, 0.0))]
    text, events = await played(ScriptedEngine.of([Say("x")]), prompt("x"), Sampling(max_tokens=2))
    assert text == "<|channel|>final"
    assert events == [StepEnded("limit", Timings(0, len(prompt("x")), 0.0, 2, 0.0))]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ([Begin("half"), Drop()], StreamDropped),
        ([Begin("half"), Fail("boom")], EngineFailed),
        ([Begin("half"), Overflow()], ContextOverflow),
    ],
)
async def test_an_error_comes_after_what_was_said(step: Step, error: type[Exception]) -> None:
    tokens: list[int] = []
    async with ScriptedEngine.of(step).stream(prompt("x"), Sampling()) as events:
        with pytest.raises(error):
            async for event in events:
                assert isinstance(event, Tokens)
                tokens += event.ids
    assert load_vocabulary().decode(tokens) == "<|channel|>final<|message|>half"


async def test_an_overflow_has_the_numbers_of_a_context_that_is_full() -> None:
    size = len(prompt("x"))
    for overflow, numbers in ((Overflow(), (size + 5, size + 4)), (Overflow(3), (size + 5, 3))):
        with pytest.raises(ContextOverflow) as caught:
            await played(ScriptedEngine.of([Begin("half"), overflow, Say("a")]), prompt("x"))
        assert (caught.value.prompt_tokens, caught.value.context_size) == numbers


async def test_a_prompt_that_fits_gets_what_follows_the_overflow() -> None:
    engine = ScriptedEngine.of([Begin("half"), Overflow(len(prompt("x"))), Say("whole")])
    text, _ = await played(engine, prompt("x"))
    assert text == "<|channel|>final<|message|>whole<|return|>"
    with pytest.raises(ContextOverflow):
        await played(engine, prompt("x and more"))


async def test_a_prompt_larger_than_the_context_overflows() -> None:
    engine = ScriptedEngine([Answer([[Say("a")]])], context=10)
    with pytest.raises(ContextOverflow):
        await played(engine, prompt("a long prompt"))


async def test_loading_is_said() -> None:
    _, events = await played(ScriptedEngine.of([Load(0.0), Say("a")]), prompt("x"))
    assert events[0] == EngineLoading("the engine is loading its model")


async def test_a_delay_can_be_cancelled_and_two_sessions_play_at_once() -> None:
    engine = ScriptedEngine([Answer([[Delay(3600), Say("a")]], "slow"), Answer([[Say("b")]])])
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(played, engine, prompt("slow"))
            text, _ = await played(engine, prompt("quick"))
            assert text == "<|channel|>final<|message|>b<|return|>"
            group.cancel_scope.cancel()


async def test_everything_that_was_asked_is_kept() -> None:
    engine = ScriptedEngine.of([Say("a")])
    await engine.prefill([1, 2])
    await played(engine, prompt("x"), Sampling(seed=1))
    assert list(engine.prefills) == [(1, 2)]
    assert list(engine.requests) == [Request(tuple(prompt("x")), Sampling(seed=1))]


async def test_prompts_are_matched_by_the_users_words_and_not_by_the_folder() -> None:
    engine = ScriptedEngine([Answer([[Say("slow")]], pattern="slow"), Answer([[Say("other")]])])
    noted = environment_note("/home/me/slow-tests", system="Linux") + "hello"
    assert (await played(engine, prompt(noted)))[0].endswith("other<|return|>")
