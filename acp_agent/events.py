"""What a turn says while it runs: the one vocabulary shared by loop, recorder and edge.

Messages and tool calls carry ids, so that a reader can treat every event as an upsert.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

StopReason = Literal["end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled"]
ToolKind = Literal[
    "read", "edit", "delete", "move", "search", "execute", "think", "fetch", "switch_mode", "other"
]
ToolStatus = Literal["pending", "in_progress", "completed", "failed"]
PlanStatus = Literal["pending", "in_progress", "completed"]
Priority = Literal["high", "medium", "low"]
CompactionStatus = Literal["in_progress", "completed", "failed", "cancelled"]
Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file: absolute `path`, 1-based `line`."""

    path: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Diff:
    """A file's change; `old_text` is None for a file that did not exist."""

    path: str
    old_text: str | None
    new_text: str


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text shown inside a tool call."""

    text: str


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal that the client made; only its ids may be shown."""

    terminal_id: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: `data` is base64, `mime_type` such as `image/png`."""

    data: str
    mime_type: str


ToolContent = Diff | Text | Terminal | Image
Meta = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    """More of the model's reasoning (Harmony channel `analysis`).

    `meta` here and below is for programs: who said it, and why it was asked (ACP's `_meta`).
    """

    message_id: str
    text: str
    meta: Meta | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of what the model says to the user (`final`, or a `commentary` preamble)."""

    message_id: str
    text: str
    meta: Meta | None = None


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A call appears; it may still lack arguments, which an update brings."""

    call_id: str
    name: str
    title: str
    kind: ToolKind = "other"
    status: ToolStatus = "pending"
    raw_input: object = None
    meta: Meta | None = None


@dataclass(frozen=True, slots=True)
class ToolCallUpdated:
    """What changed about a call; None leaves a field as it is, a tuple replaces the whole list."""

    call_id: str
    title: str | None = None
    kind: ToolKind | None = None
    status: ToolStatus | None = None
    content: tuple[ToolContent, ...] | None = None
    locations: tuple[Location, ...] | None = None
    raw_input: object = None
    raw_output: object = None


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """Live output of a command that we run ourselves.

    `delta` is new text; `snapshot` is all that is worth showing so far, for clients that have no
    live terminal. `exit_code` and `signal` are set once, by the last event of the call.
    """

    call_id: str
    delta: str
    snapshot: str
    cwd: str
    exit_code: int | None = None
    signal: str | None = None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """One line of the model's plan."""

    content: str
    status: PlanStatus
    priority: Priority = "medium"


@dataclass(frozen=True, slots=True)
class PlanUpdated:
    """The whole plan, as it stands now."""

    entries: tuple[PlanEntry, ...]


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something that the user should know and need not act on."""

    title: str
    severity: Severity = "info"
    description: str = ""


@dataclass(frozen=True, slots=True)
class CompactionUpdated:
    """The conversation is being made shorter, or is; `text` says what came of it."""

    compaction_id: str
    status: CompactionStatus
    text: str = ""


@dataclass(frozen=True, slots=True)
class CompactionSummarized:
    """More of the summary that takes the place of what was said before."""

    compaction_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Titled:
    """What the session is about, in a few words."""

    title: str


@dataclass(frozen=True, slots=True)
class UsageUpdated:
    """Tokens in the context after a model call, and how many it holds.

    `meta` has `estimated` if the server did not count them all.
    """

    used: int
    size: int
    meta: Meta | None = None


@dataclass(frozen=True, slots=True)
class StepMeasured:
    """What one model call cost; for metrics and the log, never for the editor.

    Token counts are the engine's own; `milliseconds` maps `prompt` and `predicted`.
    """

    prompt_tokens: int
    evaluated_tokens: int
    cached_tokens: int
    predicted_tokens: int
    milliseconds: Mapping[str, float] = field(default_factory=dict[str, float])
    repairs: tuple[str, ...] = ()


Event = (
    ThoughtDelta
    | TextDelta
    | ToolCallStarted
    | ToolCallUpdated
    | ToolOutput
    | PlanUpdated
    | Noticed
    | CompactionUpdated
    | CompactionSummarized
    | Titled
    | UsageUpdated
    | StepMeasured
)

Emit = Callable[[Event], Awaitable[None]]
