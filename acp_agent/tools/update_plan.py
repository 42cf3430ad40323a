"""The tool `update_plan`: the model's plan, for the user to see."""

from __future__ import annotations

from pydantic import BaseModel

from acp_agent.conversation import ToolSpec
from acp_agent.events import Emit, PlanEntry, PlanStatus, PlanUpdated, ToolKind
from acp_agent.tools.base import Prepared, ToolResult
from acp_agent.tools.spec import tool_spec


class Step(BaseModel):
    """One step and how far it is."""

    step: str
    status: PlanStatus


class UpdatePlanArguments(BaseModel):
    """All steps, in their order."""

    plan: list[Step]


class UpdatePlan:
    """Tells the plan and keeps nothing."""

    name = "update_plan"
    kind: ToolKind = "think"
    arguments = UpdatePlanArguments

    @property
    def spec(self) -> ToolSpec:
        return tool_spec(self.name, self.arguments)

    async def prepare(self, call_id: str, arguments: BaseModel) -> Prepared:
        asked = UpdatePlanArguments.model_validate(arguments)
        entries = tuple(PlanEntry(step.step, step.status) for step in asked.plan)
        done = sum(entry.status == "completed" for entry in entries)

        async def run(emit: Emit) -> ToolResult:
            await emit(PlanUpdated(entries))
            return ToolResult("Plan updated", raw_output={"steps": len(entries), "completed": done})

        title = f"Update plan ({done}/{len(entries)})"
        return Prepared(title, self.kind, run, asked.model_dump())
