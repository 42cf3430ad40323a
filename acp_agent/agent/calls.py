"""From a call of the model to its answer: show it, check it, ask, run it, and say how it went."""

from __future__ import annotations

import logging
from collections.abc import Callable

from acp_agent.agent.history import History
from acp_agent.agent.permissions import Permissions, Verdict
from acp_agent.agent.recorder import Recorder
from acp_agent.conversation import Call
from acp_agent.errors import NotReady, ToolFailed
from acp_agent.events import Emit, Text, ToolCallStarted, ToolCallUpdated, ToolKind
from acp_agent.tools.base import Permission, Prepared, Toolbox, ToolResult

logger = logging.getLogger(__name__)

REFUSALS: dict[Verdict, str] = {
    "rejected": "The user rejected this call. Do not try it again; ask, or find another way.",
    "forbidden": "Not allowed: this session is read-only. Say what you would change instead.",
    "cancelled": "This call was stopped before it finished.",
}


class TurnCancelled(Exception):
    """The client answered a permission question with `cancelled`: the turn is over."""


class CallRunner:
    """Runs the calls of one turn; every call it shows ends as completed or failed."""

    def __init__(
        self,
        toolbox: Toolbox,
        permissions: Permissions,
        history: History,
        emit: Emit,
        approvals: Callable[[], str],
        recorder: Recorder,
    ) -> None:
        self._toolbox = toolbox
        self._permissions = permissions
        self._history = history
        self._emit = emit
        self._approvals = approvals
        self._recorder = recorder
        self._shown: dict[str, bool] = {}

    async def announce(self, call_id: str, recipient: str) -> None:
        """Show a call whose arguments are still being written."""
        name, kind = self._toolbox.announce(recipient)
        self._shown[call_id] = True
        await self._emit(ToolCallStarted(call_id, name, name, kind))

    async def run(self, call: Call) -> bool:
        """Run one call and put its answer into the history; return whether it could be run."""
        if call.call_id not in self._shown:
            await self.announce(call.call_id, call.recipient)
        try:
            prepared = await self._prepare(call)
        except ToolFailed as error:
            await self._finish(call, ToolResult(str(error), failed=True))
            return False
        except Exception:
            await self._finish(call, _broken(call))
            return False
        await self._finish(call, await self._perform(call, prepared))
        return True

    async def fail_open_calls(self) -> None:
        """Mark what was shown and never finished; the editor would wait for it for ever."""
        for call_id in [call_id for call_id, is_open in self._shown.items() if is_open]:
            self._shown[call_id] = False
            await self._emit(ToolCallUpdated(call_id, status="failed"))

    async def _prepare(self, call: Call) -> Prepared:
        while True:
            try:
                return await self._toolbox.prepare(call.call_id, call.recipient, call.arguments)
            except NotReady as missing:
                told = (Text(str(missing)),)
                await self._emit(ToolCallUpdated(call.call_id, content=told))
                await missing.get()

    async def _perform(self, call: Call, prepared: Prepared) -> ToolResult:
        shown = ToolCallUpdated(
            call.call_id,
            title=prepared.title,
            kind=prepared.kind,
            status="pending",
            content=prepared.content or None,
            locations=prepared.locations or None,
            raw_input=prepared.raw_input,
        )
        await self._emit(shown)
        if prepared.permission is not None:
            try:
                verdict = await self._decide(prepared.permission, shown, prepared.kind)
            except ToolFailed as error:
                return ToolResult(str(error), failed=True)
            if verdict == "cancelled":
                raise TurnCancelled
            if verdict != "allowed":
                return ToolResult(REFUSALS[verdict], failed=True)
        await self._emit(ToolCallUpdated(call.call_id, status="in_progress"))
        try:
            return await prepared.run(self._emit)
        except ToolFailed as error:
            return ToolResult(str(error), failed=True)
        except Exception:
            return _broken(call)

    async def _decide(
        self, permission: Permission, shown: ToolCallUpdated, kind: ToolKind
    ) -> Verdict:
        verdict = await self._permissions.decide(permission, shown, self._approvals(), kind)
        self._recorder.permission(shown.call_id, permission.tool, permission.scope, verdict)
        return verdict

    async def _finish(self, call: Call, result: ToolResult) -> None:
        self._history.answer(call, result.text)
        self._shown[call.call_id] = False
        content = result.content
        if content is None and result.failed:
            content = (Text(result.text),)
        await self._emit(
            ToolCallUpdated(
                call.call_id,
                status="failed" if result.failed else "completed",
                content=content,
                raw_output=result.raw_output if result.raw_output is not None else result.text,
            )
        )


def _broken(call: Call) -> ToolResult:
    # The boundary between a tool's own bug and the model: the log gets all, the model one line.
    logger.exception("tool %s failed", call.recipient)
    return ToolResult("The tool failed by an internal error. Try another way.", failed=True)
