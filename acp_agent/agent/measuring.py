"""What a model call cost, as an event."""

from __future__ import annotations

from acp_agent.events import StepMeasured
from acp_agent.ports import Timings


def measured(timings: Timings, repairs: tuple[str, ...] = ()) -> StepMeasured:
    """Return the event for the figures that the engine gave."""
    return StepMeasured(
        prompt_tokens=timings.cached_tokens + timings.prompt_tokens,
        evaluated_tokens=timings.prompt_tokens,
        cached_tokens=timings.cached_tokens,
        predicted_tokens=timings.predicted_tokens,
        milliseconds={"prompt": timings.prompt_ms, "predicted": timings.predicted_ms},
        repairs=repairs,
    )
