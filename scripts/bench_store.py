"""How long an editor waits for the list of sessions, where there are many."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from bench_agent import Agent, agent
from bench_figures import Figure
from bench_wire import Json

from acp_agent.recording.store import workspace_name

SESSIONS, WORKSPACES, RUNS = 5000, 20, 10
SCRIPT = "otherwise:\n  say Hello!\n"


def bench_store(workspace: Path) -> list[Figure]:
    """List 5,000 sessions: all, those of a workspace, and page by page to the end."""
    state = workspace / "state"
    _fill(state / "acp-agent" / "sessions")
    script = workspace / "script.txt"
    script.write_text(SCRIPT)
    everywhere: list[float] = []
    here: list[float] = []
    with agent(["--script", str(script)], workspace, {"XDG_STATE_HOME": str(state)}) as running:
        running.initialize()
        running.new_session()
        _listed(running, {})  # the loop has begun
        for _ in range(RUNS):
            everywhere.append(_listed(running, {})[0])
            here.append(_listed(running, {"cwd": "/projects/7"})[0])
        began, pages, cursor = time.monotonic(), 0, ""
        while pages == 0 or cursor:
            _, result = _listed(running, {"cursor": cursor} if cursor else {})
            cursor, pages = result.get("nextCursor", ""), pages + 1
        whole = time.monotonic() - began
    return [
        Figure("list", f"session/list of {SESSIONS:,}, a page", "ms", tuple(everywhere)),
        Figure(
            "list_cwd", f"of {SESSIONS // WORKSPACES} in a workspace, a page", "ms", tuple(here)
        ),
        Figure("list_all", f"all {pages} pages, one after the other", "s", (whole,)),
    ]


def _listed(running: Agent, params: Json) -> tuple[float, Json]:
    sent = time.monotonic()
    answer = running.answer(running.request("session/list", params))
    return 1000 * (answer.at - sent), answer.value


def _fill(folder: Path) -> None:
    for number in range(SESSIONS):
        cwd = f"/projects/{number % WORKSPACES}"
        path = folder / workspace_name(Path(cwd)) / f"sess_{number}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines: list[Json] = [
            {"k": "session", "v": 1, "id": path.stem, "cwd": cwd},
            {"k": "turn", "n": 1, "message": {"type": "UserMessage", "words": f"task {number}"}},
            {"k": "end", "n": 1, "stop": "end_turn", "title": f"Task {number}"},
        ]
        path.write_text("".join(f"{json.dumps({'t': '', **line})}\n" for line in lines))
        os.utime(path, (number, number))
