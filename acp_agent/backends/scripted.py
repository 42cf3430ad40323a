"""A token engine that plays a script, for tests and for people who write editors.

It keeps no state between requests: which step is due, it reads from the prompt itself, so sessions
do not disturb each other, and a cancelled turn leaves nothing behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import anyio
import anyio.to_thread

from acp_agent.backends.script import (
    Answer,
    Begin,
    Delay,
    Drop,
    Fail,
    Invoke,
    Item,
    Limit,
    Load,
    Overflow,
    Preamble,
    Raw,
    Say,
    Step,
    Think,
    Wait,
    tokens,
)
from acp_agent.errors import ContextOverflow, EngineFailed, StreamDropped
from acp_agent.harmony.prompts import without_note
from acp_agent.harmony.vocab import END, MESSAGE, START, load_vocabulary
from acp_agent.ports import (
    Availability,
    EngineEvent,
    EngineLoading,
    ModelInfo,
    Sampling,
    StepEnded,
    Timings,
    Tokens,
)

if TYPE_CHECKING:
    from acp_agent.harmony.vocab import Vocabulary


REMEMBERED = 100


@dataclass(frozen=True, slots=True)
class Request:
    """What the engine was asked."""

    prompt: tuple[int, ...]
    sampling: Sampling


class ScriptedEngine:
    """Plays `answers`; `requests` and `prefills` hold what it was last asked, in order."""

    name = "scripted"
    default_model = "scripted"
    supports_grammar = False

    def __init__(self, answers: Sequence[Answer], *, context: int = 131_072) -> None:
        self.requests: deque[Request] = deque(maxlen=REMEMBERED)
        self.prefills: deque[tuple[int, ...]] = deque(maxlen=REMEMBERED)
        self._answers = answers
        self._context = context

    def play(self, answers: Sequence[Answer]) -> None:
        """Play these from now on."""
        self._answers = answers

    @classmethod
    def of(cls, *steps: Step, again: bool = False) -> ScriptedEngine:
        """Return an engine that plays these steps for every prompt."""
        return cls([Answer(steps, again=again)])

    async def is_available(self) -> Availability:
        """Say that it is."""
        return Availability("ready")

    async def list_models(self) -> Sequence[ModelInfo]:
        """Return the one model, which is none."""
        return [ModelInfo(self.default_model, "scripted answers", self._context)]

    async def context_size(self) -> int:
        """Return the size that it was made with."""
        return self._context

    async def prefill(self, prompt: Sequence[int]) -> None:
        """Note the prompt."""
        self.prefills.append(tuple(prompt))

    @asynccontextmanager
    async def stream(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[AsyncIterator[EngineEvent]]:
        """Play the step that is due, one token at a time. Raises BackendError as scripted."""
        self.requests.append(Request(tuple(prompt), sampling))
        async with aclosing(self._play(prompt, sampling)) as events:
            yield events

    async def _play(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[EngineEvent]:
        if len(prompt) > self._context:
            raise ContextOverflow(len(prompt), self._context)
        # In a thread, for the first call takes a fifth of a second.
        vocabulary = await anyio.to_thread.run_sync(load_vocabulary, abandon_on_cancel=True)
        text, number = due(vocabulary, prompt)
        delay, said = 0.0, 0
        for item in fitting(self._step(text, number), len(prompt)):
            match item:
                case Think() | Preamble() | Say() | Begin() | Invoke() | Raw():
                    for token in tokens(vocabulary, item, first=not said):
                        await anyio.sleep(delay)
                        yield Tokens((token,))
                        said += 1
                        if said == sampling.max_tokens:
                            yield StepEnded("limit", _timings(prompt, said))
                            return
                case Delay(seconds):
                    delay = seconds
                case Wait(seconds):
                    await anyio.sleep(seconds)
                case Load(seconds):
                    yield EngineLoading("the engine is loading its model")
                    await anyio.sleep(seconds)
                case Limit():
                    yield StepEnded("limit", _timings(prompt, said))
                    return
                case Drop():
                    raise StreamDropped(
                        "the connection to the engine broke off in mid-answer; ask again"
                    )
                case Fail(words):
                    raise EngineFailed(words)
                case Overflow(context):
                    used = len(prompt) + said
                    raise ContextOverflow(used + 1, context or used)
                case _:
                    assert_never(item)
        yield StepEnded("stop", _timings(prompt, said))

    def _step(self, text: str, number: int) -> Step:
        for answer in self._answers:
            if answer.pattern is not None and answer.pattern in text:
                break
        else:
            answer = next((a for a in self._answers if a.pattern is None), None)
        if answer is None:
            raise EngineFailed(f"the script has no answer to {text[:60]!r}; add it, or otherwise:")
        if number >= len(answer.steps) and not answer.again:
            raise EngineFailed(f"the script's answer to {text[:60]!r} has no step {number + 1}")
        return answer.steps[number % len(answer.steps)]


def fitting(step: Step, prompt_tokens: int) -> Step:
    """Return what is said to a prompt of this size: what follows an overflow that it avoids."""
    fits = [n for n, item in enumerate(step) if _avoids(prompt_tokens, item)]
    return step[fits[-1] + 1 :] if fits else step


def _avoids(prompt_tokens: int, item: Item) -> bool:
    return isinstance(item, Overflow) and prompt_tokens <= item.tokens


def due(vocabulary: Vocabulary, prompt: Sequence[int]) -> tuple[str, int]:
    """Return the last user message's text and how many steps have been made since.

    A step is a run of assistant messages; tool messages separate them.
    """
    text, number, inside = "", 0, False
    for role, body in _messages(prompt):
        if vocabulary.decode(role).startswith("user"):
            text, number, inside = without_note(vocabulary.decode(body)), 0, False
        elif not vocabulary.decode(role).startswith("assistant"):
            number, inside = number + inside, False
        elif body:
            inside = True
    return text, number + inside


def _messages(prompt: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Return header and body of each message; the open one at the end has no body."""
    found: list[tuple[list[int], list[int]]] = []
    part: list[int] = []
    for token in prompt:
        if token == START:
            part = []
            found.append((part, []))
        elif token == MESSAGE and found:
            part = found[-1][1]
        elif token != END:
            part.append(token)
    return found


def _timings(prompt: Sequence[int], said: int) -> Timings:
    return Timings(prompt_tokens=len(prompt), predicted_tokens=said)
