"""A small model that plays a list: what the session does with it is the thing under test."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from acp_agent.agent.voice import Voice
from acp_agent.backends.reply import Reply, ReplyStream
from acp_agent.conversation import Message, ModelRequest, ModelStep
from acp_agent.errors import BackendError, EngineUnavailable
from acp_agent.events import Emit
from acp_agent.ports import Availability, Chooser, ModelEvent, ModelInfo, Timings

UNCOUNTED = Timings()


@dataclass(frozen=True)
class Says:
    """An answer: text, then maybe a call, then its end, an error, or none at all."""

    text: str = ""
    call: tuple[str, str] | None = None
    error: BackendError | None = None
    is_cut: bool = False
    hangs: bool = False
    timings: Timings = UNCOUNTED


class Small:
    """A `LocalModelBackend` that plays `answers` and keeps what it was asked."""

    name = "tiny"
    default_model = "tiny-1"
    chooser: Chooser | None = None

    def __init__(self, *answers: Says | str, window: int = 4096) -> None:
        self._answers = [Says(a) if isinstance(a, str) else a for a in answers]
        self._window = window
        self.requests: list[ModelRequest] = []
        self.prefills: list[ModelRequest] = []
        self.title = ""

    async def is_available(self) -> Availability:
        return Availability("ready")

    async def list_models(self) -> Sequence[ModelInfo]:
        return [ModelInfo(self.default_model, "tiny", self._window)]

    async def context_size(self) -> int:
        return self._window

    async def count(self, request: ModelRequest) -> None:
        """Return None: only the server knows its tokens."""

    async def prefill(self, request: ModelRequest) -> None:
        self.prefills.append(request)

    async def complete(self, request: ModelRequest) -> ModelStep:
        """Answer with `title`: nothing else is asked in one piece."""
        return ModelStep((Message("final", self.title),))

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncGenerator[ReplyStream]:
        self.requests.append(request)
        reply = Reply(request.tools, lambda: "call_small")
        yield ReplyStream(self._play(self._answers.pop(0), reply), reply)

    async def _play(self, answer: Says, reply: Reply) -> AsyncIterator[ModelEvent]:
        for word in answer.text.split(" ") if answer.text else ():
            for event in reply.say(word if reply.is_empty else f" {word}"):
                yield event
        if answer.call:
            for event in reply.call(0, *answer.call):
                yield event
        if answer.hangs:
            await anyio.sleep_forever()
        if answer.error:
            raise answer.error
        for event in reply.end("limit" if answer.is_cut else "stop", answer.timings):
            yield event


class ChoosingSmall(Small):
    """One that can also be held to a choice."""

    def __init__(self, choice: Mapping[str, Any] | BackendError, *answers: Says | str) -> None:
        super().__init__(*answers)
        self.chooser = self
        self.choice = choice
        self.choices: list[ModelRequest] = []

    async def choose(self, request: ModelRequest, schema: Mapping[str, object]) -> dict[str, Any]:
        self.choices.append(request)
        if isinstance(self.choice, BackendError):
            raise self.choice
        return dict(self.choice)


class SmallAtHand:
    """The `SmallModel` port: `model`, or why there is none."""

    def __init__(
        self, model: Small | str, label: str = "", *, may_ask: bool = True, seconds: float = 0
    ) -> None:
        self._model = model
        self._label = label
        self._may_ask = may_ask
        self._seconds = seconds
        self.stalls: list[str] = []

    async def open(self, emit: Emit) -> Voice:
        await anyio.sleep(self._seconds)
        if isinstance(self._model, str):
            raise EngineUnavailable(self._model)
        return Voice(
            self._model, self._label, max_tokens=100, temperature=0.1, may_ask=self._may_ask
        )

    def stalled(self, why: str) -> None:
        self.stalls.append(why)

    async def warm(self) -> Voice:
        return await self.open(_unsaid)


async def _unsaid(_: object) -> None:
    return
