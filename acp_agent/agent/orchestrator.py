"""One prompt in mode `fm`: who answers it, and what if they cannot.

A rubric decides. The small model answers inline; what is too much for it goes to GPT-OSS by the
visible call `gptoss.generate`. Each can stand in for the other, and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from acp_agent.agent.delegation import Delegation, Wish, task_type
from acp_agent.agent.history import History
from acp_agent.agent.inline import Answered, Inline
from acp_agent.agent.voice import SmallModel
from acp_agent.agent.window import seen, size
from acp_agent.conversation import UserMessage
from acp_agent.errors import BackendError, ContextOverflow, EngineUnavailable
from acp_agent.events import Emit, Meta, StopReason
from acp_agent.routing.decide import Decision
from acp_agent.routing.facts import Answerer, SessionFacts
from acp_agent.routing.router import because

logger = logging.getLogger(__name__)


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
    """Runs one prompt, which stands in the history already."""

    def __init__(
        self, turn_id: str, session_id: str, fm: Fm, gptoss: Gptoss, history: History, emit: Emit
    ) -> None:
        self._id = turn_id
        self._session_id = session_id
        self._small = fm.small
        self._router = fm.router
        self._gptoss_missing = fm.gptoss_missing
        self._gptoss = gptoss
        self._history = history
        self._emit = emit
        self._window = SessionFacts().fm_window
        self._trouble = ""  # why there is no small model
        self._looked: str | None = None  # what a look for GPT-OSS found

    async def run(self, message: UserMessage, last: Answerer | Literal[""]) -> StopReason:
        """Answer `message`; `last` is who answered before.

        Raises:
            BackendError: Nobody could.

        """
        small = await self._open()
        decision = await self._decide(message, small, last)
        wish: Wish | None = None
        if small is not None and decision.decision == "inline":
            outcome = await self._inline(small, decision)
            if isinstance(outcome, Answered):
                return "max_tokens" if outcome.is_cut else "end_turn"
            wish = outcome
            self._history.forget_answer()
            decision = because(decision, wish.rule, wish.reason)
            await self._router.log(decision, message, self._session_id)
        return await self._delegate(message, decision, wish, small)

    async def _open(self) -> Inline | None:
        try:
            voice = await self._small.open(self._emit)
            self._window = await voice.model.context_size()
        except BackendError as error:
            logger.warning("the small model is unavailable: %s", error)
            self._trouble = str(error)
            return None
        return Inline(f"{self._id}.fm", voice, self._history, self._emit)

    async def _missing(self) -> str:
        """Say why GPT-OSS cannot answer: asked once, and only about what may go there.

        The look can take requests of its own, which a light prompt does without.
        """
        if self._looked is None:
            self._looked = await self._gptoss_missing(self._gptoss.model)
        return self._looked

    async def _decide(
        self, message: UserMessage, small: Inline | None, last: Answerer | Literal[""]
    ) -> Decision:
        *earlier, _ = seen(self._history.entries)
        session = SessionFacts(
            fm_available=small is not None,
            fm_window=self._window,
            history_tokens=sum(map(size, earlier)),
            last_decision=last,
        )
        decision = await self._router.decide(message, session)
        if small is None:
            why = f"fm_unavailable: {self._trouble}, so GPT-OSS answers"
            decision = replace(decision, reason=why)
        elif self._may_go(decision, small) and await self._missing():
            session = replace(session, gptoss_available=False)
            decision = await self._router.decide(message, session)
        await self._router.log(decision, message, self._session_id)
        return decision

    def _may_go(self, decision: Decision, small: Inline) -> bool:
        """Tell whether the prompt may go to GPT-OSS, be it by the small model's own wish."""
        if decision.decision == "delegate" or small.has_tool:
            return True
        return small.can_choose and self._router.is_doubtful(decision)

    async def _inline(self, small: Inline, decision: Decision) -> Answered | Wish:
        """Let the small model answer, or say that it should not."""
        if self._looked:
            return await self._alone(small, decision, self._looked)
        if self._router.is_doubtful(decision):
            wish = await small.choose()
            if wish is not None:
                return wish
        try:
            outcome = await small.answer(_meta(decision), may_delegate=True)
        except BackendError as error:
            logger.warning("the small model broke off: %s", error)
            outcome = Wish(f"fm_unavailable: {error}", rule="fm_unavailable")
        if isinstance(outcome, Wish) and (missing := await self._missing()):
            raise _neither(outcome, missing)
        return outcome

    async def _alone(self, small: Inline, decision: Decision, missing: str) -> Answered:
        """Let the small model answer what it can, and say what is missing where it is missed."""
        opening = ""
        if self._router.needs_gptoss(decision):
            opening = f"This is a task for GPT-OSS, which cannot answer now: {missing}\n\n"
        outcome = await small.answer(_meta(decision), opening=opening)
        if isinstance(outcome, Wish) and not opening:
            raise _neither(outcome, missing)
        return outcome if isinstance(outcome, Answered) else Answered()

    async def _delegate(
        self, message: UserMessage, decision: Decision, wish: Wish | None, small: Inline | None
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
        except ContextOverflow:
            raise  # the message itself is the trouble, and must go
        except BackendError as error:
            if small is None:
                both = f"{error} (and the small model is unavailable: {self._trouble})"
                raise type(error)(both) from error
            logger.warning("GPT-OSS could not answer: %s", error)
            if delegation.has_shown:
                await small.remark(f"GPT-OSS broke off: {error}")
                return "end_turn"
            return await self._instead(small, decision, error)

    async def _instead(self, small: Inline, decision: Decision, error: BackendError) -> StopReason:
        """Let the small model stand in for a GPT-OSS that said nothing."""
        opening = f"GPT-OSS could not answer: {error}\n\n"
        try:
            outcome = await small.answer(_meta(decision), opening=opening)
        except BackendError as another:
            logger.warning("the small model could not stand in: %s", another)
            return "end_turn"
        return "max_tokens" if outcome == Answered(is_cut=True) else "end_turn"


def _neither(wish: Wish, missing: str) -> EngineUnavailable:
    return EngineUnavailable(f"{wish.reason}, and GPT-OSS cannot answer now: {missing}")


def _meta(decision: Decision) -> Meta:
    return {"routing": decision.as_json()}
