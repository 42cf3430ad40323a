"""What the agent adds to a stream of tokens, against a stand-in whose own time is known."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bench_agent import Agent, Turn, agent
from bench_figures import Figure, percentile
from bench_stand_in import HEADER, WORD, WORD_ID, Plan, Served, StandIn, stand_in
from bench_wire import Answer, complete

PACE = 150
SHORT = Plan(20, PACE)
LONG = Plan(450, PACE)
BURST = Plan(5000, 0)
ENDLESS = Plan(1_000_000, PACE)
ONE_SECOND = Plan(144, PACE)
AGENTS = 3
PROMPTS = 6
RUNS = 3
CANCELS = 10
SESSIONS = 8
# A person needs longer between two prompts; the agent reads ahead in the meantime.
PAUSE = 0.1
# As long as the first prompt of an agent with a few tools.
BODY = json.dumps({"prompt": [WORD_ID] * 1000, "n_predict": -1}).encode()


def bench_first(workspace: Path) -> list[Figure]:
    """Measure prompt → first text, less what the server took for it."""
    cold: list[float] = []
    first: list[float] = []
    later: list[float] = []
    direct: list[float] = []
    memory: list[float] = []
    with stand_in() as server:
        server.plan(SHORT)
        for _ in range(AGENTS):
            with _agent(server, workspace) as running:
                cold.append(_overhead(running, server, _opened(running)))
            server.forget()
            with _agent(server, workspace) as running:
                session = _opened(running)
                server.wait_for_prefills(1)
                first.append(_overhead(running, server, session))
                memory.append(running.usage().resident_mb)
                for _ in range(PROMPTS - 1):
                    time.sleep(PAUSE)
                    later.append(_overhead(running, server, session))
                    direct.append(_direct_overhead(server))
    return [
        Figure("overhead", "prompts 2 to 6", "ms", tuple(later), tuple(direct)),
        Figure("overhead_first", "first prompt, prompt read ahead", "ms", tuple(first)),
        Figure("overhead_cold", "first prompt, right after session/new", "ms", tuple(cold)),
        Figure("rss_prompt", "resident after the first prompt", "MB", tuple(memory)),
    ]


def bench_stream(workspace: Path) -> list[Figure]:
    """Measure what a token costs, and how late it arrives."""
    with stand_in() as server, _agent(server, workspace) as running:
        session = _opened(running)
        server.wait_for_prefills(1)
        server.plan(LONG)
        paced = [_streamed(running, server, session, LONG) for _ in range(RUNS)]
        bare = [_bare(server) for _ in range(1)]
        server.plan(BURST)
        burst = [_streamed(running, server, session, BURST) for _ in range(RUNS)]
        bare_burst = [_bare(server) for _ in range(RUNS)]
    late = [value for run in paced for value in run.late]
    bare_late = [value for run in bare for value in run.late]
    return [
        _figure("cpu_paced", f"CPU for 1,000 tokens at {PACE} a second", "s", paced, bare, _cpu),
        Figure("delivery_p50", "written → seen, p50", "ms", tuple(late), tuple(bare_late)),
        Figure(
            "delivery_p95",
            "written → seen, p95",
            "ms",
            tuple(percentile(run.late, 0.95) for run in paced),
            (percentile(bare_late, 0.95),),
        ),
        _figure("cpu_burst", "CPU for 1,000 tokens in a burst", "s", burst, bare_burst, _cpu),
        _figure("burst_rate", "tokens in a burst", "a second", burst, bare_burst, _rate),
        Figure("updates", "updates for 5,000 tokens", "", tuple(run.updates for run in burst)),
    ]


def bench_cancel(workspace: Path) -> list[Figure]:
    """Measure how soon a cancel is answered, and how soon the engine is free."""
    answered: list[float] = []
    aborted: list[float] = []
    direct: list[float] = []
    with stand_in() as server, _agent(server, workspace) as running:
        session = _opened(running)
        server.wait_for_prefills(1)
        server.plan(ENDLESS)
        for _ in range(CANCELS):
            sent, at = _cancelled(running, session)
            (served,) = server.take(1)
            answered.append(1000 * (at - sent))
            aborted.append(1000 * ((served.closed or at) - sent))
            left = complete(server.address, BODY, events=SHORT.words).events[-1].at
            (served,) = server.take(1)
            direct.append(1000 * ((served.closed or left) - left))
            time.sleep(PAUSE)
    return [
        Figure("cancel", "session/cancel → prompt answered", "ms", tuple(answered)),
        Figure("abort", "session/cancel → engine is free", "ms", tuple(aborted), tuple(direct)),
    ]


def bench_sessions(workspace: Path) -> list[Figure]:
    """Measure how long several sessions of one agent take that stream at once."""
    took: list[float] = []
    direct: list[float] = []
    with stand_in() as server, _agent(server, workspace) as running:
        running.initialize()
        sessions = [running.new_session()[0] for _ in range(SESSIONS)]
        server.wait_for_prefills(SESSIONS)
        server.plan(ONE_SECOND)
        for _ in range(RUNS):
            time.sleep(PAUSE)
            turns = running.prompts(dict.fromkeys(sessions, "Go on.")).values()
            took.append(max(turn.answered for turn in turns) - min(turn.sent for turn in turns))
            began = time.monotonic()
            with ThreadPoolExecutor(SESSIONS) as threads:
                futures = [threads.submit(complete, server.address, BODY) for _ in range(SESSIONS)]
                for future in futures:
                    future.result()
            direct.append(time.monotonic() - began)
    label = f"{SESSIONS} sessions at once (ideal {ONE_SECOND.seconds:.2f})"
    return [Figure("sessions", label, "s", tuple(took), tuple(direct))]


# ---------------------------------------------------------------- one measurement


class _Run:
    """A streamed answer: CPU and seconds it took, milliseconds each word came late."""

    def __init__(self, cpu: float, seconds: float, late: list[float], updates: int = 0) -> None:
        self.cpu = cpu
        self.seconds = seconds
        self.late = late
        self.updates = updates


def _cpu(run: _Run) -> float:
    return 1000 * run.cpu / len(run.late)


def _rate(run: _Run) -> float:
    return len(run.late) / run.seconds


def _figure(
    key: str,
    label: str,
    unit: str,
    runs: list[_Run],
    direct: list[_Run],
    value: Callable[[_Run], float],
) -> Figure:
    return Figure(key, label, unit, tuple(map(value, runs)), tuple(map(value, direct)))


def _agent(server: StandIn, workspace: Path) -> AbstractContextManager[Agent]:
    return agent(["--engine-url", server.address.url], workspace)


def _opened(running: Agent) -> str:
    running.initialize()
    return running.new_session()[0]


def _overhead(running: Agent, server: StandIn, session: str) -> float:
    turn = running.prompt(session, "Go on.")
    (served,) = server.take(1)
    return 1000 * (turn.texts()[0][0] - turn.sent - (served.words[0] - served.received))


def _direct_overhead(server: StandIn) -> float:
    answer = complete(server.address, BODY)
    (served,) = server.take(1)
    return 1000 * (_arrivals(answer)[0] - answer.sent - (served.words[0] - served.received))


def _streamed(running: Agent, server: StandIn, session: str, plan: Plan) -> _Run:
    time.sleep(PAUSE)
    before = running.usage().cpu
    turn = running.prompt(session, "Go on.")
    cpu = running.usage().cpu - before
    (served,) = server.take(1)
    arrivals = _word_arrivals(turn, plan)
    return _Run(cpu, turn.answered - turn.sent, _late(served, arrivals), len(turn.updates))


def _bare(server: StandIn) -> _Run:
    before, began = time.process_time(), time.monotonic()
    answer = complete(server.address, BODY)
    cpu, seconds = time.process_time() - before, time.monotonic() - began
    (served,) = server.take(1)
    return _Run(cpu, seconds, _late(served, _arrivals(answer)))


def _word_arrivals(turn: Turn, plan: Plan) -> list[float]:
    """Return for each word when it was there; several may come in one update."""
    arrivals = [at for at, text in turn.texts() for _ in range(len(text) // len(WORD))]
    if len(arrivals) != plan.words:
        raise ValueError(f"{len(arrivals)} of {plan.words} words arrived")
    return arrivals


def _arrivals(answer: Answer) -> list[float]:
    """Return for each word when a client of the server had it."""
    # Header, words, terminator, end.
    return [at for at, _ in answer.events[len(HEADER) : -2]]


def _late(served: Served, arrivals: list[float]) -> list[float]:
    pairs = zip(arrivals, served.words, strict=True)
    return [1000 * (seen - written) for seen, written in pairs]


def _cancelled(running: Agent, session: str) -> tuple[float, float]:
    """Cancel a turn under way; return when that was sent, and when the prompt was answered."""
    request = running.send_prompt(session, "Go on.")
    shown = 0
    while shown < SHORT.words:
        frame: dict[str, Any] = running.next().value
        shown += frame.get("method") == "session/update"
    sent = time.monotonic()
    running.notify("session/cancel", {"sessionId": session})
    answer = running.answer(request)
    if answer.value["stopReason"] != "cancelled":
        raise ValueError(f"a cancelled turn ended as {answer.value['stopReason']!r}")
    return sent, answer.at
