"""`acp-agent engine query` and `warm`: short requests to an engine that runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import anyio

from acp_agent.backends.endpoint import Endpoint, fixed
from acp_agent.config import Settings
from acp_agent.engine.facts import read_facts
from acp_agent.engine.questions import Reply, complete, encode, is_up, until_ready
from acp_agent.engine.running import Running, find_running
from acp_agent.errors import ConfigError
from acp_agent.verbs.engine_variables import Asked, WarmUp, warm_up


def query(settings: Settings, asked: Asked, *, special: bool, as_json: bool) -> int:
    """Print how the model continues a text."""
    reply = anyio.run(_query, settings, asked, special)
    if as_json:
        print(json.dumps(asdict(reply)))
    else:
        print(reply.text)
    return 0


async def _query(settings: Settings, asked: Asked, special: bool) -> Reply:
    running = await find_running(settings)
    with running.used():
        await ready(running)
        return await answer(running.endpoint, asked, special=special)


def warm(settings: Settings, variables: Mapping[str, str], *, as_json: bool) -> int:
    """Send the warm-up prompts."""

    async def run() -> list[float]:
        running = await find_running(settings)
        with running.used():
            await ready(running)
            return await send_warm_up(running.endpoint, warm_up(variables))

    took = anyio.run(run)
    if as_json:
        print(json.dumps({"requests": len(took), "ms": [round(ms, 1) for ms in took]}))
    else:
        print(warmed(took))
    return 0


def warmed(took: Sequence[float]) -> str:
    """Return what warming up took, for people."""
    each = ", ".join(f"{ms:.0f}" for ms in took)
    return f"warm: {len(took)} requests in {sum(took):.0f} ms ({each})"


async def send_warm_up(endpoint: Endpoint, wanted: WarmUp) -> list[float]:
    """Send the requests one after the other; return the milliseconds of each."""
    took: list[float] = []
    for _ in range(max(wanted.count, (await read_facts(endpoint)).slots) if wanted.count else 0):
        start = time.perf_counter()
        await answer(endpoint, wanted.asked)
        took.append((time.perf_counter() - start) * 1000)
    return took


async def answer(endpoint: Endpoint, asked: Asked, *, special: bool = False) -> Reply:
    """Ask one short question. Raises BackendError."""
    tokens = await encode(endpoint, asked.prompt, special=special)
    if not tokens:
        raise ConfigError(f"the model has no tokens for {asked.prompt!r}")
    return await complete(
        endpoint, tokens, max_tokens=asked.max_tokens, temperature=asked.temperature
    )


async def ready(running: Running) -> None:
    """Wait for the weights, and say so. Raises BackendError."""
    if not await is_up(running.endpoint):
        print("the engine is loading its model", file=sys.stderr, flush=True)
    await until_ready(fixed(running.endpoint))
