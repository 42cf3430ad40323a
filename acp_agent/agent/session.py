"""A session: one conversation, its options, and at most one turn at a time."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Literal

import anyio

from acp_agent.agent.commands import Commands, Export, parse
from acp_agent.agent.gptoss import GptossTurns, Means
from acp_agent.agent.history import History
from acp_agent.agent.inline import read_ahead
from acp_agent.agent.options import SessionOptions
from acp_agent.agent.orchestrator import Fm, Gptoss, Orchestrator
from acp_agent.agent.recorder import NoRecord, Recorder
from acp_agent.agent.tally import Tally, is_gptoss
from acp_agent.agent.titles import ask_title, title_of
from acp_agent.agent.voice import SmallModel
from acp_agent.conversation import Entry, UserMessage
from acp_agent.errors import AgentError, ContextOverflow
from acp_agent.events import Emit, Event, StopReason, TextDelta, Titled, UsageUpdated
from acp_agent.routing.facts import Answerer, SessionFacts

logger = logging.getLogger(__name__)

CLEAN_UP_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Past:
    """What a session that goes on has behind it: its history, its turns, what it counted."""

    entries: tuple[Entry, ...] = ()
    turns: int = 0
    title: str = ""
    tally: Tally = field(default_factory=Tally)


class Session:
    """Runs turns one after the other; a new prompt cancels the one under way."""

    def __init__(
        self,
        session_id: str,
        options: SessionOptions,
        means: Means,
        *,
        preface: str = "",
        fm: Fm | None = None,
        workspace_root: str = "",
        recorder: Recorder | None = None,
        past: Past | None = None,
        export: Export | None = None,
    ) -> None:
        """Take what GPT-OSS works with; without `fm`, it gets every prompt.

        `preface` goes before the first prompt; `past` is what a session that goes on has behind it;
        `export` writes its record to a file.
        """
        past = past or Past()
        self.id = session_id
        self._options = options
        self._toolbox = means.toolbox
        self._preface = preface
        self._fm = fm
        self._workspace_root = workspace_root
        self._recorder = recorder or NoRecord()
        self._history = History(self._recorder, past.entries)
        self._gptoss = GptossTurns(means, options, self._history, self._recorder)
        self._tally = past.tally
        self._sized = options["model"]  # whose context the tally knows
        self._title = past.title
        self._first_words = ""  # to be named by a small model
        compactions = past.tally.compactions
        self._compactor = self._gptoss.compactor(session_id, self._known_size, compactions)
        facts = {"Session": session_id, "Workspace": workspace_root}
        self._commands = Commands(
            options, means.toolbox, self._tally, self._compactor, facts, export
        )
        self._busy = anyio.Lock()
        self._turn: anyio.CancelScope | None = None
        self._numbers = count(past.turns + 1)
        self._last: Answerer | Literal[""] = ""  # who answered the last prompt
        self._fm_window = SessionFacts().fm_window

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

    async def prewarm(self, emit: Emit) -> None:
        """Get the models ready for the next prompt; cancel it at will.

        A small model that is there gives the session a better title, through `emit`.

        In mode `fm` GPT-OSS takes no memory before it is needed for the first time.
        """
        if self._busy.locked():
            return
        fm = self._orchestrated()
        async with anyio.create_task_group() as tasks:
            if fm is not None:
                tasks.start_soon(_ready, fm.router.warm_up)
                tasks.start_soon(_ready, partial(self._warm_small, fm.small, emit))
            if fm is None or self._last == "delegate":
                tasks.start_soon(_ready, self._gptoss.read_ahead)

    async def _warm_small(self, small: SmallModel, emit: Emit) -> None:
        voice = await small.warm()
        if voice is None:
            return
        if voice.may_ask and self._first_words:
            words, self._first_words = self._first_words, ""
            if title := await ask_title(voice, words):
                await self._recorded_by(emit)(Titled(title))
        await read_ahead(voice, self._history.entries)

    async def close(self) -> None:
        """End the turn under way and wait until it has cleaned up."""
        self.cancel()
        with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
            async with self._busy:
                try:
                    await self._toolbox.close()
                finally:
                    self._recorder.close()

    async def _run(self, message: UserMessage, emit: Emit) -> StopReason:
        number = next(self._numbers)
        self._recorder.turn(number, message)
        ended, failure = "", "internal error; see the agent's log"
        try:
            stop = await self._recorded(number, message, emit)
            ended, failure = stop, ""
        except AgentError as error:
            failure = str(error)
            raise
        except anyio.get_cancelled_exc_class():
            ended, failure = "cancelled", ""
            raise
        finally:
            with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
                await self._recorder.end(number, ended, failure)
        logger.info("turn of %s: %s", self.id, stop)
        return stop

    async def _recorded(self, number: int, message: UserMessage, emit: Emit) -> StopReason:
        say = self._recorded_by(emit)
        turn_id = f"{self.id}.{number}"
        command = parse(message.words)
        if command is not None:
            self._history.close_open_calls()  # those that a process that was killed left open
            await say(TextDelta(turn_id, await self._commands.answer(*command, say)))
            return "end_turn"
        if self._preface and not self._history.entries:
            message = replace(message, note=self._preface)
        self._history.add_user(message)
        try:
            stop = await self._answer(turn_id, message, say)
            await self._name_by(message.words, say)
            return stop
        except AgentError as error:
            logger.warning("turn of %s: %s", self.id, error)
            too_long = isinstance(error, ContextOverflow)
            self._history.forget_unanswered(all_of_them=too_long)
            raise

    def _recorded_by(self, emit: Emit) -> Emit:
        """Return what takes an event down before it is said."""

        async def say(event: Event) -> None:
            self._recorder.event(event)
            self._tally.feed(event)
            if isinstance(event, UsageUpdated) and is_gptoss(event):
                self._sized = self._options["model"]
            await emit(event)

        return say

    async def _name_by(self, words: str, say: Emit) -> None:
        """Give the session its title after the first turn."""
        if not self._title and (title := title_of(words)):
            self._title, self._first_words = title, words
            await say(Titled(title))

    async def _answer(self, turn_id: str, message: UserMessage, emit: Emit) -> StopReason:
        fm = self._orchestrated()
        if fm is None:
            return await self._gptoss_turn(turn_id, emit)
        gptoss = Gptoss(
            partial(self._gptoss_turn, turn_id), self._options["model"], self._workspace_root
        )
        orchestrator = Orchestrator(
            turn_id, self.id, fm, gptoss, self._history, emit, self._fm_window
        )
        last, self._last = self._last, "inline"  # unless it is delegated
        try:
            return await orchestrator.run(message, last)
        finally:
            self._fm_window = orchestrator.window

    async def _gptoss_turn(self, turn_id: str, emit: Emit) -> StopReason:
        self._last = "delegate"
        return await self._gptoss.run(turn_id, self._compactor, emit)

    def _known_size(self) -> int:
        return self._tally.window if self._options["model"] == self._sized else 0

    def _orchestrated(self) -> Fm | None:
        return self._fm if self._options["mode"] == "fm" else None


async def _ready(get_ready: Callable[[], Awaitable[None]]) -> None:
    try:
        await get_ready()
    except AgentError as error:
        # The prompt that follows meets the same trouble, and says so to the user.
        logger.debug("not all is ready: %s", error)
