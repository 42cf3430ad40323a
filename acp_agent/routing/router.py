"""Who answers each prompt: facts gathered, a decision made, and every decision logged.

The pure parts stand beside this; here they meet the vocabulary and the log, in a worker thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from anyio import to_thread

from acp_agent.conversation import UserMessage
from acp_agent.routing.decide import Decision, Fired, decide, overruled
from acp_agent.routing.facts import Resource, SessionFacts
from acp_agent.routing.gather import gather
from acp_agent.routing.log import DecisionLog
from acp_agent.routing.rubric import Rubric

CountTokens = Callable[[str], int]


class Router:
    """Decides by the rubric that `rubric` loads; both callables run in a worker thread, once."""

    def __init__(
        self,
        rubric: Callable[[], Rubric],
        counter: Callable[[], CountTokens],
        log: DecisionLog,
    ) -> None:
        self._load = rubric
        self._counter = counter
        self._log = log
        self._ready: tuple[Rubric, CountTokens] | None = None
        # A prompt ends the warm-up but not its thread, and waits for what that is loading.
        self._loading = threading.Lock()

    async def warm_up(self) -> None:
        """Load rubric and vocabulary now, and try them, which compiles the patterns."""
        await to_thread.run_sync(self._warm_up, abandon_on_cancel=True)

    async def decide(self, message: UserMessage, session: SessionFacts) -> Decision:
        """Say who answers `message`. Raises ConfigError or VocabularyError."""
        work = partial(self._decide, message, session)
        return await to_thread.run_sync(work, abandon_on_cancel=True)

    def needs_gptoss(self, decision: Decision) -> bool:
        """Tell whether GPT-OSS would have got the prompt of `decision`, had it been there."""
        rubric, _ = self._prepared()
        facts = replace(decision.facts, gptoss_available=True)
        return decide(facts, rubric).decision == "delegate"

    def is_doubtful(self, decision: Decision) -> bool:
        """Tell whether the score alone decided for inline, and not by much."""
        rubric, _ = self._prepared()
        by_score = decision.decision == "inline" and not any(r.decides for r in decision.rules)
        return by_score and decision.score > rubric.threshold - rubric.doubt

    async def log(
        self, decision: Decision, message: UserMessage, session_id: str
    ) -> Mapping[str, Any]:
        """Write a decision to the log; return its record."""
        write = partial(self._log.add, decision, message.words, session_id)
        return await to_thread.run_sync(write)

    def _warm_up(self) -> None:
        self._decide(UserMessage("hi"), SessionFacts())

    def _decide(self, message: UserMessage, session: SessionFacts) -> Decision:
        rubric, count = self._prepared()
        resources = [
            Resource(one.uri, tokens=None if one.text is None else count(one.text))
            for one in message.attachments
        ]
        facts = gather(message.words, resources, rubric=rubric, count_tokens=count, session=session)
        return decide(facts, rubric)

    def _prepared(self) -> tuple[Rubric, CountTokens]:
        with self._loading:
            if self._ready is None:
                self._ready = self._load(), self._counter()
            return self._ready


def because(decision: Decision, name: str, reason: str, detail: str = "") -> Decision:
    """Return a decision for GPT-OSS in place of `decision`, by a rule that no rubric holds."""
    return overruled(decision, Fired(name, 0, reason, "delegate"), detail)
