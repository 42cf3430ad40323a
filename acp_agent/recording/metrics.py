"""What each model call cost, measured from what the session says; kept on this machine alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from acp_agent.events import (
    Event,
    Meta,
    StepMeasured,
    TextDelta,
    ThoughtDelta,
    ToolCallStarted,
    ToolCallUpdated,
)
from acp_agent.json_log import JsonLog
from acp_agent.paths import state_dir
from acp_agent.recording.lines import (
    Happened,
    Line,
    Opened,
    OptionsSet,
    TurnEnded,
    TurnStarted,
    moment,
)
from acp_agent.recording.well_typed import misfit

FILE = "metrics.jsonl"
KEPT = 1000  # generations that are shown
MAX_BYTES = 400 * KEPT


@dataclass(frozen=True, slots=True)
class Generation:
    """One model call, by schemas/records/generation.schema.json; None is what nobody knows.

    `first_token_ms` is what the user waited; `tokens_per_second` is the engine's own where it says.
    """

    time: str
    session_id: str
    model: str
    route: str | None = None
    first_token_ms: float | None = None
    total_ms: float | None = None
    tokens_per_second: float | None = None
    prompt_tokens: int | None = None
    evaluated_tokens: int | None = None
    cached_tokens: int | None = None
    generated_tokens: int | None = None
    memory_bytes: int | None = None
    cancelled: bool = False


class Meter:
    """Follows a session line by line and says what each of its model calls cost."""

    def __init__(self, memory: Callable[[], int | None] = lambda: None) -> None:
        """`memory` tells how many bytes the engine holds now, as far as that is known."""
        self._memory = memory
        self._session = ""
        self._model = ""
        self._route: str | None = None
        self._since: float | None = None
        self._first: float | None = None
        self._is_open = False

    def feed(self, line: Line) -> Generation | None:
        """Take a line; return the model call that it ends."""
        match line:
            case Opened(_, session_id, model=model):
                self._session, self._model = session_id, model
            case OptionsSet(_, _, model):
                self._model = model or self._model
            case TurnStarted(time):
                self._route = None
                self._begin(moment(time))
            case Happened(time, event):
                return self._event(event, time)
            case TurnEnded(time, stop="cancelled") if self._is_open:
                return self._cancelled(time)
            case _:
                pass
        return None

    def _begin(self, now: float | None) -> None:
        self._since, self._first, self._is_open = now, None, False

    def _event(self, event: Event, time: str) -> Generation | None:
        match event:
            case TextDelta(meta=meta) | ThoughtDelta(meta=meta) | ToolCallStarted(meta=meta):
                self._routed(meta)
                # The call of GPT-OSS by the small model is ours, and no token of a model.
                if not (isinstance(event, ToolCallStarted) and event.name == "gptoss.generate"):
                    self._is_open = True
                    self._first = self._first or moment(time)
            case ToolCallUpdated(status="completed" | "failed"):
                self._begin(moment(time))
            case StepMeasured():
                return self._measured(event, time)
            case _:
                pass
        return None

    def _routed(self, meta: Meta | None) -> None:
        routing = (meta or {}).get("routing")
        if isinstance(routing, dict):
            decision = cast("dict[str, Any]", routing).get("decision")
            self._route = decision if isinstance(decision, str) else self._route

    def _measured(self, step: StepMeasured, time: str) -> Generation:
        took = step.milliseconds.get("predicted", 0) / 1000
        speed = step.predicted_tokens / took if took > 0 else None
        measured = replace(
            self._generation(time),
            tokens_per_second=None if speed is None else round(speed, 2),
            prompt_tokens=step.prompt_tokens,
            evaluated_tokens=step.evaluated_tokens,
            cached_tokens=step.cached_tokens,
            generated_tokens=step.predicted_tokens,
        )
        self._begin(moment(time))
        return measured

    def _cancelled(self, time: str) -> Generation:
        generation = replace(self._generation(time), cancelled=True)
        self._begin(None)
        return generation

    def _generation(self, time: str) -> Generation:
        return Generation(
            time,
            self._session,
            self._model,
            self._route,
            first_token_ms=_milliseconds(self._since, self._first),
            total_ms=_milliseconds(self._since, moment(time)),
            memory_bytes=self._memory(),
        )


class MetricsLog:
    """The newest generations of all sessions, in a file of bounded size in the state directory."""

    def __init__(self, path: Path | None = None, *, max_bytes: int = MAX_BYTES) -> None:
        self._log = JsonLog(lambda: path or state_dir() / FILE, max_bytes=max_bytes, kept=1)

    def add(self, generation: Generation) -> None:
        """Append one. Raises OSError."""
        self._log.append(asdict(generation))

    def last(self, count: int = KEPT) -> list[Generation]:
        """Return the newest, oldest first; lines that cannot be read are left out."""
        found = (generation_of(record) for record in self._log.last(count))
        return [generation for generation in found if generation is not None]


def generation_of(record: dict[str, Any]) -> Generation | None:
    """Return the generation that a JSON object is, None if it is none."""
    known = {name: record[name] for name in Generation.__slots__ if name in record}
    try:
        generation = Generation(**known)
    except TypeError:
        return None
    return None if misfit(generation) else generation


def _milliseconds(since: float | None, until: float | None) -> float | None:
    if since is None or until is None or until < since:
        return None
    return round((until - since) * 1000, 1)
