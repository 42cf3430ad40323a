"""`acp-agent engine status`: how the engine does, in a few lines."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import anyio

from acp_agent.config import Settings
from acp_agent.engine.facts import Facts, Totals, read_facts
from acp_agent.engine.home import EngineState
from acp_agent.engine.machine import held
from acp_agent.engine.own import Own, listed, own_engines
from acp_agent.engine.running import find_running
from acp_agent.errors import BackendError
from acp_agent.ports import Timings
from acp_agent.verbs.engine_ask import answer
from acp_agent.verbs.engine_stop import PID_FILE, loop_of
from acp_agent.verbs.engine_variables import Asked
from acp_agent.verbs.engine_variables import sample as sample_of

SAMPLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Status:
    """What there is to say; `own` is None for an engine that we have not started."""

    health: str
    url: str = ""
    problem: str = ""
    facts: Facts | None = None
    own: Own | None = None
    timings: Timings | None = None
    memory: tuple[int, int] = (0, 0)  # bytes, now and at most


def status(settings: Settings, variables: Mapping[str, str], *, sample: bool, as_json: bool) -> int:
    """Print how the engine does; 1 if there is none, or if it is not well."""
    asked = sample_of(variables) if sample else None
    found = anyio.run(_status, settings, asked)
    keepalive = _keepalive(found.own, variables)
    if as_json:
        print(json.dumps(_as_json(found, keepalive), ensure_ascii=False))
    else:
        print("\n".join(_lines(found, keepalive)))
    return 1 if found.health == "unavailable" else 0


async def _status(settings: Settings, asked: Asked | None) -> Status:
    try:
        running = await find_running(settings)
    except BackendError as error:
        return Status("unavailable", problem=str(error))
    url, own = running.endpoint.url, running.own
    memory = held(own.state.child or own.state.pid) if own else (0, 0)
    try:
        facts = await read_facts(running.endpoint)
        found = Status(facts.health, url, "", facts, own, None, memory)
        # A sample would wait behind long answers, and wake an engine that sleeps.
        free = facts.busy is None or facts.busy < facts.slots
        if asked is None or facts.health != "ok" or not free:
            return found
        with anyio.move_on_after(SAMPLE_SECONDS):
            reply = await answer(running.endpoint, asked)
            return replace(found, timings=reply.timings)
        return replace(found, problem=f"it gave no token within {SAMPLE_SECONDS:g} s")
    except BackendError as error:
        return Status("unavailable", url, str(error), own=own, memory=memory)


def _keepalive(own: Own | None, variables: Mapping[str, str]) -> str:
    """Say what keeps an engine warm: its own requests, or the loop of an older script."""
    if own is not None and own.state.keepalive:
        if not own.home.is_quiet(own.state.pid):
            return f"running (pid {own.state.pid}), every {own.state.keepalive:g} s"
        return "stopped"
    pid, alive = loop_of(Path(variables.get("GPT_OSS_KEEPALIVE_PID_FILE") or PID_FILE))
    if pid is None:
        return "not running"
    return f"running (pid {pid})" if alive else f"stale pid file ({pid})"


def _lines(found: Status, keepalive: str) -> list[str]:
    facts, own = found.facts, found.own
    lines = [f"health: {found.health}"]
    if found.problem:
        lines.append(f"problem: {found.problem}")
    if found.url:
        lines.append(f"engine: {found.url}, {_whose(own)}")
    if own is not None or (facts and facts.model):
        lines.append(f"model: {(facts and facts.file) or (own and own.state.model) or ''}")
    if facts is not None and facts.context:
        busy = "" if facts.busy is None else f", {facts.busy} busy"
        lines.append(f"context: {facts.context} tokens")
        lines.append(f"slots: {facts.slots}{busy}")
    if facts is not None and facts.totals is not None:
        lines += _so_far(facts.totals)
    if found.memory[0]:
        now, most = (size / 1e6 for size in found.memory)
        lines.append(f"memory: {now:.0f} MB, at most {most:.0f} MB")
    lines += _of_machine(own.state) if own else []
    lines.append(f"keepalive: {keepalive}")
    if found.timings is not None:
        lines.append(f"speed: {_speed(found.timings)}")
        lines.append(f"timings: {json.dumps(_rates(found.timings))}")
    others = _others(found)
    if others and found.url:
        lines.append(f"also running: {listed(others)}")
    return lines


def _of_machine(state: EngineState) -> list[str]:
    used, limit = f"{state.pressure:.0%}", f"{state.limit:.0%}"
    pressure = f"machine: {used} of its memory is in use; above {limit} the engine ends when idle"
    return [*([pressure] if state.pressure else []), *(f"warning: {w}" for w in state.warnings)]


def _others(found: Status) -> list[Own]:
    pid = found.own.state.pid if found.own else 0
    return [own for own in own_engines() if own.state.pid != pid]


def _whose(own: Own | None) -> str:
    if own is None:
        return "not ours"
    version = f", {own.state.kind} {own.state.version}".rstrip() if own.state.kind else ""
    return f"ours (pid {own.state.pid}, up {_span(time.time() - own.state.started)}{version})"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _so_far(totals: Totals) -> list[str]:
    read = totals.prompt_tokens + totals.cached_tokens
    if not read and not totals.generated_tokens:
        return ["so far: nothing was asked"]
    prompt = _rate(totals.prompt_tokens, totals.prompt_seconds)
    generated = _rate(totals.generated_tokens, totals.generated_seconds)
    cached = f"{totals.cached_tokens / read:.0%}" if read else "0%"
    return [
        f"so far: prompt {prompt:.1f} tokens/s, generation {generated:.1f} tokens/s",
        f"cache: {totals.cached_tokens} of {read} prompt tokens were there already ({cached})",
    ]


def _speed(timings: Timings) -> str:
    rates = _rates(timings)
    return (
        f"prompt {rates['prompt_per_second']:.1f} tokens/s,"
        f" generation {rates['predicted_per_second']:.1f} tokens/s"
    )


def _rates(timings: Timings) -> dict[str, float]:
    """Return the figures under the server's own names."""
    return {
        "cache_n": timings.cached_tokens,
        "prompt_n": timings.prompt_tokens,
        "prompt_ms": timings.prompt_ms,
        "prompt_per_second": _rate(timings.prompt_tokens, timings.prompt_ms / 1000),
        "predicted_n": timings.predicted_tokens,
        "predicted_ms": timings.predicted_ms,
        "predicted_per_second": _rate(timings.predicted_tokens, timings.predicted_ms / 1000),
    }


def _rate(tokens: int, seconds: float) -> float:
    return round(tokens / seconds, 1) if seconds else 0.0


def _as_json(found: Status, keepalive: str) -> dict[str, object]:
    own = found.own
    state = asdict(own.state) if own else {}
    state.pop("key", None)
    return {
        "health": found.health,
        "problem": found.problem,
        "url": found.url,
        "own": own is not None,
        "facts": asdict(found.facts) if found.facts else None,
        "state": state or None,
        "memory": found.memory[0],
        "memory_peak": found.memory[1],
        "keepalive": keepalive,
        "timings": _rates(found.timings) if found.timings else None,
        "others": [other.state.url for other in _others(found)],
    }
