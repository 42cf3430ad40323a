from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from acp_agent.errors import ToolFailed
from acp_agent.events import PlanEntry, PlanUpdated
from acp_agent.tools.apply_patch import ApplyPatchArguments
from acp_agent.tools.call_arguments import parse_arguments
from acp_agent.tools.names import resolve
from acp_agent.tools.read_file import ReadFileArguments
from acp_agent.tools.search_files import SearchFilesArguments
from acp_agent.tools.shell import ShellArguments
from acp_agent.tools.toolbox import tool_schemas, tool_specs
from acp_agent.tools.update_plan import UpdatePlanArguments
from acp_agent.tools.write_file import WriteFileArguments

if TYPE_CHECKING:
    from tests.tools.conftest import Bench

NAMES = (
    "read_file",
    "list_files",
    "search_files",
    "apply_patch",
    "write_file",
    "shell",
    "update_plan",
)


@pytest.mark.parametrize(
    ("recipient", "name"),
    [
        ("functions.read_file", "read_file"),
        ("read_file", "read_file"),
        ("functions.read_file<|channel|>commentary", "read_file"),
        ("read_file<|constrain|>json", "read_file"),
        ("repo_browser.open_file", "read_file"),
        ("repo_browser.print_tree", "list_files"),
        ("repo_browser.search", "search_files"),
        ("container.exec", "shell"),
        ("functions.apply-patch", "apply_patch"),
        (" Functions.Shell ", "shell"),
        ("bash", "shell"),
        ("functions/update_plan", "update_plan"),
    ],
)
def test_a_slip_in_the_name_still_finds_the_tool(recipient: str, name: str) -> None:
    assert resolve(recipient, NAMES) == name


@pytest.mark.parametrize(
    ("recipient", "name"),
    [
        ("browser.search", "browser.search"),
        ("functions.browser.open", "browser.open"),
        ("browser_find<|channel|>analysis", "browser.find"),
        ("search", "search_files"),
        ("repo_browser.search", "search_files"),
        ("functions.search", "search_files"),
    ],
)
def test_a_function_of_the_browser_and_a_tool_of_ours_are_told_apart(
    recipient: str, name: str
) -> None:
    assert resolve(recipient, (*NAMES, "browser.search", "browser.open", "browser.find")) == name


@pytest.mark.parametrize("recipient", ["browser.search", "browser_search"])
def test_a_search_of_the_web_is_never_one_of_files(recipient: str) -> None:
    with pytest.raises(ToolFailed, match="unknown tool"):
        resolve(recipient, NAMES)


@pytest.mark.parametrize("recipient", ["", "functions.", "python", "browser.open_url", "x" * 500])
def test_an_unknown_tool_is_told_with_those_on_offer(recipient: str) -> None:
    with pytest.raises(ToolFailed) as failure:
        resolve(recipient, NAMES)
    assert str(failure.value) == (
        f"unknown tool {recipient[:80]!r}; tools on offer: functions.read_file,"
        " functions.list_files, functions.search_files, functions.apply_patch,"
        " functions.write_file, functions.shell, functions.update_plan"
    )


def test_an_alias_of_a_tool_that_is_not_on_offer_is_unknown() -> None:
    with pytest.raises(ToolFailed, match=r"offer: functions\.read_file$"):
        resolve("bash", ["read_file"])


PATCH = "*** Begin Patch\n*** Delete File: a\n*** End Patch"


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        ('{"path": "a", "start_line": "3"}', ReadFileArguments(path="a", start_line=3)),
        ('{"path": "a", "start_line": null, "x": 1}', ReadFileArguments(path="a")),
        ('```json\n{"path": "a"}\n```', ReadFileArguments(path="a")),
        ('{"path": "a"}}', ReadFileArguments(path="a")),
        ('{"file_path": "a", "start_line": 2}', ReadFileArguments(path="a", start_line=2)),
        ("src/a.py", ReadFileArguments(path="src/a.py")),
        ('{"path": "src", "query": "x"}', SearchFilesArguments(pattern="x", path="src")),
        ("ls -R", ShellArguments(command="ls -R")),
        ("true", ShellArguments(command="true")),
        ('"ls -R"', ShellArguments(command="ls -R")),
        ('["ls", "a b"]', ShellArguments(command="ls 'a b'")),
        ('{"cmd": "ls"}', ShellArguments(command="ls")),
        ('{"command": "a\nb"}', ShellArguments(command="a\nb")),
        (PATCH, ApplyPatchArguments(patch=PATCH)),
        (f"```\n{PATCH}\n```", ApplyPatchArguments(patch=PATCH)),
        (json.dumps({"input": PATCH}), ApplyPatchArguments(patch=PATCH)),
        (json.dumps(PATCH), ApplyPatchArguments(patch=PATCH)),
        ('{"path": "a", "text": "b"}', WriteFileArguments(path="a", content="b")),
        ('[{"step": "a", "status": "pending"}]', UpdatePlanArguments.model_validate(
            {"plan": [{"step": "a", "status": "pending"}]})),
    ],
)  # fmt: skip
def test_what_models_write_for_arguments_is_understood(body: str, arguments: BaseModel) -> None:
    assert parse_arguments("tool", type(arguments), body) == arguments


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        (ReadFileArguments, "", "wrong arguments for tool: 'path' is missing"),
        (ReadFileArguments, '{"path": 3}', "tool: 'path' should be a valid string"),
        (ReadFileArguments, '{"path": "a"', "the arguments of tool are not valid JSON: "),
        (ReadFileArguments, "[1]", "tool: 'path' should be a valid string"),
        (WriteFileArguments, "text", "the arguments of tool are not valid JSON: "),
        (WriteFileArguments, "[]", "the arguments of tool must be a JSON object"),
        (WriteFileArguments, "{}", "'path' is missing; 'content' is missing"),
        (ReadFileArguments, '{"path":"a","start_line":0}', "'start_line' should be greater than"),
        (ShellArguments, '{"command": []}', "'command' should be a valid string"),
        (UpdatePlanArguments, '{"plan":[{"step":"a","status":"x"}]}',
         "'plan.0.status' should be 'pending', 'in_progress' or 'completed'"),
        (UpdatePlanArguments, json.dumps({"plan": [{}] * 9}), "; and 14 more"),
        (ReadFileArguments, "{" * 5000, "not valid JSON"),
        (WriteFileArguments, "[" * 100_000, "not valid JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_arguments_is_told_in_one_line(
    model: type[BaseModel], body: str, words: str
) -> None:
    with pytest.raises(ToolFailed) as failure:
        parse_arguments("tool", model, body)
    assert words in str(failure.value)
    assert "\n" not in str(failure.value)
    assert "pydantic" not in str(failure.value)


@given(
    st.sampled_from([ReadFileArguments, WriteFileArguments, ShellArguments, UpdatePlanArguments]),
    st.text() | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(
            st.sampled_from(["path", "content", "plan", "command", "cmd", "step", "x"]), inner
        ),
    ).map(json.dumps),
)  # fmt: skip
def test_any_body_gives_arguments_or_tool_failed(model: type[BaseModel], body: str) -> None:
    try:
        assert isinstance(parse_arguments("tool", model, body), model)
    except ToolFailed as failure:
        assert "tool" in str(failure)


@pytest.mark.anyio
async def test_a_plan_is_told_and_needs_no_permission(bench: Bench) -> None:
    plan = [{"step": "look", "status": "completed"}, {"step": "act", "status": "in_progress"}]
    prepared = await bench.prepare("update_plan", plan=plan, explanation="ignored")
    assert (prepared.title, prepared.kind, prepared.permission) == (
        "Update plan (1/2)",
        "think",
        None,
    )
    assert bench.events == []
    result = await prepared.run(bench.emit)
    assert result.text == "Plan updated"
    assert bench.events == [
        PlanUpdated((PlanEntry("look", "completed"), PlanEntry("act", "in_progress")))
    ]


def test_the_box_offers_every_tool_in_the_order_of_the_prompt(bench: Bench) -> None:
    assert tuple(spec.name for spec in bench.tools.specs) == NAMES
    assert bench.tools.specs == tool_specs()


def test_schemas_are_small() -> None:
    assert tool_schemas()["read_file"] == {
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "start_line": {"type": "integer", "minimum": 1},
            "end_line": {"type": "integer", "minimum": 1},
        },
        "required": ["path"],
    }
    assert tool_schemas()["update_plan"]["properties"]["plan"] == {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "step": {"type": "string"},
                "status": {"type": "string", "enum": ["pending", "in_progress", "completed"]},
            },
            "required": ["step", "status"],
        },
    }
    assert not {"title", "default", "$ref"} & set(json.dumps(tool_schemas()).split('"'))


def test_every_tool_has_its_words() -> None:
    assert all(0 < len(spec.description) < 700 for spec in tool_specs())
