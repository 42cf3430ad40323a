"""GPT-OSS in one session: what it is asked next, and its turns on the session's history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from acp_agent.agent.calls import CallRunner, TurnCancelled
from acp_agent.agent.compaction import Compactor
from acp_agent.agent.history import History
from acp_agent.agent.options import SessionOptions
from acp_agent.agent.permissions import Permissions
from acp_agent.agent.recorder import Recorder
from acp_agent.agent.rewriting import NewRewriter, Unchanged
from acp_agent.agent.setup import Setup
from acp_agent.agent.turn import DEFAULT_LIMITS, Limits, Turn
from acp_agent.agent.voice import Voice
from acp_agent.conversation import Effort, ModelRequest
from acp_agent.errors import NoModel
from acp_agent.events import Emit, StopReason
from acp_agent.tools.base import Toolbox

CLEAN_UP_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Means:
    """What GPT-OSS works with: who answers as a model, by its id, and with which tools.

    `rewrite` is for what it says, such as citations; `setup` offers a model where none is.
    """

    voice: Callable[[str], Voice]
    toolbox: Toolbox
    permissions: Permissions
    instructions: str
    limits: Limits = DEFAULT_LIMITS
    rewrite: NewRewriter = Unchanged
    setup: Callable[[], Setup] | None = None


class GptossTurns:
    """Runs GPT-OSS, as the session's options have it, on `history`."""

    def __init__(
        self, means: Means, options: SessionOptions, history: History, recorder: Recorder
    ) -> None:
        self._means = means
        self._options = options
        self._history = history
        self._recorder = recorder
        self._told = set[str]()  # of the engine

    @property
    def voice(self) -> Voice:
        """Who answers now."""
        return self._means.voice(self._options["model"])

    def request(self) -> ModelRequest:
        """Return what it is asked next, as the history stands."""
        voice = self.voice
        efforts: dict[str, Effort] = {"low": "low", "medium": "medium", "high": "high"}
        return ModelRequest(
            entries=self._history.entries,
            instructions=self._means.instructions,
            tools=self._means.toolbox.specs,
            effort=efforts[self._options["effort"]],
            max_tokens=voice.max_tokens,
            temperature=voice.temperature,
        )

    def compactor(
        self, session_id: str, known_size: Callable[[], int], compactions: int
    ) -> Compactor:
        """Return what keeps the history within its context; see `Compactor`."""
        return Compactor(
            session_id,
            self._history,
            lambda: self.voice.model,
            self.request,
            known_size,
            compactions,
        )

    async def read_ahead(self) -> None:
        """Have it read what is known of its next prompt. Raises BackendError."""
        await self._means.toolbox.ready()
        await self.voice.model.prefill(self.request())

    async def run(self, turn_id: str, compactor: Compactor, emit: Emit) -> StopReason:
        """Run a turn; the prompt stands in the history. Raises BackendError."""
        await self._means.toolbox.ready()
        voice = self.voice
        calls = CallRunner(
            self._means.toolbox,
            self._means.permissions,
            self._history,
            emit,
            lambda: self._options["approvals"],
            self._recorder,
        )
        turn = Turn(
            turn_id,
            voice.model,
            self._history,
            calls,
            self.request,
            emit,
            limits=self._means.limits,
            told=self._told,
            label=voice.label,
            rewrite=self._means.rewrite,
            compactor=compactor,
        )
        try:
            return await self._run_or_set_up(turn, turn_id, emit)
        except TurnCancelled:
            return "cancelled"
        finally:
            with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
                self._history.close_open_calls()
                await calls.fail_open_calls()

    async def _run_or_set_up(self, turn: Turn, turn_id: str, emit: Emit) -> StopReason:
        """Run the turn; where there is no model, offer one first."""
        try:
            return await turn.run()
        except NoModel:
            if self._means.setup is None:
                raise
            if await self._means.setup().run(turn_id, emit):
                return await turn.run()
        self._history.forget_unanswered()
        return "end_turn"  # editors take away what a refusal said, and this says what to do
