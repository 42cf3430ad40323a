"""What is known about a prompt before anyone answers it; plain values, gathered by `gather`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Answerer = Literal["inline", "delegate"]


@dataclass(frozen=True, slots=True)
class Resource:
    """Something attached to the prompt; a link whose text is not there has neither size."""

    uri: str
    tokens: int | None = None
    chars: int | None = None


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What the session knows. `fm_window`: tokens in and out together of the small model."""

    fm_available: bool = True
    gptoss_available: bool = True
    fm_window: int = 4096
    history_tokens: int = 0
    last_decision: Answerer | Literal[""] = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a rule can ask about. Sizes are in tokens.

    `explicit` is whom the user asked for by name; `depth` is how much reasoning it takes, 0 to 3;
    `tool_calls` and `answer_tokens` are forecasts; `fm_room` is what the small model's window has
    left after prompt, resources and answer, negative if they do not fit (history can be trimmed
    and is not counted); `signals` names what was recognised, `unrecognised` tells that
    nothing was.
    """

    prompt_tokens: int = 0
    resources: int = 0
    resource_tokens: int = 0
    history_tokens: int = 0
    tool_calls: int = 0
    files: int = 0
    steps: int = 1
    code: bool = False
    code_blocks: int = 0
    error_text: bool = False
    answer_tokens: int = 0
    depth: int = 0
    explicit: Literal["", "gptoss", "fm"] = ""
    fm_window: int = 4096
    fm_room: int = 0
    fm_available: bool = True
    gptoss_available: bool = True
    last_decision: Answerer | Literal[""] = ""
    unrecognised: bool = False
    signals: tuple[str, ...] = ()
