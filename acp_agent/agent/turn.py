"""One turn: ask the model, run what it calls, tell it how that went, until it has answered.

This is the page to read first. It knows no protocol, no engine and no tool by name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from acp_agent.agent.calls import CallRunner
from acp_agent.agent.compaction import Compactor
from acp_agent.agent.history import History
from acp_agent.agent.measuring import measured, usage
from acp_agent.agent.rewriting import NewRewriter, TextRewriter, Unchanged
from acp_agent.conversation import ModelRequest, ModelStep
from acp_agent.errors import ContextOverflow
from acp_agent.events import (
    Emit,
    Noticed,
    StopReason,
    TextDelta,
    ThoughtDelta,
)
from acp_agent.ports import (
    CallOpened,
    EngineLoading,
    EngineNoted,
    LocalModelBackend,
    ModelEvent,
    PromptProgress,
    StepEnded,
    TextPart,
    ThoughtPart,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a turn ends although the model would go on."""

    steps: int = 50
    bad_calls: int = 6


DEFAULT_LIMITS = Limits()

LONG_READ = 2_000  # tokens that a laptop takes seconds to read


class Turn:
    """A turn from the user's message to its stop reason."""

    def __init__(
        self,
        turn_id: str,
        model: LocalModelBackend,
        history: History,
        calls: CallRunner,
        request: Callable[[], ModelRequest],
        emit: Emit,
        *,
        limits: Limits,
        told: set[str],
        label: str = "",
        rewrite: NewRewriter = Unchanged,
        compactor: Compactor | None = None,
    ) -> None:
        self._id = turn_id
        self._model = model
        self._history = history
        self._calls = calls
        self._request = request
        self._emit = emit
        self._limits = limits
        self._told = told  # notes that the user has had
        self._label = label
        self._number = -1  # of the model call
        self._cut = ModelStep(())  # what it has generated, also when it broke off
        self._reading = -1
        self._rewrite = rewrite
        self._compactor = compactor
        self._speaking: tuple[str, TextRewriter] | None = None  # the message that is being said

    async def run(self) -> StopReason:
        """Run to the stop reason. Raises BackendError; what was said until then is kept."""
        bad = 0
        for _ in range(self._limits.steps):
            step, ended = await self._generate_in_room()
            if ended.reason == "limit":
                return "max_tokens"
            if is_answer(step):
                return "end_turn"
            bad = 0 if await self._run_calls(step) else bad + 1
            if bad == self._limits.bad_calls:
                await self._emit(
                    Noticed(f"stopped: nothing could be run {bad} times in a row", "warning")
                )
                return "max_turn_requests"
        await self._emit(Noticed(f"stopped after {self._limits.steps} steps", "warning"))
        return "max_turn_requests"

    async def _generate_in_room(self) -> tuple[ModelStep, StepEnded]:
        """Ask the model; make room before, and once more if the engine says that it is too little.

        Raises:
            ContextOverflow: The last message alone is too large.

        """
        if self._compactor is None:
            return await self._generate()
        await self._compactor.fit(self._emit)
        try:
            return await self._generate()
        except ContextOverflow as error:
            await self._make_room(self._compactor, error)
            return await self._generate()

    async def _make_room(self, compactor: Compactor, error: ContextOverflow) -> None:
        """Make room for a step that begins anew: what was cut is in nobody's way, and not kept."""
        await self._finish_text()
        was_kept = self._history.forget_step(self._cut)
        try:
            await compactor.recover(error, self._emit)
        except BaseException:  # also if it is cancelled, what the user saw stays
            self._history.add_step(self._cut)
            raise
        await self._calls.fail_open_calls()
        if was_kept:
            await self._emit(Noticed("the context was full; what was cut begins anew"))

    async def _generate(self) -> tuple[ModelStep, StepEnded]:
        self._number += 1
        self._cut = ModelStep(())
        ended, request = StepEnded("stop"), self._request()
        async with self._model.stream(request) as stream:
            try:
                async for event in stream:
                    if isinstance(event, StepEnded):
                        ended = event
                    else:
                        await self._show(event)
                await self._finish_text()
            finally:
                # However the stream ended, what the user saw is what the history holds.
                self._cut = step = stream.step()
                self._history.add_step(step)
        if step.repairs:
            logger.warning("repaired what the model wrote: %s", "; ".join(step.repairs))
        await self._emit(measured(ended.timings, step.repairs))
        if used := await usage(self._model, request, step, ended.timings):
            await self._emit(used)
        return step, ended

    async def _run_calls(self, step: ModelStep) -> bool:
        """Run the step's calls; return whether it held any that could run."""
        ran = False
        for call in step.calls:
            ran = await self._calls.run(call) or ran
        if not step.calls:
            for message in step.messages:
                if message.recipient is not None:
                    self._history.remark(
                        message.recipient,
                        "This call did not run: it was not ended with <|call|>. Send it again.",
                    )
            await self._calls.fail_open_calls()
        return ran

    async def _show(self, event: ModelEvent) -> None:
        if not isinstance(event, TextPart):
            await self._finish_text()
        match event:
            case ThoughtPart(index, text):
                await self._emit(ThoughtDelta(self._message_id(index), text))
            case TextPart(index, text):
                await self._speak(self._message_id(index), text)
            case CallOpened(call_id, recipient):
                await self._calls.announce(call_id, recipient)
            case EngineLoading(text):
                await self._emit(Noticed(text))
            case EngineNoted(text):
                await self._note(text)
            case PromptProgress(processed, _, total):
                await self._tell_reading(total - processed)
            case StepEnded():
                pass

    def _message_id(self, index: int) -> str:
        return f"{self._id}.{self._number}.{index}"

    async def _speak(self, message_id: str, text: str) -> None:
        if self._speaking is None or self._speaking[0] != message_id:
            await self._finish_text()
            self._speaking = (message_id, self._rewrite())
        await self._say(message_id, self._speaking[1].feed(text))

    async def _finish_text(self) -> None:
        """Say what is held back of a message that is over."""
        if self._speaking is not None:
            (message_id, rewriter), self._speaking = self._speaking, None
            await self._say(message_id, rewriter.finish())

    async def _say(self, message_id: str, text: str) -> None:
        if text:
            label, self._label = self._label, ""
            await self._emit(TextDelta(message_id, label + text))

    async def _note(self, text: str) -> None:
        """Tell what is known of the engine, once in a session."""
        if text not in self._told:
            self._told.add(text)
            await self._emit(Noticed(text, "warning"))

    async def _tell_reading(self, tokens: int) -> None:
        """Say once per model call why the first word takes its time, where it does."""
        if tokens >= LONG_READ and self._reading != self._number:
            self._reading = self._number
            await self._emit(Noticed(f"reading {tokens:,} tokens of context"))


def is_answer(step: ModelStep) -> bool:
    """Tell whether the model has said its last word: text for the user, and nothing left to run."""
    if step.calls or any(message.recipient is not None for message in step.messages):
        return False
    return any(m.channel == "final" and m.complete for m in step.messages)
