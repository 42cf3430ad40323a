"""What a small model sees: well formed and in its window, whatever was said."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from acp_agent.agent.window import LEFT_OUT, ahead, estimated_tokens, fitted, seen, size
from acp_agent.conversation import (
    Attachment,
    Call,
    Entry,
    Message,
    ModelStep,
    ToolMessage,
    UserMessage,
)

USERS = st.builds(
    UserMessage,
    st.text(max_size=60),
    st.lists(st.builds(Attachment, st.just("file:///a"), st.text(max_size=60)), max_size=2).map(
        tuple
    ),
    st.just("[workspace /w]\n\n"),
)
MESSAGES = st.builds(
    Message,
    st.sampled_from(["analysis", "commentary", "final"]),
    st.text(max_size=60),
    st.sampled_from([None, "functions.shell"]),
)
STEPS = st.builds(ModelStep, st.lists(MESSAGES, max_size=3).map(tuple))
TOOLS = st.builds(ToolMessage, st.just("functions.shell"), st.text(max_size=60))
ENTRIES = st.lists(st.one_of(USERS, STEPS, TOOLS), max_size=8)


@given(ENTRIES, USERS)
def test_user_and_answers_alternate_and_the_newest_message_comes_last(
    entries: list[Entry], newest: UserMessage
) -> None:
    said = seen([*entries, newest])
    kinds = [type(entry) for entry in said]
    assert kinds == [UserMessage, ModelStep] * (len(said) // 2) + [UserMessage]
    last = said[-1]
    assert isinstance(last, UserMessage)
    assert last.words.endswith(newest.words)
    assert last.attachments[len(last.attachments) - len(newest.attachments) :] == newest.attachments


@given(ENTRIES, USERS, st.integers(min_value=24, max_value=200))
def test_what_is_fitted_fits_and_alternates_too(
    entries: list[Entry], newest: UserMessage, room: int
) -> None:
    kept = fitted([*entries, newest], room)
    assert [type(entry) for entry in kept] == (
        [UserMessage, ModelStep] * (len(kept) // 2) + [UserMessage]
    )
    assert sum(map(size, kept)) <= room + size(UserMessage(LEFT_OUT))


@given(ENTRIES, USERS, st.integers(min_value=24, max_value=200))
def test_what_is_read_ahead_of_an_answer_is_what_stands_before_a_short_message(
    entries: list[Entry], newest: UserMessage, room: int
) -> None:
    entries = [UserMessage("hi"), *entries, ModelStep((Message("final", "yes"),))]
    before = ahead(entries, room)
    assert [type(entry) for entry in before] == [UserMessage, ModelStep] * (len(before) // 2)
    assert sum(map(size, before)) <= room
    kept = fitted([*entries, newest], room)[:-1]
    assert kept == before[len(before) - len(kept) :]


def test_what_a_full_window_begins_with_stays_for_many_turns() -> None:
    firsts: list[Entry] = []
    entries: list[Entry] = []
    for number in range(40):
        entries += [UserMessage(f"{number}"), ModelStep((Message("final", "word " * 20),))]
        kept = fitted([*entries, UserMessage("next")], 1000)
        assert number < 10 or sum(map(size, kept)) > 500
        firsts.append(kept[0])
    changes = sum(1 for before, after in pairwise(firsts) if before != after)
    assert 2 < changes < 10


def test_only_what_the_user_saw_as_an_answer_is_kept() -> None:
    step = ModelStep(
        (
            Message("analysis", "hm"),
            Message("commentary", "I look."),
            Message("commentary", "{}", "functions.shell"),
        ),
        (Call("1", "functions.shell", "{}"),),
    )
    answer = ModelStep((Message("analysis", "so"), Message("final", "All is well.")))
    asked = UserMessage("how is it?", note="[workspace /w]\n\n")
    again = UserMessage("and now?")
    assert seen([asked, step, ToolMessage("functions.shell", "ok"), answer, again]) == [
        UserMessage("how is it?"),
        ModelStep((Message("final", "All is well."),)),
        again,
    ]


def test_a_prompt_that_was_never_answered_joins_the_next_with_what_was_attached() -> None:
    attached = (Attachment("file:///a", "text"),)
    first, second = UserMessage("one", attached), UserMessage("two")
    assert seen([first, second]) == [UserMessage("one\n\ntwo", attached)]


def test_a_message_larger_than_the_window_keeps_its_beginning_and_its_end() -> None:
    message = UserMessage("Summarise this", (Attachment("file:///a", "word " * 2000 + "the end"),))
    [cut] = fitted([message], 200)
    assert isinstance(cut, UserMessage)
    assert cut.text.startswith("Summarise this\n")
    assert LEFT_OUT in cut.text
    assert cut.text.endswith("the end\n</resource>")


def test_tokens_are_rather_counted_too_many() -> None:
    assert estimated_tokens("a short sentence in English") == 9
    assert estimated_tokens("这是一个句子") == 12
