"""Keeps a conversation within the model's context, each step only as far as it is needed.

The reasoning of finished turns is never rendered again, so what is left to save is, in this order:
the middle of old tool results, then whole finished turns and the early steps of this one, which the
model sums up. What changes near the beginning of a prompt makes the engine read it all anew, so
when something must go, room is made for a while.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

import anyio

from acp_agent.agent.history import SUMMARY, History
from acp_agent.agent.measuring import estimate, measured
from acp_agent.agent.window import estimated_tokens
from acp_agent.conversation import Entry, ModelRequest, ModelStep, ToolMessage, UserMessage
from acp_agent.errors import BackendError, ContextOverflow
from acp_agent.events import CompactionSummarized, CompactionUpdated, Emit
from acp_agent.ports import LocalModelBackend, StepEnded, TextPart

logger = logging.getLogger(__name__)

CLEAN_UP_SECONDS = 5
LARGEST_RESERVE = 4096  # tokens for an answer
RELIEF = 0.75  # of the limit, to be reached once something must go
HEAD, TAIL = 1000, 500  # characters that are left of an old tool result
CUT = "\n[… {} characters left out …]\n"
ASK = (
    "Sum up our conversation so far for yourself; it will replace what you see above. Keep what was"
    " asked, decided and found out, the names of files, functions and commands, exact values, what"
    " is done, and what is still to do. Call no tool. At most 400 words."
)
LONGEST_LINE, LONGEST_SUMMARY = 300, 6000


@dataclass(frozen=True, slots=True)
class Compacted:
    """Tokens of the next prompt, before and after."""

    before: int
    after: int


class Compactor:
    """Works on the history of one session; `request` is the next one, as the history stands.

    `known_size` is the context as it was told last, 0 if it is not known: an engine that is only
    being started is not waited for here.
    """

    def __init__(
        self,
        session_id: str,
        history: History,
        model: Callable[[], LocalModelBackend],
        request: Callable[[], ModelRequest],
        known_size: Callable[[], int],
        compactions: int = 0,
    ) -> None:
        """Take whose history it is, and how often it was compacted before."""
        self._session_id = session_id
        self._history = history
        self._model = model
        self._request = request
        self._known_size = known_size
        self._numbers = count(compactions + 1)

    async def fit(self, emit: Emit) -> None:
        """Make the next prompt and its answer fit, if they do not.

        Raises:
            ContextOverflow: The last message alone is too large.
            BackendError: The model could not be asked.

        """
        size = self._known_size()
        if not size:
            return
        limit = self._limit(size)
        before = await self._tokens()
        if before > limit:
            await self._relieve(before, int(limit * RELIEF), limit, size, emit)

    async def recover(self, error: ContextOverflow, emit: Emit) -> None:
        """Make room after the engine has said that there is too little. Raises as `fit`."""
        size = error.context_size or await self._model().context_size()
        counted, real = await self._tokens(), error.prompt_tokens
        # Who cannot count exactly has counted too few.
        share = min(1.0, counted / real) if real > 0 else 1.0
        limit = int(self._limit(size) * share)
        try:
            await self._relieve(counted, int(limit * RELIEF), limit, size, emit)
        except ContextOverflow:
            raise error from None  # the engine's own numbers
        if await self._tokens() >= counted:
            raise error

    async def compact(self, emit: Emit, focus: str = "") -> Compacted:
        """Sum up everything that was said. Raises BackendError."""
        before = await self._tokens()
        await self._sum_up(len(self._history.entries), emit, focus)
        return Compacted(before, await self._tokens())

    async def _relieve(self, before: int, target: int, limit: int, size: int, emit: Emit) -> None:
        logger.info("session %s: %d tokens, %d allowed", self._session_id, before, limit)
        await self._shrink(target, emit)
        if await self._tokens() > limit:
            await self._sum_up(_last_prompt(self._history.entries), emit)
        if await self._tokens() > limit:
            await self._sum_up(_last_step(self._history.entries), emit)
        left = await self._tokens()
        if left > limit:
            raise ContextOverflow(left, size, self._reserve(size))

    async def _shrink(self, target: int, emit: Emit) -> None:
        """Cut old tool results, the oldest first, until the target is reached or none is left."""
        before = tokens = await self._tokens()
        entries = list(self._history.entries)
        newest = _last_step(entries)
        for index in range(newest):
            if tokens <= target:
                break
            entry = entries[index]
            if isinstance(entry, ToolMessage) and len(entry.text) > 2 * (HEAD + TAIL):
                shorter = shortened(entry.text)
                entries[index] = replace(entry, text=shorter)
                tokens -= estimated_tokens(entry.text) - estimated_tokens(shorter)
        if entries != list(self._history.entries):
            self._history.replace(entries)
            after = await self._tokens()
            how = f"old tool results were cut: {before:,} → {after:,} tokens"
            await emit(CompactionUpdated(self._next_id(), "completed", how))

    async def _sum_up(self, until: int, emit: Emit, focus: str = "") -> None:
        """Replace the entries before `until` by a summary; the last prompt stays."""
        entries = list(self._history.entries)
        old, rest = entries[:until], entries[until:]
        if not any(isinstance(entry, ModelStep) for entry in old):
            return
        prompt = next((e for e in reversed(old) if isinstance(e, UserMessage)), None)
        if prompt is not None and rest and not isinstance(rest[0], UserMessage):
            rest = [replace(prompt, note=""), *rest]
        compaction_id = self._next_id()
        await emit(CompactionUpdated(compaction_id, "in_progress"))
        before = await self._tokens()
        try:
            summary = await self._summary(compaction_id, old, emit, focus)
        except BackendError as error:
            logger.warning("the model cannot sum up: %s", error)
            summary = outline(old)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
                await emit(CompactionUpdated(compaction_id, "cancelled"))
            raise
        note = next((e.note for e in old if isinstance(e, UserMessage)), "")
        self._history.replace([UserMessage(SUMMARY + summary, note=note), *rest])
        how = f"earlier messages were summed up: {before:,} → {await self._tokens():,} tokens"
        await emit(CompactionUpdated(compaction_id, "completed", how))

    async def _summary(
        self, compaction_id: str, old: Sequence[Entry], emit: Emit, focus: str
    ) -> str:
        ask = f"{ASK} Above all keep what matters for: {focus}" if focus else ASK
        size = await self._model().context_size()
        request = replace(
            self._request(),
            entries=[*old, UserMessage(ask)],
            max_tokens=self._reserve(size),
        )
        async with self._model().stream(request) as stream:
            async for event in stream:
                if isinstance(event, TextPart):
                    await emit(CompactionSummarized(compaction_id, event.text))
                elif isinstance(event, StepEnded):
                    await emit(measured(event.timings))
            step = stream.step()
        said = "".join(message.text for message in step.messages if message.channel == "final")
        return said.strip() or outline(old)  # a model that goes on with its work sums up nothing

    async def _tokens(self) -> int:
        request = self._request()
        exact = await self._model().count(request)
        return estimate(request) if exact is None else exact

    def _limit(self, size: int) -> int:
        return size - self._reserve(size)

    def _reserve(self, size: int) -> int:
        asked = self._request().max_tokens or LARGEST_RESERVE
        return min(asked, LARGEST_RESERVE, size // 4)

    def _next_id(self) -> str:
        return f"{self._session_id}.compaction-{next(self._numbers)}"


def shortened(text: str) -> str:
    """Return the beginning and the end of an old tool result."""
    return text[:HEAD] + CUT.format(len(text) - HEAD - TAIL) + text[-TAIL:]


def outline(entries: Sequence[Entry]) -> str:
    """Return what a model would have summed up, as far as it can be had without one."""
    summary, lines = "", list[str]()
    for entry in entries:
        match entry:
            case UserMessage(words=words) if words.startswith(SUMMARY):
                summary = words.removeprefix(SUMMARY)[:LONGEST_SUMMARY]
            case UserMessage():
                lines.append(f"The user: {_line(entry.words)}")
            case ModelStep():
                lines += [f"You: {_line(m.text)}" for m in entry.messages if m.channel == "final"]
                lines += [f"You called {c.recipient}: {_line(c.arguments)}" for c in entry.calls]
            case ToolMessage():
                pass
    return "\n".join([summary, *lines[-60:]] if summary else lines[-60:])


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"


def _last_prompt(entries: Sequence[Entry]) -> int:
    return max((i for i, e in enumerate(entries) if isinstance(e, UserMessage)), default=0)


def _last_step(entries: Sequence[Entry]) -> int:
    """Return where the last step begins, or the last prompt, if nothing came after it."""
    return max((i for i, e in enumerate(entries) if not isinstance(e, ToolMessage)), default=0)
