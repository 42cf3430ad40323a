"""What a model call cost and how full it left the context, as events."""

from __future__ import annotations

import logging

from acp_agent.agent.window import estimated_tokens
from acp_agent.conversation import ModelRequest, ModelStep, ToolMessage, UserMessage
from acp_agent.errors import BackendError
from acp_agent.events import Meta, StepMeasured, UsageUpdated
from acp_agent.ports import LocalModelBackend, Timings

logger = logging.getLogger(__name__)


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


async def usage(
    model: LocalModelBackend,
    request: ModelRequest,
    step: ModelStep,
    timings: Timings,
    meta: Meta | None = None,
) -> UsageUpdated | None:
    """Return what a call of `model` took of its window; None if that cannot be had.

    What the server did not count is counted or estimated here; an estimate says so in `meta`.
    """
    try:
        size = await model.context_size()
        prompt = timings.cached_tokens + timings.prompt_tokens or await model.count(request)
    except BackendError as error:  # the answer is there; how full the context is, is not
        logger.debug("the use of the context is unknown: %s", error)
        return None
    said, predicted = _said(step), timings.predicted_tokens
    if prompt and (predicted or not said):
        return UsageUpdated(prompt + predicted, size, meta)
    used = (prompt or estimate(request)) + (predicted or estimated_tokens(said))
    return UsageUpdated(min(used, size), size, {**(meta or {}), "estimated": True})


def estimate(request: ModelRequest) -> int:
    """Return about how many tokens a request has, rather too many than too few."""
    texts = [request.instructions]
    texts += [f"{tool.name} {tool.description} {tool.parameters}" for tool in request.shown_tools]
    for entry in request.entries:
        match entry:
            case UserMessage() | ToolMessage():
                texts.append(entry.text)
            case ModelStep():
                texts += [message.text for message in entry.messages]
                texts += [call.arguments for call in entry.calls]
    return sum(estimated_tokens(text) + 8 for text in texts)


def _said(step: ModelStep) -> str:
    return "".join(message.text for message in step.messages)
