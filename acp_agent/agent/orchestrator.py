"""One prompt in mode `fm`: who answers it, and what if they cannot.

A rubric decides. The small model answers inline; what is too much for it goes to GPT-OSS by the
visible call `gptoss.generate`. Each can stand in for the other, and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

import anyio

from acp_agent.agent.delegation import Delegation, Wish, plain, task_type, unavailable
from acp_agent.agent.history import History
from acp_agent.agent.inline import Answered, Inline
from acp_agent.agent.voice import SmallModel
from acp_agent.agent.window import cut, seen, size
from acp_agent.conversation import UserMessage
from acp_agent.errors import BackendError, ContextOverflow, EngineUnavailable
from acp_agent.events import Emit, Meta, Noticed, StopReason
from acp_agent.routing.decide import Decision
from acp_agent.routing.facts import Answerer, SessionFacts
from acp_agent.routing.router import because

logger = logging.getLogger(__name__)

PATIENCE = 0.5  # seconds after which the user is told that the small model is being loaded


class Router(Protocol):
    """Decides by a rubric, and logs; see `routing.router`."""

    async def warm_up(self) -> None: ...

    async def decide(self, message: UserMessage, session: SessionFacts) -> Decision: ...

    def needs_gptoss(self, decision: Decision) -> bool: ...

    def is_doubtful(self, decision: Decision) -> bool: ...

    async def log(self, decision: Decision, message: UserMessage, session_id: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class Fm:
    """What mode `fm` takes: the small model, the router, and a look whether GPT-OSS can be had.

    `gptoss_missing` says why a model, by its id, cannot answer now; "" if it seems to be there.
    """

    small: SmallModel
    router: Router
    gptoss_missing: Callable[[str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Gptoss:
    """The other side: GPT-OSS's turn on the same history, and what to call it."""

    run: Callable[[Emit], Awaitable[StopReason]]
    model: str
    workspace_root: str = ""


class Orchestrator:
    """Runs one prompt, which stands in the history already.

    `window` is the small model's, in tokens, as far as it is known.
    """

    def __init__(
        self,
        turn_id: str,
        session_id: str,
        fm: Fm,
        gptoss: Gptoss,
        history: History,
        emit: Emit,
        window: int = SessionFacts().fm_window,
    ) -> None:
        self.window = window
        self._id = turn_id
        self._session_id = session_id
        self._fm = fm
        self._router = fm.router
        self._gptoss = gptoss
        self._history = history
        self._emit = emit

    async def run(self, message: UserMessage, last: Answerer | Literal[""]) -> StopReason:
        """Answer `message`; `last` is who answered before.

        The small model is not waited for, nor GPT-OSS looked for, where a prompt does not need it.

        Raises:
            BackendError: Nobody could.

        """
        decision, missing = await self._decide(message, last)
        await self._router.log(decision, message, self._session_id)
        if decision.decision == "delegate":
            return await self._delegate(message, decision)
        outcome = await self._inline(decision, missing)
        if isinstance(outcome, Answered):
            return "max_tokens" if outcome.is_cut else "end_turn"
        if outcome.stalled:
            self._fm.small.stalled(outcome.detail)
        missing = missing or await self._missing()
        if missing:
            raise EngineUnavailable(f"{outcome.told}, and GPT-OSS cannot answer now: {missing}")
        self._history.forget_answer()
        decision = because(decision, outcome.rule, _reason(outcome), outcome.detail)
        await self._router.log(decision, message, self._session_id)
        return await self._delegate(message, decision, outcome)

    async def _missing(self) -> str:
        return await self._fm.gptoss_missing(self._gptoss.model)

    async def _decide(
        self, message: UserMessage, last: Answerer | Literal[""]
    ) -> tuple[Decision, str]:
        """Return the decision, and why GPT-OSS is missing where that was looked at."""
        *earlier, _ = seen(self._history.entries)
        session = SessionFacts(
            fm_window=self.window, history_tokens=sum(map(size, earlier)), last_decision=last
        )
        decision = await self._router.decide(message, session)
        missing = await self._missing() if decision.decision == "delegate" else ""
        if missing:
            session = replace(session, gptoss_available=False)
            decision = await self._router.decide(message, session)
        return decision, missing

    async def _open(self) -> Inline | Wish:
        """Return the small model, or why there is none."""
        found: Inline | Wish = Wish("")

        async def open_it() -> None:
            nonlocal found
            try:
                voice = await self._fm.small.open(self._emit)
                self.window = await voice.model.context_size()
                found = Inline(f"{self._id}.fm", voice, self._history, self._emit)
            except BackendError as error:
                logger.warning("the small model is unavailable: %s", plain(str(error)))
                found = unavailable(error)
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(open_it)
            await anyio.sleep(PATIENCE)
            await self._emit(Noticed("the small model is being loaded"))
        return found

    async def _inline(self, decision: Decision, missing: str) -> Answered | Wish:
        """Let the small model answer, or say that it should not, or cannot."""
        small = await self._open()
        if isinstance(small, Wish):
            return small
        doubtful = small.can_choose and self._router.is_doubtful(decision)
        if not missing and (doubtful or small.has_tool):
            missing = await self._missing()
        if missing:
            return await self._alone(small, decision, missing)
        wish = await small.choose() if doubtful else None
        return wish or await small.answer(_meta(decision), may_delegate=True)

    async def _alone(self, small: Inline, decision: Decision, missing: str) -> Answered | Wish:
        """Let the small model answer what it can, and say what is missing where it is missed."""
        if not self._router.needs_gptoss(decision):
            return await small.answer(_meta(decision))
        opening = f"This is a task for GPT-OSS, which cannot answer now: {missing}"
        return await self._after(opening, small, decision, missing)

    async def _delegate(
        self, message: UserMessage, decision: Decision, wish: Wish | None = None
    ) -> StopReason:
        delegation = Delegation(
            f"{self._id}.gptoss",
            message.words,
            decision,
            self._emit,
            task=(wish and wish.task_type) or task_type(decision.facts, message.words),
            model=self._gptoss.model,
            workspace_root=self._gptoss.workspace_root,
        )
        try:
            return await delegation.run(self._gptoss.run)
        except BackendError as error:
            if isinstance(error, ContextOverflow):
                # It would be in the way of every prompt to come.
                self._history.shorten(partial(cut, room=self.window))
            return await self._instead(decision, error, has_shown=delegation.has_shown)

    async def _instead(
        self, decision: Decision, error: BackendError, *, has_shown: bool
    ) -> StopReason:
        """Let the small model stand in for a GPT-OSS that failed."""
        small = await self._open()
        if isinstance(small, Wish):
            raise type(error)(f"{error} ({small.told})") from error
        logger.warning("GPT-OSS could not answer: %s", plain(str(error)))
        if has_shown:
            await small.remark(f"GPT-OSS broke off: {error}", _failed(str(error)))
            return "end_turn"
        opening = f"GPT-OSS could not answer: {error}"
        answered = await self._after(opening, small, decision, str(error))
        return "max_tokens" if answered.is_cut else "end_turn"

    async def _after(self, opening: str, small: Inline, decision: Decision, why: str) -> Answered:
        """Say `opening`, which is an answer already, and what the small model knows to add."""
        meta = {**_meta(decision), **_failed(why)}
        outcome = await small.answer(meta, opening=f"{opening}\n\n")
        return outcome if isinstance(outcome, Answered) else Answered()


def _reason(wish: Wish) -> str:
    return f"{wish.rule}: {wish.reason}" if wish.rule == "fm_unavailable" else wish.reason


def _meta(decision: Decision) -> Meta:
    return {"routing": decision.as_json()}


def _failed(why: str) -> Meta:
    """Say to programs that a prompt for GPT-OSS was not answered by it."""
    return {"gptossError": plain(why)}
