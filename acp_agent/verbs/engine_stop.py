"""`acp-agent engine stop`: ends engines that we started, and never another's."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import anyio

from acp_agent.backends.endpoint import Endpoint
from acp_agent.config import Settings
from acp_agent.engine.facts import read_facts
from acp_agent.engine.own import Own, listed, own_engines
from acp_agent.engine.process import command_of
from acp_agent.engine.running import at, matching
from acp_agent.engine.stop import stop as end
from acp_agent.errors import BackendError, EngineUnavailable

LOOK_SECONDS = 0.2
PATIENT_SECONDS, NOW_SECONDS = 10.0, 1.0  # to end by itself, before it is killed
PID_FILE = "/tmp/gpt-oss-keepalive.pid"


def stop(settings: Settings, *, every: bool, now: bool, as_json: bool) -> int:
    """End the engine that is meant, or every one; 0 though there was none."""
    chosen = own_engines() if every else _chosen(settings)
    killed = anyio.run(_stop, chosen, now)
    if as_json:
        print(json.dumps({"stopped": [_line(own) for own in chosen], "killed": killed}))
        return 0
    for own in chosen:
        print(f"stopped: {Path(own.state.model).name} at {own.state.url} (pid {own.state.pid})")
    if killed:
        _say(f"it had to be killed: pid {', '.join(map(str, killed))}")
    if not chosen:
        _say("nothing to stop: no engine of ours runs")
    return 0


def _chosen(settings: Settings) -> list[Own]:
    if settings.engine_url and not settings.demo:
        running = at(Endpoint(settings.engine_url, settings.engine_key))
        if running.own is None:
            raise EngineUnavailable(
                f"{settings.engine_url} is no engine of ours, so it is left running;"
                " stop it where it was started, or unset GPT_OSS_URL"
            )
        return [running.own]
    found = matching(settings)
    if len(found) > 1:
        raise EngineUnavailable(
            f"which one? {listed(found)}; name it by --port or --model-path, or say --all"
        )
    if not found and (others := own_engines()):
        raise EngineUnavailable(f"no such engine of ours runs; there is {listed(others)}")
    return found


async def _stop(chosen: Sequence[Own], now: bool) -> list[int]:
    killed: list[int] = []
    for own in chosen:
        if not now:
            await _until_answered(own)
        if await end(own.home, NOW_SECONDS if now else PATIENT_SECONDS):
            killed.append(own.state.pid)
    return killed


async def _until_answered(own: Own) -> None:
    """Wait while it is in the middle of an answer; one that does not say how it is, is not."""
    told = False
    with suppress(BackendError):
        while own.home.is_alive() and (await read_facts(own.endpoint)).busy:
            if not told:
                _say(f"{own.state.url} is answering, and is ended after that; --now ends it now")
                told = True
            await anyio.sleep(LOOK_SECONDS)


def stop_keepalive(settings: Settings, variables: Mapping[str, str], *, as_json: bool) -> int:
    """End the requests that keep engines warm; 0 though there were none."""
    engines = [own for own in own_engines() if not settings.port or own.port == settings.port]
    quieted = [own for own in engines if own.state.keepalive]
    for own in quieted:
        own.home.ask_quiet(own.state.pid)
    loop, said = _end_loop(Path(variables.get("GPT_OSS_KEEPALIVE_PID_FILE") or PID_FILE))
    if as_json:
        print(json.dumps({"quieted": [_line(own) for own in quieted], "loop": loop}))
        return 0
    for own in quieted:
        print(f"no more requests keep {Path(own.state.model).name} at {own.state.url} warm")
    print(said)
    return 0


def _end_loop(file: Path) -> tuple[int | None, str]:
    """End a loop that an older script left running; only what is surely one is ended."""
    pid, alive = loop_of(file)
    if pid is None:
        return None, f"no keepalive pid file at {file}"
    with suppress(OSError):
        if alive:
            os.kill(pid, signal.SIGTERM)
        file.unlink()
    said = f"stopped keepalive (pid {pid})" if alive else f"keepalive not running (pid {pid})"
    return (pid if alive else None), said


def loop_of(file: Path) -> tuple[int | None, bool]:
    """Return the process id in a keepalive loop's file, and whether it is such a loop that runs."""
    try:
        pid = int(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None, False
    return pid, "/completion" in command_of(pid)


def _line(own: Own) -> dict[str, object]:
    return {"url": own.state.url, "pid": own.state.pid, "model": own.state.model}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
