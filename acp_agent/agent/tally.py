"""What a session can say about itself: tokens, times, changed files, decisions; fed with events."""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from acp_agent.agent.delegation import ORCHESTRATOR
from acp_agent.events import (
    CompactionUpdated,
    Diff,
    Event,
    Meta,
    StepMeasured,
    TextDelta,
    ToolCallStarted,
    ToolCallUpdated,
    UsageUpdated,
)

DECISIONS = 10


def is_gptoss(usage: UsageUpdated) -> bool:
    """Tell whose context it is about: GPT-OSS's, or the small model's."""
    return (usage.meta or {}).get("source") != ORCHESTRATOR


@dataclass(slots=True)
class Change:
    """A file before the session's first change and after its last; None where there was none."""

    before: str | None
    after: str | None


@dataclass(slots=True)
class Tally:
    """Counts over the whole session; times in milliseconds.

    `used` of `size` tokens are what the last model call took; `window` is what GPT-OSS holds.
    """

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    predicted_tokens: int = 0
    prompt_ms: float = 0.0
    predicted_ms: float = 0.0
    used: int = 0
    size: int = 0
    window: int = 0
    compactions: int = 0
    changes: dict[str, Change] = field(default_factory=dict[str, Change])
    decisions: deque[Meta] = field(default_factory=lambda: deque[Meta](maxlen=DECISIONS))
    _compaction: str = ""
    _shown: dict[str, list[Diff]] = field(default_factory=dict[str, list[Diff]])

    def feed(self, event: Event) -> None:
        """Count what the event says."""
        match event:
            case StepMeasured():
                self._measured(event)
            case UsageUpdated(used, size):
                self.used, self.size = used, size
                self.window = size if is_gptoss(event) else self.window
            case ToolCallUpdated():
                self._call(event)
            case CompactionUpdated(compaction_id) if compaction_id != self._compaction:
                self._compaction = compaction_id
                self.compactions += 1  # also one that never ended: its name is taken
            case TextDelta(meta=meta) | ToolCallStarted(meta=meta) if meta:
                self._decided(meta)
            case _:
                pass

    def diff(self) -> Iterator[str]:
        """Give the lines of a unified diff of all that was changed."""
        for path, change in self.changes.items():
            before, after = (text or "" for text in (change.before, change.after))
            yield from difflib.unified_diff(
                before.splitlines(),
                after.splitlines(),
                "/dev/null" if change.before is None else path,
                "/dev/null" if change.after is None else path,
                lineterm="",
            )

    def _measured(self, event: StepMeasured) -> None:
        self.calls += 1
        self.prompt_tokens += event.evaluated_tokens
        self.cached_tokens += event.cached_tokens
        self.predicted_tokens += event.predicted_tokens
        self.prompt_ms += event.milliseconds.get("prompt", 0.0)
        self.predicted_ms += event.milliseconds.get("predicted", 0.0)

    def _call(self, event: ToolCallUpdated) -> None:
        if event.content is not None:
            self._shown[event.call_id] = [part for part in event.content if isinstance(part, Diff)]
        if event.status in ("completed", "failed"):
            diffs = self._shown.pop(event.call_id, [])
            if event.status == "completed":
                for diff in diffs:
                    self._changed(diff)

    def _changed(self, diff: Diff) -> None:
        known = self.changes.get(diff.path)
        before = known.before if known else diff.old_text
        self.changes[diff.path] = Change(before, diff.new_text)

    def _decided(self, meta: Meta) -> None:
        decision = meta.get("routing")
        if isinstance(decision, Mapping):
            self.decisions.append(cast("Meta", decision))
