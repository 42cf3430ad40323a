"""`acp-agent engine start`: an engine that stays without any agent, until idle for long."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

import anyio

from acp_agent.backends.endpoint import Endpoint
from acp_agent.config import Settings
from acp_agent.engine.facts import Facts, read_facts
from acp_agent.engine.own import listed, log_of, own_engines, owned, with_key
from acp_agent.engine.probe import answers
from acp_agent.engine.questions import until_ready
from acp_agent.engine.running import Running, at
from acp_agent.errors import EngineUnavailable
from acp_agent.paths import user_path
from acp_agent.verbs.engine_ask import send_warm_up, warmed
from acp_agent.verbs.engine_variables import warm_up
from acp_agent.voices import open_engines


@dataclass(frozen=True, slots=True)
class Started:
    """What there is now; `differs` says how a server that was there is not what was asked for."""

    url: str
    own: bool
    pid: int
    model: str
    context: int
    slots: int
    was_running: bool
    seconds: float
    differs: tuple[str, ...] = ()
    warm_ms: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()


def start(
    settings: Settings, variables: Mapping[str, str], *, warm: bool, export: bool, as_json: bool
) -> int:
    """Start the engine, or find it; return when it has its model."""
    wanted = warm_up(variables)

    async def run() -> Started:
        begun = time.perf_counter()
        found = await _there(settings)
        async with open_engines(settings) as engines:
            if found is None:
                before = {own.state.pid for own in own_engines()}
                locate = partial(engines.locate, settings)
                running = at(await locate())
                found = running, not running.own or running.own.state.pid in before
                if not found[1]:
                    _say("loading the model")
                await until_ready(locate)
            started = await _started(settings, *found)
            if warm and (wanted.forced or not started.was_running):
                took = await send_warm_up(found[0].endpoint, wanted)
                started = replace(started, warm_ms=tuple(round(ms, 1) for ms in took))
        return replace(started, seconds=round(time.perf_counter() - begun, 2))

    started = anyio.run(run)
    _link_log(started, variables.get("GPT_OSS_LOG"))
    if as_json:
        print(json.dumps(asdict(started), ensure_ascii=False))
        return 0
    _tell(started)
    if export:
        key = with_key(Endpoint(started.url, settings.engine_key)).key
        print(f"export GPT_OSS_URL={quote(started.url)} GPT_OSS_API_KEY={quote(key)}")
    else:
        print(f"Ready: {started.url}")
    return 0


async def _there(settings: Settings) -> tuple[Running, bool] | None:
    """Return the server at the port that ours is to have, if it is a llama.cpp server."""
    if not settings.port or settings.demo or settings.engine_url:
        return None
    endpoint = Endpoint(f"http://127.0.0.1:{settings.port}", settings.engine_key)
    running = at(endpoint)
    if running.own is None and not await answers(endpoint):
        return None
    return running, True


async def _started(settings: Settings, running: Running, was_running: bool) -> Started:
    await until_ready(partial(_known, running))
    facts = await read_facts(running.endpoint)
    own = running.own
    if own is not None:
        # What others started, and would end a minute after them, stays from now on.
        own.home.ask_linger(own.state.pid, inf)
    return Started(
        running.endpoint.url,
        own is not None,
        own.state.pid if own else 0,
        facts.file or facts.model,
        facts.context,
        facts.slots,
        was_running,
        0.0,
        _differences(settings, running.endpoint.url, facts) if was_running else (),
        warnings=own.state.warnings if own else (),
    )


async def _known(running: Running) -> Endpoint:
    """Return where the server is. Raises EngineUnavailable if it was ours and has ended."""
    if running.own is not None and not running.own.home.is_alive():
        left = running.own.home.read()
        raise EngineUnavailable((left and left.failure) or "the engine ended while it was loading")
    return running.endpoint


def _differences(settings: Settings, url: str, facts: Facts) -> tuple[str, ...]:
    """Say what was asked for and is otherwise; only what the user set can differ."""
    found: list[str] = []
    if settings.model_path and not settings.demo and facts.file:
        wanted = user_path(settings.model_path)
        if Path(facts.file).name != wanted.resolve().name:
            found.append(f"its model is {facts.file}, not {wanted}")
    if settings.context and settings.context != facts.context:
        found.append(f"its context is {facts.context}, not {settings.context}")
    if settings.port and urlsplit(url).port != settings.port and not settings.engine_url:
        found.append(f"its port is {urlsplit(url).port}, not {settings.port}")
    return tuple(found)


def _tell(started: Started) -> None:
    _say(f"model: {started.model}")
    _say(f"context: {started.context} tokens, {started.slots} slots")
    for warning in started.warnings:
        _say(f"warning: {warning}")
    if started.was_running:
        whose = f"ours, pid {started.pid}" if started.own else "not ours: it is left as it is"
        match = "" if started.differs else ", and is as asked for"
        _say(f"it was running already ({whose}){match}")
    for difference in started.differs:
        advice = "`acp-agent engine stop` ends it" if started.own else "stop it, or unset the other"
        _say(f"it is not as asked for: {difference}; {advice}")
    if started.warm_ms:
        _say(warmed(started.warm_ms))
    others = [own for own in own_engines() if own.state.pid != started.pid]
    if others:
        _say(f"also running: {listed(others)}")


def _link_log(started: Started, name: str | None) -> None:
    """Let the log that the user named be our engine's. Raises OSError."""
    own = owned(Endpoint(started.url))
    if name and own:
        link = user_path(name)
        draft = link.with_name(f".{link.name}.{os.getpid()}")
        draft.symlink_to(log_of(own))
        try:
            draft.replace(link)
        except OSError:
            draft.unlink()
            raise


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
