"""Who may do what: the policy of a session, the answers it remembers, and the question itself."""

from __future__ import annotations

import logging
from typing import Literal

from acp_agent.events import ToolCallUpdated, ToolKind
from acp_agent.ports import Editor, PermissionOption
from acp_agent.tools.base import Permission

logger = logging.getLogger(__name__)

Verdict = Literal["allowed", "rejected", "forbidden", "cancelled"]
LONGEST_LABEL = 80
EDITS: frozenset[ToolKind] = frozenset({"edit", "delete", "move"})


class Permissions:
    """The permission policy of one session.

    Approvals: `ask` asks for everything that needs permission, `auto-edit` allows edits, `full`
    allows all but what goes beyond the sandbox, `read-only` forbids all but what only reads (the
    web); for these it asks. "Always" answers hold for the session, by tool and scope, in the
    sandbox and beyond it apart.
    """

    def __init__(self, editor: Editor) -> None:
        self._editor = editor
        self._remembered: dict[Permission, Verdict] = {}

    async def decide(
        self, permission: Permission, call: ToolCallUpdated, approvals: str, kind: ToolKind
    ) -> Verdict:
        """Return whether the call may run, asking the user when the policy leaves it open."""
        verdict = self._by_policy(permission, approvals, kind)
        source = f"approvals {approvals!r}"
        if verdict is None:
            verdict, source = (
                self._remembered.get(permission),
                "remembered",
            )
        if verdict is None:
            verdict, source = await self._ask(permission, call), "user"
        logger.info("permission %s: %s (%s)", permission.tool, verdict, source)
        return verdict

    def _by_policy(self, permission: Permission, approvals: str, kind: ToolKind) -> Verdict | None:
        match approvals:
            case "full" if not permission.beyond:
                return "allowed"
            case "read-only" if not permission.reads:
                return "forbidden"
            case "auto-edit" if kind in EDITS:
                return "allowed"
            case _:
                return None

    async def _ask(self, permission: Permission, call: ToolCallUpdated) -> Verdict:
        chosen = await self._editor.request_permission(call, options(permission))
        verdicts: dict[str | None, Verdict] = {
            "allow_once": "allowed",
            "allow_always": "allowed",
            None: "cancelled",
        }
        verdict = verdicts.get(chosen, "rejected")
        if chosen in ("allow_always", "reject_always"):
            self._remembered[permission] = verdict
        return verdict


def options(permission: Permission) -> tuple[PermissionOption, ...]:
    """Return the four answers; each kind once, since editors tell them apart by kind."""
    scope = permission.scope
    if len(scope) > LONGEST_LABEL or not scope.isprintable():
        scope = "exactly this"
    elif scope.startswith("/"):
        scope = f"changes in {scope}"
    if permission.beyond:
        scope += " outside the sandbox"
    return (
        PermissionOption("allow_once", "Allow", "allow_once"),
        PermissionOption("allow_always", f"Always allow {scope} in this session", "allow_always"),
        PermissionOption("reject_once", "Reject", "reject_once"),
        PermissionOption(
            "reject_always", f"Always reject {scope} in this session", "reject_always"
        ),
    )
