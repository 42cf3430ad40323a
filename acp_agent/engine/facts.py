"""What a llama.cpp server says about itself, as one value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from acp_agent.backends.endpoint import Endpoint
from acp_agent.backends.failures import is_loading
from acp_agent.backends.llama_wire import failure, mismatch
from acp_agent.backends.loose_json import loads, members, objects
from acp_agent.engine.questions import ask

_METRIC = re.compile(r"^llamacpp:(\w+) ([0-9.eE+-]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Totals:
    """What the server has done since it started; what was cached was not read anew."""

    prompt_tokens: int
    prompt_seconds: float
    cached_tokens: int
    generated_tokens: int
    generated_seconds: float


@dataclass(frozen=True, slots=True)
class Facts:
    """How a server is; `context` is that of one slot. Zero, "" and None: it does not say."""

    health: str  # "ok", "loading" or "sleeping"
    model: str = ""
    file: str = ""
    version: str = ""
    context: int = 0
    slots: int = 0
    busy: int | None = None
    totals: Totals | None = None


async def read_facts(endpoint: Endpoint) -> Facts:
    """Ask the server.

    Raises:
        EngineMismatch: It is no llama.cpp server.
        BackendError: It does not answer, or wants another key.

    """
    props = await ask(endpoint, "/props")
    if is_loading(props):
        return Facts("loading")
    if props.status != 200:
        raise failure(endpoint.url, props.status, props.body)
    fields = props.fields()
    context = members(fields.get("default_generation_settings")).get("n_ctx")
    if not isinstance(context, int):
        raise mismatch(endpoint.url, "its /props name no context size")
    if fields.get("is_sleeping") is True:
        # Another question could wake it.
        return Facts("sleeping", file=_text(fields.get("model_path")), context=context)
    file = _text(fields.get("model_path"))
    slots = fields.get("total_slots")
    return Facts(
        "ok",
        model=_text(fields.get("model_alias")) or Path(file).stem,
        file=file,
        version=_text(fields.get("build_info")),
        context=context,
        slots=slots if isinstance(slots, int) else 0,
        busy=await _busy(endpoint),
        totals=await _totals(endpoint),
    )


async def _busy(endpoint: Endpoint) -> int | None:
    answer = await ask(endpoint, "/slots")
    if answer.status != 200:
        return None  # it was started without them
    return sum(slot.get("is_processing") is True for slot in objects(loads(answer.body)))


async def _totals(endpoint: Endpoint) -> Totals | None:
    answer = await ask(endpoint, "/metrics")
    if answer.status != 200:
        return None  # it was started without them
    found = dict(_METRIC.findall(answer.body.decode(errors="replace")))

    def metric(name: str) -> float:
        return float(found.get(name, 0.0))

    return Totals(
        int(metric("prompt_tokens_total")),
        metric("prompt_seconds_total"),
        int(metric("prompt_tokens_cached_total")),
        int(metric("tokens_predicted_total")),
        metric("tokens_predicted_seconds_total"),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
