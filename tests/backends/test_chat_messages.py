"""Conversations as chat messages, and as the input of the Responses API."""

from __future__ import annotations

from typing import Any

from acp_agent.backends.chat_messages import chat_messages, chat_tools
from acp_agent.backends.profiles import FM_SERVE, FOUNDATION_BRIDGE, OPENAI
from acp_agent.backends.responses_wire import responses_body
from acp_agent.conversation import (
    Call,
    Message,
    ModelRequest,
    ModelStep,
    ToolMessage,
    ToolSpec,
    UserMessage,
)

SHELL = ToolSpec("shell", "Run a command.", {"type": "object"})
CALL = Call("call_1", "functions.shell", '{"command":"ls"}')
STEP = ModelStep(
    (
        Message("analysis", "Look first."),
        Message("commentary", "I look."),
        Message("commentary", CALL.arguments, CALL.recipient),
    ),
    (CALL,),
)
RESULT = ToolMessage(CALL.recipient, "a.py")
ANSWER = ModelStep((Message("analysis", "Seen."), Message("final", "One file.")))
TURN = (UserMessage("list"), STEP, RESULT)


def request(*entries: Any) -> ModelRequest:
    return ModelRequest(entries, "Be brief.", (SHELL,))


def test_a_running_turn_keeps_its_reasoning_and_its_calls() -> None:
    assert chat_messages(request(*TURN), OPENAI) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "list"},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "Look first.",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "shell", "arguments": '{"command":"ls"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "a.py"},
    ]


def test_a_finished_turn_leaves_its_reasoning_behind() -> None:
    messages = chat_messages(request(*TURN, ANSWER, UserMessage("thanks")), OPENAI)
    assert not [message for message in messages if "reasoning_content" in message]
    assert messages[-2:] == [
        {"role": "assistant", "content": "One file."},
        {"role": "user", "content": "thanks"},
    ]


def test_without_tools_only_what_the_user_saw_is_said_again() -> None:
    messages = chat_messages(request(*TURN, ANSWER, UserMessage("thanks")), FM_SERVE)
    assert messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "list"},
        {"role": "assistant", "content": "I look.\n\nOne file."},
        {"role": "user", "content": "thanks"},
    ]


def test_prompted_tools_make_calls_and_results_text() -> None:
    system, *messages = chat_messages(request(*TURN), FOUNDATION_BRIDGE)
    assert system["content"].startswith("Be brief.\n\nYou can use tools.")
    assert messages == [
        {"role": "user", "content": "list"},
        {
            "role": "assistant",
            "content": 'I look.\n<tool_call>{"tool": "shell", "parameters": {"command": "ls"}}'
            "</tool_call>",
        },
        {
            "role": "user",
            "content": "Tool result of shell:\n<tool_result>\na.py\n</tool_result>",
        },
    ]


def test_a_call_without_an_answer_gets_one() -> None:
    messages = chat_messages(request(UserMessage("list"), STEP, UserMessage("well?")), OPENAI)
    assert messages[-2:] == [
        {"role": "tool", "tool_call_id": "call_1", "content": "This call has no answer."},
        {"role": "user", "content": "well?"},
    ]


def test_a_remark_on_a_call_that_was_cut_is_the_users() -> None:
    cut = ModelStep((Message("commentary", '{"comm', "functions.shell", complete=False),))
    remark = ToolMessage("functions.shell", "This call did not run.")
    messages = chat_messages(request(UserMessage("list"), cut, remark), OPENAI)
    assert messages[1:] == [
        {"role": "user", "content": "list"},
        {
            "role": "user",
            "content": "Tool result of functions.shell:\n<tool_result>\nThis call did not run.\n"
            "</tool_result>",
        },
    ]


def test_arguments_that_are_no_object_become_one() -> None:
    call = Call("call_2", "python", "print(1)")
    messages = chat_messages(request(UserMessage("go"), ModelStep((), (call,))), OPENAI)
    assert messages[2]["tool_calls"][0]["function"] == {
        "name": "python",
        "arguments": '{"input": "print(1)"}',
    }


def test_a_tool_without_a_description_has_its_name_for_one_as_macos_insists() -> None:
    [tool] = chat_tools([ToolSpec("browser.search", "", {"type": "object"})])
    assert tool["function"]["description"] == "browser.search"


def test_a_cut_answer_is_said_again_as_far_as_it_came() -> None:
    cut = ModelStep((Message("final", "One fi", complete=False),))
    messages = chat_messages(request(UserMessage("list"), cut, UserMessage("on")), OPENAI)
    assert messages[2] == {"role": "assistant", "content": "One fi"}


def test_the_input_of_the_responses_api() -> None:
    body = responses_body(request(*TURN, ANSWER, UserMessage("again"), STEP, RESULT), "m")
    call = {
        "type": "function_call",
        "call_id": "call_1",
        "name": "shell",
        "arguments": '{"command":"ls"}',
        "status": "completed",
    }
    output = {"type": "function_call_output", "call_id": "call_1", "output": "a.py"}

    def said(text: str) -> dict[str, Any]:
        content: list[Any] = [{"type": "output_text", "text": text, "annotations": []}]
        return {
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": content,
        }

    assert body == {
        "model": "m",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": "list"},
            said("I look."),
            call,
            output,
            said("One file."),
            {"role": "user", "content": "again"},
            {
                "type": "reasoning",
                "id": "rs_call_1",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "Look first."}],
                "encrypted_content": "",
                "status": "completed",
            },
            said("I look."),
            call,
            output,
        ],
        "stream": True,
        "store": False,
        "reasoning": {"effort": "medium"},
        "tools": [
            {
                "type": "function",
                "name": "shell",
                "description": "Run a command.",
                "parameters": {"type": "object"},
            }
        ],
    }
