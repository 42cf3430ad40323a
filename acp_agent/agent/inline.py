"""The small model's own answer to one prompt, or its wish to leave it to GPT-OSS.

Its window is never the user's trouble: the conversation is trimmed to it, and trimmed harder where
the server counts more tokens than we do.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import anyio

from acp_agent.agent.delegation import (
    CHOICE,
    NO_ANSWER,
    ORCHESTRATOR,
    TOOL,
    Wish,
    chosen,
    plain,
    unavailable,
    wished,
)
from acp_agent.agent.history import History
from acp_agent.agent.loops import is_looping
from acp_agent.agent.measuring import measured, usage
from acp_agent.agent.voice import Voice
from acp_agent.agent.window import ahead, estimated_tokens, fitted
from acp_agent.conversation import Entry, Message, ModelRequest, ModelStep, ToolSpec
from acp_agent.errors import BackendError, ContextOverflow, EngineUnavailable
from acp_agent.events import Emit, Meta, Noticed, TextDelta, ThoughtDelta
from acp_agent.ports import (
    EngineLoading,
    ModelEvent,
    StepEnded,
    TextPart,
    ThoughtPart,
)

logger = logging.getLogger(__name__)

INSTRUCTIONS = (
    "Answer in the user's language, in at most three short sentences. You are the small assistant"
    " of a code editor; you see only this chat, no files and no commands."
)
CHOOSE = (
    "You decide who answers the last message of the conversation. inline: a short answer from"
    " general knowledge is enough. delegate: it takes code, files, tools, several steps or careful"
    " reasoning. Give the reason in a few words."
)
ANSWER_TOKENS = 200  # where nothing is set; light prompts take less than half
CHOICE_TOKENS = 200  # one for each character of the reason at worst, and the frame
SMALLEST_ROOM = 64
FIRST_SECONDS = 30.0  # in which a slow machine reads a full window
NEXT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Answered:
    """The small model has answered; `is_cut`: it ran into its limit."""

    is_cut: bool = False


class Stalled(EngineUnavailable):
    """The small model keeps the user waiting."""


class Inline:
    """The small model in one turn; what it says is shown and kept, also when it is cut."""

    def __init__(self, message_id: str, voice: Voice, history: History, emit: Emit) -> None:
        self._id = message_id
        self._voice = voice
        self._history = history
        self._emit = emit
        self._tag: Meta = {"source": ORCHESTRATOR, "provider": voice.model.name}
        self._first: Meta = {}
        self._label = voice.label
        self._said = ""
        self._has_answered = False
        self._number = 0
        self._needs_tool = False  # the server only said that it can hold the model to a choice

    @property
    def has_tool(self) -> bool:
        """Whether it can leave any prompt to GPT-OSS by a tool."""
        return self._voice.has_tool

    @property
    def can_choose(self) -> bool:
        """Whether it can be asked to leave a prompt to GPT-OSS."""
        return self._voice.chooser is not None

    async def choose(self) -> Wish | None:
        """Ask the model whether it can answer; None if it can, or made no clear choice."""
        model = self._voice.chooser
        if model is None:
            return None
        try:
            room = await _room(self._voice, CHOOSE, CHOICE_TOKENS)
            request = ModelRequest(
                fitted(self._history.entries, room),
                CHOOSE,
                max_tokens=CHOICE_TOKENS,
                temperature=0.0,
            )
            choice = await model.choose(request, CHOICE)
            await self._tell_usage(request, _spoken(json.dumps(choice)), StepEnded("stop"))
            return chosen(choice)
        except BackendError as error:
            logger.info("the small model made no choice: %s", plain(str(error)))
            self._needs_tool = True
            return None

    async def answer(
        self, meta: Meta, *, opening: str = "", may_delegate: bool = False
    ) -> Answered | Wish:
        """Stream the answer; `opening` goes before it, in our words; `meta` with the first chunk.

        What it says is kept, also when it breaks off: that comes back as a wish.
        """
        self._begin(meta)
        try:
            if opening:
                await self._say(opening)
            offered = may_delegate and (self.has_tool or self._needs_tool)
            step, ended = await self._fitting((TOOL,) if offered else ())
        except BackendError as error:
            logger.warning("the small model cannot answer: %s", plain(str(error)))
            return replace(unavailable(error), stalled=isinstance(error, Stalled))
        finally:
            self._keep()
        if step.calls:
            return wished(step.calls[0])
        return Answered(ended.reason == "limit") if self._has_answered else NO_ANSWER

    async def remark(self, text: str, meta: Meta) -> None:
        """Say something in our own words."""
        self._begin(meta)
        await self._say(text)
        self._keep()

    def _begin(self, meta: Meta) -> None:
        self._first, self._said, self._has_answered = meta, "", False
        self._number += 1

    def _keep(self) -> None:
        if self._said:
            self._history.add_step(_spoken(self._said))

    async def _fitting(self, tools: tuple[ToolSpec, ...]) -> tuple[ModelStep, StepEnded]:
        """Stream with as much of the conversation as the server takes."""
        room = await _room(self._voice, INSTRUCTIONS, _limit(self._voice), tools)
        while True:
            entries = fitted(self._history.entries, room)
            try:
                return await self._stream(_request(self._voice, entries, tools))
            except ContextOverflow:
                if self._has_answered or room < SMALLEST_ROOM:
                    raise
                room //= 2

    async def _stream(self, request: ModelRequest) -> tuple[ModelStep, StepEnded]:
        ended = StepEnded("stop")
        async with self._voice.model.stream(request) as stream:
            async for event in _patiently(aiter(stream)):
                if isinstance(event, StepEnded):
                    ended = event
                    await self._emit(measured(event.timings))
                else:
                    await self._show(event)
                if is_looping(self._said):
                    logger.info("stopped the small model, which repeats itself")
                    await self._tell_usage(request, stream.step(), ended)
                    return ModelStep(()), ended
            step = stream.step()
        await self._tell_usage(request, step, ended)
        return step, ended

    async def _tell_usage(self, request: ModelRequest, step: ModelStep, ended: StepEnded) -> None:
        used = await usage(self._voice.model, request, step, ended.timings, self._tag)
        if used is not None:
            await self._emit(used)

    async def _show(self, event: ModelEvent) -> None:
        match event:
            case TextPart(_, text):
                self._has_answered = self._has_answered or bool(text.strip())
                label, self._label = self._label, ""
                await self._say(text, label)
            case ThoughtPart(index, text):
                await self._emit(
                    ThoughtDelta(f"{self._id}.{self._number}.{index}", text, self._tag)
                )
            case EngineLoading(text):
                await self._emit(Noticed(text))
            case _:
                pass

    async def _say(self, text: str, label: str = "") -> None:
        meta, self._first = {**self._tag, **self._first}, {}
        self._said += text
        await self._emit(TextDelta(f"{self._id}.{self._number}", label + text, meta))


async def _patiently(events: AsyncIterator[ModelEvent]) -> AsyncIterator[ModelEvent]:
    """Give the events; raises Stalled when the next one does not come in time."""
    seconds = FIRST_SECONDS
    while True:
        event: ModelEvent | None = None
        with anyio.move_on_after(seconds) as limit:
            event = await anext(events, None)
        if limit.cancelled_caught:
            raise Stalled(f"it said nothing for {seconds:g} s")
        if event is None:
            return
        yield event
        if isinstance(event, TextPart | ThoughtPart):
            seconds = NEXT_SECONDS


async def read_ahead(voice: Voice, entries: Sequence[Entry]) -> None:
    """Have the model read what is known of its next prompt. Raises BackendError."""
    tools = (TOOL,) if voice.has_tool else ()
    room = await _room(voice, INSTRUCTIONS, _limit(voice), tools)
    await voice.model.prefill(_request(voice, ahead(entries, room), tools))


def _spoken(text: str) -> ModelStep:
    return ModelStep((Message("final", text),))


def _request(voice: Voice, entries: Sequence[Entry], tools: tuple[ToolSpec, ...]) -> ModelRequest:
    return ModelRequest(
        entries,
        INSTRUCTIONS,
        tools,
        effort="low",
        max_tokens=_limit(voice),
        temperature=voice.temperature,
    )


def _limit(voice: Voice) -> int:
    return voice.max_tokens or ANSWER_TOKENS


async def _room(
    voice: Voice, instructions: str, answer: int, tools: tuple[ToolSpec, ...] = ()
) -> int:
    """Return how many tokens the conversation may have."""
    size = await voice.model.context_size()
    told = instructions + "".join(t.description + json.dumps(t.parameters) for t in tools)
    return max(SMALLEST_ROOM, size - answer - estimated_tokens(told))
