"""`gptoss.generate`: how a small model asks for GPT-OSS, and the call that the user sees of it.

The arguments keep the names of the documents that designed it. GPT-OSS reads the conversation
itself, so nothing is lost by the words that a small model finds for it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import anyio

from acp_agent.conversation import Call, ToolSpec
from acp_agent.errors import BackendError
from acp_agent.events import (
    Emit,
    Event,
    Meta,
    StepMeasured,
    StopReason,
    Text,
    TextDelta,
    ThoughtDelta,
    ToolCallStarted,
    ToolCallUpdated,
    ToolStatus,
    UsageUpdated,
)
from acp_agent.routing.decide import Decision
from acp_agent.routing.facts import Facts

NAME = "gptoss.generate"
SOURCE = "gptoss"
ORCHESTRATOR = "fm_orchestrator"  # whoever decides, and answers what is light
CLEAN_UP_SECONDS = 5
LONGEST_REASON = 300
CHOSEN_REASON = 150  # of a constrained choice
LONGEST_PROMPT = 20_000  # characters that `rawInput` repeats

TaskType = Literal["code_generation", "refactoring", "documentation", "analysis"]
TASK_TYPES: tuple[TaskType, ...] = ("code_generation", "refactoring", "documentation", "analysis")
REFACTOR = tuple(
    "refactor refaktor refator rifattor renam umbenenn renomm renombr renome rinomin"
    " restructur umstruktur reestructur reestrutur ristruttur"
    " рефактор переимен 重构 重命名 リファクタ 改名".split()
)

CHOICE: Mapping[str, object] = {
    "type": "object",
    "properties": {
        # In this order: a model that has found a reason decides better.
        "reason": {"type": "string", "maxLength": CHOSEN_REASON},
        "decision": {"type": "string", "enum": ["inline", "delegate"]},
    },
    "required": ["decision"],
    "additionalProperties": False,
}
TOOL = ToolSpec(
    NAME,
    "Hand the user's message to GPT-OSS, which can read and change files, run commands and think"
    " for long. Use it for all that you cannot answer in a few sentences.",
    {
        "type": "object",
        "properties": {
            "user_prompt": {"type": "string"},
            "task_type": {"type": "string", "enum": list(TASK_TYPES)},
            "reason": {"type": "string"},
        },
        "required": ["user_prompt"],
    },
)


@dataclass(frozen=True, slots=True)
class Wish:
    """The small model does not answer: it wants GPT-OSS to, or cannot.

    `rule` and `reason` are our words for it, `detail` are its own, or its server's; one that is
    `stalled` kept the prompt waiting.
    """

    reason: str
    detail: str = ""
    rule: str = "fm_asks"
    task_type: TaskType | None = None
    stalled: bool = False

    @property
    def told(self) -> str:
        """The reason as the user is told it."""
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


NO_ANSWER = Wish("the small model had no answer", rule="fm_no_answer")


def unavailable(error: BackendError) -> Wish:
    """Return what it means that the small model cannot answer."""
    return Wish("the small model cannot answer now", plain(str(error)), "fm_unavailable")


def plain(text: str) -> str:
    """Return somebody else's words as one short line."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(line.split())[:LONGEST_REASON].rstrip(" .")


def chosen(choice: Mapping[str, Any]) -> Wish | None:
    """Read a `CHOICE`; None if the small model answers itself."""
    return _wish(choice.get("reason")) if choice.get("decision") == "delegate" else None


def wished(call: Call) -> Wish:
    """Read a call of `TOOL`; one of anything else means the same: it takes a tool."""
    try:
        value: object = json.loads(call.arguments)
    except ValueError:
        value = None
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    task = next((task for task in TASK_TYPES if task == fields.get("task_type")), None)
    return replace(_wish(fields.get("reason")), task_type=task)


def _wish(reason: object) -> Wish:
    words = plain(reason) if isinstance(reason, str) else ""
    return Wish("the small model asks for GPT-OSS", words)


def task_type(facts: Facts, prompt: str) -> TaskType:
    """Return which of the known tasks a prompt is, by what was recognised in it."""
    words = prompt.casefold()
    if facts.code and any(stem in words for stem in REFACTOR):
        return "refactoring"
    if "long_form" in facts.signals and not facts.code:
        return "documentation"
    return "code_generation" if facts.code else "analysis"


class Delegation:
    """The visible call around a turn of GPT-OSS; however the turn ends, so does the call."""

    def __init__(
        self,
        call_id: str,
        user_prompt: str,
        decision: Decision,
        emit: Emit,
        *,
        task: TaskType,
        model: str,
        workspace_root: str = "",
    ) -> None:
        self._id = call_id
        self._reason = decision.told
        self._title = f"{NAME} ({task.replace('_', ' ')})"
        self._meta = {"source": ORCHESTRATOR, "routing": decision.as_json()}
        self._raw_input = {
            "user_prompt": _cut(user_prompt),
            "task_type": task,
            "reason": decision.told,
            "provider": SOURCE,
            "model": model,
            **({"workspace_root": workspace_root} if workspace_root else {}),
        }
        self._emit = emit
        self._used = Used(emit, {"source": SOURCE, "parentToolCallId": call_id})

    @property
    def has_shown(self) -> bool:
        """Whether GPT-OSS has said or done anything that the user saw."""
        return self._used.has_shown

    async def run(self, turn: Callable[[Emit], Awaitable[StopReason]]) -> StopReason:
        """Run the turn with events that say where they come from.

        Raises:
            BackendError: GPT-OSS could not answer; the call has failed with that reason.

        """
        start = ToolCallStarted(self._id, NAME, self._title, "think", raw_input=self._raw_input)
        end = self._update("failed", "stopped")
        try:
            await self._emit(replace(start, meta=self._meta))
            await self._emit(self._update("in_progress", ""))
            stop = await turn(self._used.emit)
            if stop != "cancelled":
                output = {"stop_reason": stop, "usage": self._used.as_json()}
                end = self._update("completed", self._used.words(), output)
            return stop
        except BackendError as error:
            output = {"error": str(error), "kind": type(error).__name__}
            end = self._update("failed", f"GPT-OSS could not answer: {error}", output)
            raise
        finally:
            with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
                await self._emit(end)

    def _update(self, status: ToolStatus, words: str, output: object = None) -> ToolCallUpdated:
        text = f"{self._reason}\n{words}".rstrip()
        return ToolCallUpdated(self._id, status=status, content=(Text(text),), raw_output=output)


def _cut(text: str) -> str:
    left_out = len(text) - LONGEST_PROMPT
    return f"{text[:LONGEST_PROMPT]} [{left_out} characters left out]" if left_out > 0 else text


class Used:
    """Passes events on, marked with `meta`, and adds up what the model calls among them cost."""

    def __init__(self, emit: Emit, meta: Meta) -> None:
        self._emit = emit
        self._meta = meta
        self.has_shown = False
        self._model_calls = 0
        self._prompt_tokens = 0
        self._evaluated_tokens = 0
        self._completion_tokens = 0
        self._milliseconds = 0.0

    async def emit(self, event: Event) -> None:
        match event:
            case UsageUpdated():
                event = replace(event, meta={**self._meta, **(event.meta or {})})
            case TextDelta() | ThoughtDelta() | ToolCallStarted():
                self.has_shown = True
                event = replace(event, meta={**self._meta, **(event.meta or {})})
            case StepMeasured():
                self._add(event)
            case _:
                pass
        await self._emit(event)

    def words(self) -> str:
        """Return the sums for the user."""
        calls = f"{self._model_calls} model call{'' if self._model_calls == 1 else 's'}"
        return f"{calls}, {self._prompt_tokens:,} tokens in, {self._completion_tokens:,} out"

    def as_json(self) -> dict[str, object]:
        """Return the sums; tokens, and milliseconds that the engine worked."""
        return {
            "model_calls": self._model_calls,
            "prompt_tokens": self._prompt_tokens,
            "evaluated_tokens": self._evaluated_tokens,
            "completion_tokens": self._completion_tokens,
            "engine_ms": round(self._milliseconds, 1),
        }

    def _add(self, step: StepMeasured) -> None:
        self._model_calls += 1
        self._prompt_tokens += step.prompt_tokens
        self._evaluated_tokens += step.evaluated_tokens
        self._completion_tokens += step.predicted_tokens
        self._milliseconds += sum(step.milliseconds.values())
