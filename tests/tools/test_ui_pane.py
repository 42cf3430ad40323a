"""The panes of a client: what is sent, and what its answers mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from acp_agent.errors import ToolFailed
from acp_agent.events import Event
from acp_agent.tools.base import Prepared
from acp_agent.tools.call_arguments import parse_arguments
from acp_agent.tools.ui_pane import NEEDS, UiPane, UiPaneArguments
from tests.tools.conftest import ScriptedEditor

pytestmark = pytest.mark.anyio

ALL: dict[str, Any] = {
    "id": "p",
    "title": "Pane",
    "position": {"x": 100.0, "y": 100.0},
    "size": {"width": 400.0, "height": 300.0},
    "priority": "Urgent",
    "state": "Minimized",
    "style": "Kranox",
    "animation": {"Pulse": {"count": 3, "duration_ms": 500}},
}


async def emit(event: Event) -> None:
    raise AssertionError(event)


async def prepare(answer: object = None, **arguments: object) -> tuple[Prepared, list[Any]]:
    sent: list[Any] = []

    def panes(params: dict[str, object]) -> object:
        sent.append(params)
        return answer

    tool = UiPane(ScriptedEditor(panes=panes))
    asked = parse_arguments("ui_pane", UiPaneArguments, json.dumps(arguments))
    return await tool.prepare("c", asked), sent


@pytest.mark.parametrize("action", NEEDS)
async def test_each_action_is_sent_with_what_it_needs(action: str) -> None:
    given = {name: ALL[name] for name in NEEDS[action]}
    prepared, sent = await prepare({"success": True, "output": "Done."}, action=action, **given)
    assert sent == []
    assert prepared.permission is None
    assert prepared.title == (action if action == "ListPanes" else f"{action} p")
    assert (await prepared.run(emit)).text == "Done."
    assert sent == [{"action": action, **given}]


@pytest.mark.parametrize("action", [action for action, needs in NEEDS.items() if needs])
async def test_an_action_that_lacks_something_says_what(action: str) -> None:
    with pytest.raises(ToolFailed) as failure:
        await prepare(action=action)
    named = " and ".join(map(repr, NEEDS[action]))
    assert str(failure.value) == f"wrong arguments for ui_pane: {action} needs {named}"


async def test_a_slip_in_the_action_is_understood() -> None:
    _, sent = await prepare(action="list_panes")
    assert sent == []
    with pytest.raises(ToolFailed, match="'action' should be 'ListPanes'"):
        await prepare(action="Explode")


@pytest.mark.parametrize(
    "arguments",
    [
        {"action": "ResizePane", "id": "p", "size": {"width": 0, "height": 3}},
        {"action": "SetState", "id": "p", "state": "Broken"},
        {"action": "MovePane", "id": "p", "position": {"x": 1}},
        {"action": "MovePane", "id": "p", "position": {"x": float("nan"), "y": 1}},
        {"action": "ResizePane", "id": "p", "size": {"width": float("inf"), "height": 3}},
        {"action": "Focus", "id": 5},
        {},
    ],
)
async def test_wrong_values_are_refused_before_anything_is_sent(arguments: Any) -> None:
    with pytest.raises(ToolFailed, match="wrong arguments for ui_pane"):
        await prepare(**arguments)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"success": True, "output": "Moved.", "error": None}, "Moved."),
        ("Moved\x1b[31m.", "Moved."),
        (None, "Focus done"),
        ({}, "Focus done"),
        ({"success": True}, "Focus done"),
        ([{"id": "a"}], '[\n {\n  "id": "a"\n }\n]'),
        ({"output": [1]}, "[\n 1\n]"),
        (True, "true"),
    ],
)
async def test_answers_of_clients_are_read(answer: object, text: str) -> None:
    prepared, _ = await prepare(answer, action="Focus", id="p")
    assert (await prepared.run(emit)).text == text


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"success": False, "error": "Pane 'p' not found"}, "Focus failed: Pane 'p' not found"),
        ({"success": False}, "Focus failed: the editor gave no reason"),
        ({"error": "no"}, "Focus failed: no"),
    ],
)
async def test_a_failure_of_the_client_is_the_tools(answer: object, words: str) -> None:
    prepared, _ = await prepare(answer, action="Focus", id="p")
    with pytest.raises(ToolFailed, match=words):
        await prepared.run(emit)


def test_the_model_is_told_little() -> None:
    spec = UiPane(ScriptedEditor()).spec
    assert spec.description == (
        "Manipulate UI panes - move, resize, animate, focus, and control visibility"
    )
    assert spec.parameters["required"] == ["action"]
    assert "content_type" in str(spec.parameters)
