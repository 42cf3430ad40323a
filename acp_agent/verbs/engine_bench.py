"""`acp-agent engine bench`: times short answers as the agent gets them.

A percentile is of the nearest rank: the smallest measured time that so many runs did not exceed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import anyio

from acp_agent.backends.endpoint import fixed
from acp_agent.backends.llama_server import LlamaServer
from acp_agent.config import Settings
from acp_agent.engine.questions import encode
from acp_agent.engine.running import find_running
from acp_agent.errors import StreamDropped
from acp_agent.ports import Sampling, StepEnded, Timings, Tokens
from acp_agent.verbs.engine_ask import ready
from acp_agent.verbs.engine_variables import Asked, pause


@dataclass(frozen=True, slots=True)
class Run:
    """One answer: milliseconds to its end and to its first token, and the engine's figures."""

    ms: float
    first_ms: float
    timings: Timings

    @property
    def rate(self) -> float:
        """Tokens a second, by the engine's own clock; 0 if there were none."""
        milliseconds = self.timings.predicted_ms
        return self.timings.predicted_tokens / milliseconds * 1000 if milliseconds else 0.0


def bench(
    settings: Settings, asked: Asked, runs: int, variables: Mapping[str, str], as_json: bool
) -> int:
    """Time `runs` answers."""

    def show(run: Run) -> None:
        if not as_json:
            beside = f"first token {run.first_ms:.0f} ms, {run.rate:.1f} tokens/s"
            print(f"{run.ms:.0f}ms  {beside}", flush=True)

    done = anyio.run(_bench, settings, asked, runs, pause(variables), show)
    if as_json:
        print(json.dumps(_as_json(done)))
    else:
        print("\n".join(_summary(done)))
    return 0


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of `values` that this share (0 to 1) of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


async def _bench(
    settings: Settings, asked: Asked, runs: int, seconds: float, show: Callable[[Run], None]
) -> list[Run]:
    running = await find_running(settings)
    done: list[Run] = []
    with running.used():
        await ready(running)
        tokens = await encode(running.endpoint, asked.prompt)
        server = LlamaServer(fixed(running.endpoint))
        for number in range(runs):
            if number:
                await anyio.sleep(seconds)
            done.append(await _timed(server, tokens, asked))
            show(done[-1])
    return done


async def _timed(server: LlamaServer, tokens: Sequence[int], asked: Asked) -> Run:
    start, first = time.perf_counter(), 0.0
    sampling = Sampling(temperature=asked.temperature, max_tokens=asked.max_tokens)
    async with server.stream(tokens, sampling) as events:
        async for event in events:
            now = (time.perf_counter() - start) * 1000
            match event:
                case Tokens():
                    first = first or now
                case StepEnded():
                    return Run(now, first or now, event.timings)
                case _:
                    pass
    raise StreamDropped("the engine ended its answer without saying that it was done")


def _figures(runs: Sequence[Run]) -> dict[str, float]:
    times = [run.ms for run in runs]
    return {
        "min": min(times),
        "p50": percentile(times, 0.5),
        "p95": percentile(times, 0.95),
        "max": max(times),
    }


def _summary(runs: Sequence[Run]) -> list[str]:
    last = runs[-1].timings
    return [
        f"runs: {len(runs)}",
        *(f"{name}: {ms:.0f}ms" for name, ms in _figures(runs).items()),
        f"first token: {percentile([run.first_ms for run in runs], 0.5):.0f}ms (p50)",
        f"generation: {percentile([run.rate for run in runs], 0.5):.1f} tokens/s (p50),"
        f" {last.predicted_tokens} tokens each",
    ]


def _as_json(runs: Sequence[Run]) -> dict[str, object]:
    return {
        "runs": [
            {
                "ms": round(run.ms, 1),
                "first_token_ms": round(run.first_ms, 1),
                "tokens_per_second": round(run.rate, 1),
                "tokens": run.timings.predicted_tokens,
                "prompt_tokens": run.timings.prompt_tokens + run.timings.cached_tokens,
                "cached_tokens": run.timings.cached_tokens,
            }
            for run in runs
        ],
        **{f"{name}_ms": round(ms, 1) for name, ms in _figures(runs).items()},
        "percentiles": "nearest rank",
    }
