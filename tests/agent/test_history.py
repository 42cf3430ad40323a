"""The conversation stays well formed, whatever happened to a turn."""

from __future__ import annotations

from acp_agent.agent.history import History
from acp_agent.conversation import Call, Message, ModelStep, ToolMessage, UserMessage

FIRST = Call("1", "functions.shell", "{}")
SECOND = Call("2", "functions.read_file", "{}", "analysis")
STOPPED = "This call was stopped before it finished."


def test_calls_of_a_stopped_turn_are_answered_in_order() -> None:
    history = History()
    step = ModelStep((), (FIRST, SECOND))
    history.add_step(step)
    history.answer(FIRST, "done")
    history.close_open_calls()
    assert list(history.entries) == [
        step,
        ToolMessage("functions.shell", "done"),
        ToolMessage("functions.read_file", STOPPED, "analysis"),
    ]


def test_closing_twice_answers_once() -> None:
    history = History()
    history.add_step(ModelStep((), (FIRST,)))
    history.close_open_calls()
    history.close_open_calls()
    assert len(history.entries) == 2


def test_a_new_prompt_closes_what_the_former_left_open() -> None:
    history = History()
    history.add_step(ModelStep((), (FIRST,)))
    history.add_user(UserMessage("go on"))
    assert [type(entry).__name__ for entry in history.entries] == [
        "ModelStep",
        "ToolMessage",
        "UserMessage",
    ]


def test_an_older_step_is_not_answered_again() -> None:
    history = History()
    history.add_step(ModelStep((), (FIRST,)))
    history.answer(FIRST, "done")
    history.add_user(UserMessage("and now?"))
    assert history.open_calls() == ()


def test_a_step_that_generated_nothing_leaves_no_trace() -> None:
    history = History()
    history.add_step(ModelStep(()))
    assert list(history.entries) == []


def test_a_cut_message_is_kept() -> None:
    history = History()
    step = ModelStep((Message("final", "half of", complete=False),), tokens=(1, 2))
    history.add_step(step)
    assert list(history.entries) == [step]
