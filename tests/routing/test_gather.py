"""Facts: what is read out of a prompt, its resources and the session."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acp_agent.routing.decide import decide
from acp_agent.routing.facts import Facts, Resource, SessionFacts
from acp_agent.routing.gather import gather
from acp_agent.routing.load import default_rubric

RUBRIC = default_rubric()


def facts(prompt: str, *resources: Resource, session: SessionFacts | None = None) -> Facts:
    return gather(
        prompt,
        resources,
        rubric=RUBRIC,
        count_tokens=lambda text: len(text.split()),
        session=session or SessionFacts(),
    )


def test_facts_of_a_prompt_that_names_a_file() -> None:
    assert facts("Refactor src/app.py, please") == Facts(
        prompt_tokens=3,
        tool_calls=3,
        files=1,
        code=True,
        answer_tokens=300,
        fm_room=3197,
        signals=("change",),
    )


def test_the_session_is_among_the_facts() -> None:
    session = SessionFacts(
        fm_available=False,
        gptoss_available=False,
        fm_window=8192,
        history_tokens=77,
        last_decision="delegate",
    )
    assert facts("hi", session=session) == Facts(
        prompt_tokens=1,
        history_tokens=77,
        answer_tokens=30,
        fm_window=8192,
        fm_room=8192 - 596 - 1 - 30,
        fm_available=False,
        gptoss_available=False,
        last_decision="delegate",
        signals=("small_talk",),
    )


def test_resources_count_by_tokens_by_characters_or_as_links_to_read() -> None:
    found = facts(
        "hi", Resource("a:1", tokens=40), Resource("a:2", chars=7), Resource("a:3", chars=0)
    )
    assert (found.resources, found.resource_tokens, found.tool_calls) == (3, 42, 0)
    link = facts("hi", Resource("file:///w/long.md"))
    assert (link.resources, link.resource_tokens, link.tool_calls) == (1, 0, 1)


def test_an_attached_file_need_not_be_read_again() -> None:
    assert facts("What is in main.py?").tool_calls == 0
    assert facts("Explain src/main.py").tool_calls == 1
    attached = Resource("file:///w/src/main.py", chars=100)
    assert facts("Explain src/main.py", attached).tool_calls == 0


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("an essay of 500 words", 700),
        ("an essay of 1,500 words", 2100),
        ("three short paragraphs on snow", 330),
        ("answer in one sentence", 25),
        ("in zwei Sätzen bitte", 50),
        ("en deux phrases", 50),
        ("en tres párrafos", 330),
        ("用三句话回答", 75),
        ("500文字で", 400),
        ("в двух предложениях", 50),
        ("2 pages, at most 3 pages", 1800),
        ("write 99999999999999999999 words", 1_400_000),
    ],
)
def test_the_length_asked_for_is_read_in_each_language(prompt: str, tokens: int) -> None:
    assert facts(prompt).answer_tokens == tokens


@pytest.mark.parametrize(
    ("prompt", "explicit"),
    [
        ("use gpt-oss: what is 2+2?", "gptoss"),
        ("Ask GPT-OSS about the moon", "gptoss"),
        ("Benutze gpt-oss", "gptoss"),
        ("请用gpt-oss回答", "gptoss"),
        ("gpt-oss", ""),
        ("What is gpt-oss?", ""),
        ("gpt-oss or Claude, which is older?", ""),
        ("How do I use gpt-oss in Zed?", ""),
        ('What does "use gpt-oss" mean?', ""),
        ("don't use gpt-oss", "fm"),
        ("Answer without gpt-oss", "fm"),
        ("use the small model: hi", "fm"),
    ],
)
def test_a_name_alone_is_no_request(prompt: str, explicit: str) -> None:
    assert facts(prompt).explicit == explicit


@pytest.mark.parametrize(
    ("prompt", "signals"),
    [
        ("Write a title for the function docs", ("title",)),
        ("Write a function that returns the title", ("code",)),
        ("Summarise: fix the bug in the parser", ("summary",)),
        ("Summarise it and then fix the parser", ("summary", "change")),
        ('Translate "delete the file" to German', ("translate",)),
        ("Title?\n\nRun the tests", ("title",)),
    ],
)
def test_material_is_not_mistaken_for_what_is_asked(prompt: str, signals: tuple[str, ...]) -> None:
    assert facts(prompt).signals == signals


def test_code_blocks_errors_and_steps_are_seen_in_any_language() -> None:
    found = facts("почему?\n```\nwrite a title\n```\nTypeError: x")
    assert (found.code_blocks, found.error_text, found.steps) == (1, True, 1)
    assert "title" not in found.signals
    assert facts("1. один\n2. два\n3. три").steps == 3


@pytest.mark.parametrize("name", ["Node.js", "llama.cpp", "3.5", "e.g. this", "https://a.b/c.py"])
def test_what_only_looks_like_a_file_is_none(name: str) -> None:
    assert facts(f"What about {name} here").files == 0


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_any_text_gets_a_decision_and_the_same_one_twice(text: str) -> None:
    first = decide(facts(text), RUBRIC)
    assert first == decide(facts(text), RUBRIC)
    assert first.decision in ("inline", "delegate")


@pytest.mark.parametrize(
    "piece", ["please ", "write a ", '"a ', "```", "a/", "1,", "1 ", "写一个", "- ", "\n", "use "]
)
def test_a_huge_prompt_of_one_piece_is_read_in_bounded_time(piece: str) -> None:
    start = time.process_time()
    facts(piece * 100_000)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    "run",
    [",,,,,,,,,\n" * 80, "\n" * 5000, "?!" * 2000],
    ids=["empty cells", "empty lines", "marks"],
)
def test_a_run_of_marks_takes_no_longer_than_other_text(run: str) -> None:
    facts("warm up the patterns")
    began = time.process_time()
    facts(f"Summarise this table in one sentence\n{run}")
    assert time.process_time() - began < 2  # it took minutes
