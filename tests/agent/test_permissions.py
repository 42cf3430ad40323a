"""Who may do what, and whether the user is asked."""

from __future__ import annotations

import pytest

from acp_agent.agent.permissions import Permissions, Verdict
from acp_agent.events import ToolCallUpdated, ToolKind
from acp_agent.tools.base import Permission
from tests.agent.conftest import AnsweringEditor

pytestmark = pytest.mark.anyio

SHOWN = ToolCallUpdated("call")


async def decide(
    permissions: Permissions,
    scope: str,
    *,
    approvals: str = "ask",
    tool: str = "shell",
    kind: ToolKind = "execute",
) -> Verdict:
    return await permissions.decide(Permission(tool, scope), SHOWN, approvals, kind)


async def test_the_question_has_four_distinct_answers() -> None:
    editor = AnsweringEditor("allow_once")
    assert await decide(Permissions(editor), "git status") == "allowed"
    assert editor.questions == [
        [
            "Allow",
            "Always allow git status in this session",
            "Reject",
            "Always reject git status in this session",
        ]
    ]


async def test_allowing_once_asks_again() -> None:
    editor = AnsweringEditor("allow_once", "reject_once")
    permissions = Permissions(editor)
    assert await decide(permissions, "ls") == "allowed"
    assert await decide(permissions, "ls") == "rejected"


@pytest.mark.parametrize(
    ("answer", "verdict"), [("allow_always", "allowed"), ("reject_always", "rejected")]
)
async def test_an_always_answer_holds_for_its_tool_and_scope_only(
    answer: str, verdict: Verdict
) -> None:
    editor = AnsweringEditor(answer, None, None)
    permissions = Permissions(editor)
    assert await decide(permissions, "git status") == verdict
    assert await decide(permissions, "git status") == verdict
    assert await decide(permissions, "git push") == "cancelled"
    assert await decide(permissions, "git status", tool="other") == "cancelled"


async def test_a_cancelled_question_is_no_rejection() -> None:
    assert await decide(Permissions(AnsweringEditor(None)), "ls") == "cancelled"


async def test_an_answer_that_was_not_offered_is_a_rejection() -> None:
    assert await decide(Permissions(AnsweringEditor("yes please")), "ls") == "rejected"


async def test_read_only_forbids_without_asking() -> None:
    assert await decide(Permissions(AnsweringEditor()), "ls", approvals="read-only") == "forbidden"


async def test_full_allows_without_asking() -> None:
    assert await decide(Permissions(AnsweringEditor()), "rm -rf x", approvals="full") == "allowed"


async def test_auto_edit_allows_edits_and_asks_for_commands() -> None:
    editor = AnsweringEditor("reject_once")
    permissions = Permissions(editor)
    edited = await decide(permissions, "/w", approvals="auto-edit", tool="apply_patch", kind="edit")
    ran = await decide(permissions, "ls", approvals="auto-edit")
    assert (edited, ran) == ("allowed", "rejected")


async def test_a_scope_too_long_for_a_button_is_not_put_on_it() -> None:
    editor = AnsweringEditor("allow_once")
    await decide(Permissions(editor), "cat <<'EOF'\n" + "x" * 10_000 + "\nEOF")
    assert editor.questions[0][1] == "Always allow exactly this in this session"


async def test_a_scope_that_would_look_like_another_is_not_put_on_a_button() -> None:
    editor = AnsweringEditor("allow_once")
    await decide(Permissions(editor), "ls \u202egpj.sh")
    assert editor.questions[0][1] == "Always allow exactly this in this session"


@pytest.mark.parametrize(("reads", "verdict"), [(True, "allowed"), (False, "forbidden")])
async def test_a_read_only_session_asks_about_what_only_reads(
    reads: bool, verdict: Verdict
) -> None:
    editor = AnsweringEditor("allow_always")
    permissions = Permissions(editor)
    for _ in range(2):
        permission = Permission("mcp", "s__t", reads=reads)
        assert await permissions.decide(permission, SHOWN, "read-only", "read") == verdict
    assert len(editor.questions) == int(reads)


async def test_what_only_reads_is_asked_about_all_the_same() -> None:
    editor = AnsweringEditor("reject_once")
    permission = Permission("mcp", "s__t", reads=True)
    assert await Permissions(editor).decide(permission, SHOWN, "ask", "read") == "rejected"
