"""The small model's own answer to one prompt, or its wish to leave it to GPT-OSS.

Its window is never the user's trouble: the conversation is trimmed to it, and trimmed harder where
the server counts more tokens than we do.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from acp_agent.agent.delegation import CHOICE, TOOL, Wish, chosen, wished
from acp_agent.agent.history import History
from acp_agent.agent.loops import is_looping
from acp_agent.agent.voice import Voice
from acp_agent.agent.window import ahead, estimated_tokens, fitted
from acp_agent.conversation import Entry, Message, ModelRequest, ModelStep, ToolSpec
from acp_agent.errors import BackendError, ContextOverflow
from acp_agent.events import Emit, Meta, Noticed, TextDelta, ThoughtDelta
from acp_agent.ports import (
    EngineLoading,
    ModelEvent,
    StepEnded,
    TextPart,
    ThoughtPart,
)

logger = logging.getLogger(__name__)

SOURCE = "fm_orchestrator"
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


@dataclass(frozen=True, slots=True)
class Answered:
    """The small model has answered; `is_cut`: it ran into its limit."""

    is_cut: bool = False


class Inline:
    """The small model in one turn; what it says reaches user and history alike, also when cut."""

    def __init__(self, message_id: str, voice: Voice, history: History, emit: Emit) -> None:
        self._id = message_id
        self._voice = voice
        self._history = history
        self._emit = emit
        self._tag: Meta = {"source": SOURCE, "provider": voice.model.name}
        self._first: Meta = {}
        self._label = voice.label
        self._said = ""
        self._has_answered = False
        self._number = 0

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
            request = self._request(CHOOSE, room, CHOICE_TOKENS, temperature=0.0)
            return chosen(await model.choose(request, CHOICE))
        except BackendError as error:
            logger.info("the small model made no choice: %s", error)
            return None

    async def answer(
        self, meta: Meta, *, opening: str = "", may_delegate: bool = False
    ) -> Answered | Wish:
        """Stream the answer; `opening` goes before it, in our words; `meta` with the first chunk.

        Raises:
            BackendError: The model could not answer; what it said until then is kept.

        """
        self._begin(meta)
        try:
            if opening:
                await self._say(opening)
            offered = may_delegate and self.has_tool
            step, ended = await self._fitting((TOOL,) if offered else ())
        finally:
            self._keep()
        if step.calls:
            return wished(step.calls[0])
        if not self._has_answered:
            return Wish("the small model had no answer")
        return Answered(ended.reason == "limit")

    async def remark(self, text: str) -> None:
        """Say something in our own words."""
        self._begin({})
        await self._say(text)
        self._keep()

    def _begin(self, meta: Meta) -> None:
        self._first, self._said, self._has_answered = meta, "", False
        self._number += 1

    def _keep(self) -> None:
        if self._said:
            self._history.add_step(ModelStep((Message("final", self._said),)))

    async def _fitting(self, tools: tuple[ToolSpec, ...]) -> tuple[ModelStep, StepEnded]:
        """Stream with as much of the conversation as the server takes."""
        limit = self._voice.max_tokens or ANSWER_TOKENS
        room = await _room(self._voice, INSTRUCTIONS, limit, tools)
        while True:
            request = self._request(
                INSTRUCTIONS, room, limit, temperature=self._voice.temperature, tools=tools
            )
            try:
                return await self._stream(request)
            except ContextOverflow:
                if self._has_answered or room < SMALLEST_ROOM:
                    raise
                room //= 2

    async def _stream(self, request: ModelRequest) -> tuple[ModelStep, StepEnded]:
        ended = StepEnded("stop")
        async with self._voice.model.stream(request) as stream:
            async for event in stream:
                if isinstance(event, StepEnded):
                    ended = event
                else:
                    await self._show(event)
                if is_looping(self._said):
                    logger.info("stopped the small model, which repeats itself")
                    return ModelStep(()), StepEnded("limit")
            return stream.step(), ended

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

    def _request(
        self,
        instructions: str,
        room: int,
        limit: int,
        *,
        temperature: float | None,
        tools: tuple[ToolSpec, ...] = (),
    ) -> ModelRequest:
        return ModelRequest(
            fitted(self._history.entries, room),
            instructions,
            tools,
            effort="low",
            max_tokens=limit,
            temperature=temperature,
        )


async def read_ahead(voice: Voice, entries: Sequence[Entry]) -> None:
    """Have the model read what is known of its next prompt. Raises BackendError."""
    limit = voice.max_tokens or ANSWER_TOKENS
    tools = (TOOL,) if voice.has_tool else ()
    room = await _room(voice, INSTRUCTIONS, limit, tools)
    request = ModelRequest(
        ahead(entries, room),
        INSTRUCTIONS,
        tools,
        effort="low",
        max_tokens=limit,
        temperature=voice.temperature,
    )
    await voice.model.prefill(request)


async def _room(
    voice: Voice, instructions: str, answer: int, tools: tuple[ToolSpec, ...] = ()
) -> int:
    """Return how many tokens the conversation may have."""
    size = await voice.model.context_size()
    told = instructions + "".join(t.description + json.dumps(t.parameters) for t in tools)
    return max(SMALLEST_ROOM, size - answer - estimated_tokens(told))
