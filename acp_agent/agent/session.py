"""A session: one conversation, its options, and at most one turn at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

import anyio

from acp_agent.agent.calls import CallRunner, TurnCancelled
from acp_agent.agent.history import History
from acp_agent.agent.options import SessionOptions
from acp_agent.agent.permissions import Permissions
from acp_agent.agent.turn import DEFAULT_LIMITS, Limits, Turn
from acp_agent.conversation import Effort, ModelRequest, UserMessage
from acp_agent.errors import BackendError, ContextOverflow
from acp_agent.events import Emit, StopReason
from acp_agent.ports import LocalModelBackend
from acp_agent.tools.base import Toolbox

logger = logging.getLogger(__name__)

CLEAN_UP_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Voice:
    """Who answers: a model, and how it is used.

    `label` is put before the first words of every answer; it names weights that are not gpt-oss.
    """

    model: LocalModelBackend
    label: str = ""
    max_tokens: int | None = None
    temperature: float | None = None


class Session:
    """Runs turns one after the other; a new prompt cancels the one under way."""

    def __init__(
        self,
        session_id: str,
        options: SessionOptions,
        voice: Callable[[str], Voice],
        toolbox: Toolbox,
        permissions: Permissions,
        *,
        instructions: str,
        preface: str = "",
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.id = session_id
        self._options = options
        self._voice = voice
        self._toolbox = toolbox
        self._permissions = permissions
        self._instructions = instructions
        self._preface = preface
        self._limits = limits
        self._history = History()
        self._busy = anyio.Lock()
        self._turn: anyio.CancelScope | None = None
        self._numbers = count(1)

    async def prompt(self, message: UserMessage, emit: Emit) -> StopReason:
        """Run one turn and return why it stopped.

        Raises:
            BackendError: The model could not answer; what it said until then is kept.

        """
        self.cancel()
        with anyio.CancelScope() as scope:
            self._turn = scope
            async with self._busy:
                return await self._run(message, emit)
        return "cancelled"

    def cancel(self) -> None:
        """Stop the turn under way, if any."""
        if self._turn is not None:
            self._turn.cancel()

    async def prewarm(self) -> None:
        """Let the engine read what the next prompt will begin with; cancel it at will."""
        if self._busy.locked():
            return
        try:
            await self._voice(self._options["model"]).model.prefill(self._request())
        except BackendError as error:
            # The prompt that follows meets the same trouble, and says so to the user.
            logger.debug("nothing prefilled: %s", error)

    async def close(self) -> None:
        """End the turn under way and wait until it has cleaned up."""
        self.cancel()
        with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
            async with self._busy:
                pass

    async def _run(self, message: UserMessage, emit: Emit) -> StopReason:
        if self._preface and not self._history.entries:
            message = replace(message, note=self._preface)
        self._history.add_user(message)
        voice = self._voice(self._options["model"])
        calls = CallRunner(
            self._toolbox,
            self._permissions,
            self._history,
            emit,
            lambda: self._options["approvals"],
        )
        turn = Turn(
            f"{self.id}.{next(self._numbers)}",
            voice.model,
            self._history,
            calls,
            self._request,
            emit,
            limits=self._limits,
            label=voice.label,
        )
        stop: StopReason = "cancelled"  # unless it comes to another end
        try:
            stop = await turn.run()
        except TurnCancelled:
            pass
        except BackendError as error:
            logger.warning("turn of %s: %s", self.id, error)
            too_long = isinstance(error, ContextOverflow)
            self._history.forget_unanswered(all_of_them=too_long)
            raise
        finally:
            with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
                self._history.close_open_calls()
                await calls.fail_open_calls()
        logger.info("turn of %s: %s", self.id, stop)
        return stop

    def _request(self) -> ModelRequest:
        voice = self._voice(self._options["model"])
        efforts: dict[str, Effort] = {"low": "low", "medium": "medium", "high": "high"}
        return ModelRequest(
            entries=self._history.entries,
            instructions=self._instructions,
            tools=self._toolbox.specs,
            effort=efforts[self._options["effort"]],
            max_tokens=voice.max_tokens,
            temperature=voice.temperature,
        )
