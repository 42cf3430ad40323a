"""The agent on a real llama.cpp engine with the demo weights, beside the same engine without it.

Requests are recorded first. Then an agent that talks to the engine itself and a bare client that
repeats the recorded requests take turns, so that both find the engine's cache in the same state.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from anyio.from_thread import start_blocking_portal
from bench_agent import SHOWN, Agent, agent
from bench_figures import Figure
from bench_proxy import Noted, Recorder, recorder
from bench_wire import Address, ask, complete, listens

from acp_agent.config import Settings
from acp_agent.harmony.vocab import MESSAGE
from acp_agent.verbs.demo import FILES, PROMPT
from acp_agent.voices import open_engines

GREETINGS = ("hello",) * 8
THOUGHTS = ("think hard about primes",) * 4
# A person needs longer between two prompts; the agent reads ahead in the meantime.
PAUSE = 0.15
LOAD = 1.5  # for the first prompt: the vocabulary loads beside


class Exchange(NamedTuple):
    """One turn's first request, with the requests that read ahead before and after it."""

    before: Noted
    request: Noted
    after: Noted


class Shown(NamedTuple):
    """When something to show was there: seconds from the prompt to the first and the last of it."""

    first: float
    last: float


def bench_engine(workspace: Path) -> list[Figure]:
    """Count what the engine reads, then time the same prompts with and without the agent."""
    for name, text in FILES.items():
        (workspace / name).write_text(text, encoding="utf-8")
    with engine() as address:
        with recorder(address) as notes, _agent(notes.address, workspace) as running:
            running.initialize()
            tokens = _count(notes, running)
            greetings = _record(notes, running, GREETINGS)
            thoughts = _record(notes, running, THOUGHTS)
        with _agent(address, workspace) as running:
            running.initialize()
            ours, bare = _play(address, running, GREETINGS, greetings)
            long, bare_long = _play(address, running, THOUGHTS, thoughts)
    counts = [exchange.request.predicted for exchange in thoughts]
    return [
        *tokens,
        Figure(
            "first_engine",
            "prompt → first text, nano",
            "ms",
            tuple(1000 * shown.first for shown in ours),
            tuple(1000 * shown.first for shown in bare),
        ),
        Figure(
            "overhead_engine",
            "the same, less the engine alone",
            "ms",
            tuple(1000 * (a.first - b.first) for a, b in zip(ours, bare, strict=True)),
        ),
        Figure(
            "rate_engine",
            "nano",
            "tokens a second",
            _rates(counts, long),
            _rates(counts, bare_long),
        ),
    ]


@contextmanager
def engine() -> Generator[Address]:
    """Give the engine that `serve --demo` uses, its weights loaded; start it if need be."""

    @asynccontextmanager
    async def located() -> AsyncGenerator[Address]:
        settings = Settings(demo=True, linger=0.5)
        async with open_engines(settings) as engines:
            found = await engines.locate(settings)
            yield Address(found.url, found.key)

    with start_blocking_portal() as portal:
        with portal.wrap_async_context_manager(located()) as address:
            while "error" in ask(address, "GET", "/health"):
                time.sleep(0.05)
            yield address


@contextmanager
def own_engine() -> Generator[None]:
    """Keep that engine running; on leaving, it has ended: nobody else uses it."""
    with engine() as address:
        yield
    while listens(address):
        time.sleep(0.05)


# ---------------------------------------------------------------- counts


def _count(notes: Recorder, running: Agent) -> list[Figure]:
    """Play the demo's dialogue, which calls six tools, and one more turn."""
    session, _ = running.new_session()
    notes.take(_read_ahead)
    running.prompt(session, PROMPT)
    steps = [noted for noted in notes.take(_answered) if not noted.is_prefill]
    running.prompt(session, "thanks")
    later = next(noted for noted in notes.take(_answered) if not noted.is_prefill)
    new = [after.length - before.length - before.predicted for before, after in pairwise(steps)]
    beyond = [step.evaluated - count for step, count in zip(steps[1:], new, strict=True)]
    turn = f"new turn: tokens read of {later.length:,} before the first comes"
    return [
        Figure("prompt_tokens", "first request with every tool", "tokens", (steps[0].length,)),
        Figure("first_read", "of these read after the prompt", "tokens", (steps[0].evaluated,)),
        Figure("step_new", "tool step: new tokens", "tokens", tuple(new)),
        Figure("step_beyond", "tool step: tokens read beyond these", "tokens", tuple(beyond)),
        Figure("new_turn", turn, "tokens", (later.evaluated,)),
    ]


def _record(notes: Recorder, running: Agent, prompts: tuple[str, ...]) -> list[Exchange]:
    session, _ = running.new_session()
    before = notes.take(_read_ahead)[-1]
    exchanges: list[Exchange] = []
    for prompt in prompts:
        running.prompt(session, prompt)
        request, *_, after = notes.take(_answered)
        exchanges.append(Exchange(before, request, after))
        before = after
    return exchanges


def _read_ahead(noted: list[Noted]) -> bool:
    return bool(noted) and noted[-1].is_prefill


def _answered(noted: list[Noted]) -> bool:
    return _read_ahead(noted) and not noted[0].is_prefill


# ---------------------------------------------------------------- times


def _play(
    address: Address, running: Agent, prompts: tuple[str, ...], exchanges: list[Exchange]
) -> tuple[list[Shown], list[Shown]]:
    """Prompt the agent, repeat its request without it, and so on."""
    session, _ = running.new_session()
    time.sleep(LOAD)
    ours: list[Shown] = []
    bare: list[Shown] = []
    for prompt, exchange in zip(prompts, exchanges, strict=True):
        time.sleep(PAUSE)
        turn = running.prompt(session, prompt)
        texts = turn.texts(SHOWN)
        ours.append(Shown(texts[0][0] - turn.sent, texts[-1][0] - turn.sent))
        time.sleep(PAUSE)
        complete(address, exchange.before.body)
        time.sleep(PAUSE)
        bare.append(_bare(address, exchange.request.body))
        complete(address, exchange.after.body)
    return ours, bare


def _bare(address: Address, body: bytes) -> Shown:
    answer = complete(address, body)
    seen = [at - answer.sent for at, event in answer.events if event["tokens"]]
    ids = [event["tokens"][-1] for _, event in answer.events if event["tokens"]]
    return Shown(seen[ids.index(MESSAGE) + 1], seen[-2])


def _rates(counts: list[int], shown: list[Shown]) -> tuple[float, ...]:
    return tuple(
        count / (each.last - each.first) for count, each in zip(counts, shown, strict=True)
    )


def _agent(address: Address, workspace: Path) -> AbstractContextManager[Agent]:
    settings = {
        "GPT_OSS_API_KEY": address.key,
        "GPT_OSS_TEMPERATURE": "0",
        "ACP_AGENT_APPROVALS": "full",
    }
    return agent(["--engine-url", address.url], workspace, settings)
