"""What mode `fm` adds: a rubric that decides, a small model that answers, a call that delegates.

Both models are stand-ins whose own time is known; the real small model comes last, if it is there.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import anyio
from bench_agent import Agent, Turn, agent, usage
from bench_figures import Figure
from bench_stand_in import CHAT, CHAT_HEAD, Plan, StandIn, stand_in
from bench_wire import complete

sys.path.insert(0, str(Path(__file__).parents[1]))

from acp_agent.conversation import UserMessage
from acp_agent.engine import smollm2
from acp_agent.engine.home import EngineHome
from acp_agent.harmony.vocab import load_vocabulary
from acp_agent.paths import runtime_dir
from acp_agent.routing.facts import SessionFacts
from acp_agent.routing.load import default_rubric
from acp_agent.routing.log import DecisionLog
from acp_agent.routing.router import Router
from acp_agent.verbs.demo import GREETING, PROMPT
from tests.routing.labelled import labelled

SHORT = Plan(5, 150)
AGENTS = 2
ROUNDS = 5
GREETINGS = 6
# A person needs longer between two prompts; the agent reads ahead in the meantime.
PAUSE = 0.1
BODY = json.dumps({"messages": [{"role": "user", "content": GREETING}], "stream": True}).encode()
LINES = {
    "fm_inline": ("light prompts 2 to 6 → first text", "ms"),
    "fm_inline_off": ("the same in mode gptoss_20b", "ms"),
    "fm_requests": ("requests that a light prompt makes, to both servers", ""),
    "fm_call": ("heavy prompts 2 to 6 → gptoss.generate seen", "ms"),
    "fm_delegated": ("heavy prompts 2 to 6 → first text of GPT-OSS", "ms"),
    "fm_delegated_off": ("the same in mode gptoss_20b", "ms"),
}


def bench_fm(workspace: Path) -> list[Figure]:
    """Measure what a prompt waits for in mode `fm`, and the same without that mode."""
    values: dict[str, list[float]] = defaultdict(list)
    for _ in range(AGENTS):
        for measured in _rounds(workspace):
            for key, value in measured.items():
                values[key].append(value)
    direct = {"fm_inline": tuple(values["bare"])}
    return [
        *(
            Figure(key, *words, tuple(values[key]), direct.get(key, ()))
            for key, words in LINES.items()
        ),
        Figure("deciding", "deciding: facts, rubric and log", "ms", _decided(workspace)),
        *_real(workspace),
    ]


# ---------------------------------------------------------------- with stand-ins


class _Side(NamedTuple):
    """An agent, and its sessions for light prompts and for heavy ones."""

    agent: Agent
    light: str
    heavy: str


def _rounds(workspace: Path) -> list[dict[str, float]]:
    """Play the same prompts in mode `fm` and without it, by turns."""
    with ExitStack() as stack:
        small, gptoss = (stack.enter_context(stand_in()) for _ in range(2))
        small.plan(SHORT)
        gptoss.plan(SHORT)
        flags = ["--engine-url", gptoss.address.url]
        settings = {"OPENAI_BASE_URL": small.address.url}
        fm = ["--mode", "fm", "--fm-backend", "openai_chat:"]
        on = _opened(stack.enter_context(agent([*flags, *fm], workspace, settings)))
        off = _opened(stack.enter_context(agent(flags, workspace)))
        # Without the mode, both sessions read ahead; with it, the small model's server is asked.
        gptoss.wait_for_prefills(2)
        for side in (on, off):
            side.agent.prompt(side.light, GREETING)
            side.agent.prompt(side.heavy, PROMPT)
        small.take(3)  # an answer, and a title for each session
        return [_round(on, off, small, gptoss) for _ in range(ROUNDS)]


def _opened(running: Agent) -> _Side:
    running.initialize()
    return _Side(running, running.new_session()[0], running.new_session()[0])


def _round(on: _Side, off: _Side, small: StandIn, gptoss: StandIn) -> dict[str, float]:
    time.sleep(PAUSE)
    gptoss.forget()
    small.forget()
    light = on.agent.prompt(on.light, GREETING)
    requests = small.requests() + gptoss.requests()
    inline = _beyond(light, small)
    bare = _bare(small)
    inline_off = _beyond(_after_pause(off.agent, off.light, GREETING), gptoss)
    heavy = _after_pause(on.agent, on.heavy, PROMPT)
    call = next(at for at, update in heavy.updates if update["sessionUpdate"] == "tool_call")
    delegated = _beyond(heavy, gptoss)
    return {
        "fm_inline": inline,
        "bare": bare,
        "fm_inline_off": inline_off,
        "fm_requests": requests,
        "fm_call": 1000 * (call - heavy.sent),
        "fm_delegated": delegated,
        "fm_delegated_off": _beyond(_after_pause(off.agent, off.heavy, PROMPT), gptoss),
    }


def _after_pause(running: Agent, session: str, text: str) -> Turn:
    time.sleep(PAUSE)
    return running.prompt(session, text)


def _beyond(turn: Turn, server: StandIn) -> float:
    """Return the milliseconds to the first text, less what the server took for it."""
    (served,) = server.take(1)
    return 1000 * (turn.texts()[0][0] - turn.sent - (served.words[0] - served.received))


def _bare(server: StandIn) -> float:
    answer = complete(server.address, BODY, path=CHAT)
    (served,) = server.take(1)
    first = answer.events[CHAT_HEAD].at
    return 1000 * (first - answer.sent - (served.words[0] - served.received))


# ---------------------------------------------------------------- in this process


def _decided(workspace: Path) -> tuple[float, ...]:
    """Decide on the labelled prompts that the rubric was not tuned on."""
    vocabulary = load_vocabulary()
    log = DecisionLog(workspace / "routing.jsonl")
    router = Router(default_rubric, lambda: lambda text: len(vocabulary.encode_text(text)), log)

    async def decide() -> tuple[float, ...]:
        await router.warm_up()
        return tuple(
            [await _seconds(router, UserMessage(one["prompt"])) for one in labelled("held_out")]
        )

    return anyio.run(decide)


async def _seconds(router: Router, message: UserMessage) -> float:
    began = time.perf_counter()
    decision = await router.decide(message, SessionFacts())
    await router.log(decision, message, "bench")
    return 1000 * (time.perf_counter() - began)


# ---------------------------------------------------------------- with the real small model


def _real(workspace: Path) -> list[Figure]:
    """Greet SmolLM2 in one session after another."""
    if smollm2.installed() is None:
        return [Figure("smollm2", f"{smollm2.NAME}: not installed", "", ())]
    with stand_in() as gptoss:
        flags = ["--engine-url", gptoss.address.url, "--mode", "fm", "--fm-backend", "smollm2"]
        # The same words every time: what is sampled differs tenfold in length.
        settings = {"ACP_AGENT_ENGINE_LINGER_SECS": "0.5", "ACP_AGENT_FM_TEMPERATURE": "0"}
        with agent(flags, workspace, settings) as running:
            running.initialize()
            turns = [
                _after_pause(running, running.new_session()[0], GREETING) for _ in range(GREETINGS)
            ]
            home, pid = _engine()
            memory = usage(pid).resident_mb
    while home.is_alive():
        time.sleep(0.05)
    cold, *later = (
        [1000 * (t.texts()[0][0] - t.sent), 1000 * (t.answered - t.sent)] for t in turns
    )
    return [
        Figure(
            "smollm2_cold", f"{smollm2.NAME}: hi → first text, engine started", "ms", (cold[0],)
        ),
        Figure(
            "smollm2_first",
            "hi → first text, read ahead",
            "ms",
            tuple(one for one, _ in later),
        ),
        Figure("smollm2_end", "hi → end of turn", "ms", tuple(end for _, end in later)),
        Figure("smollm2_rss", "resident, its engine", "MB", (memory,)),
    ]


def _engine() -> tuple[EngineHome, int]:
    """Return the engine that runs SmolLM2, and its process."""
    weights = (smollm2.installed() or Path()).resolve()
    for path in runtime_dir().glob("engine-*"):
        home = EngineHome(path)
        state = home.read()
        if state is not None and Path(state.model) == weights:
            return home, state.pid
    raise FileNotFoundError(f"no engine runs {smollm2.NAME}")
