"""`acp-agent demo`: a client starts the agent in mode `fm`, and asks it three things.

A light one, which the small model answers, and two that the demo weights of GPT-OSS's architecture
get: to compute something, and to mend a failing test. Each has a session of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio

from acp_agent.client import LocalHost, allow, open_client
from acp_agent.config import SOURCES
from acp_agent.verbs.run import prompt_shown, serve_command
from acp_agent.verbs.show import Screen

YESTERDAY = time.time() - 86_400
GREETING = "hi"
QUESTION = "Please run Python to compute the 100th prime"
PROMPT = "Please fix the failing test"
FILES = {
    "calc.py": '''"""A calculator."""


def add(a, b):
    return a - b
''',
    "test_calc.py": """from calc import add

assert add(2, 3) == 5, f"add(2, 3) is {add(2, 3)}, not 5"
print("ok: 1 test passed")
""",
}


def run_demo() -> int:
    """Show the demo; 0 if the test passes in the end."""
    with tempfile.TemporaryDirectory(prefix="acp-agent-demo-") as folder:
        workspace = Path(folder).resolve()
        lay_out(workspace)
        stop = anyio.run(_play, workspace)
        passed = _test_passes(workspace)
    print(f"\nstop reason: {stop}; the test {'passes' if passed else 'still fails'} now.")
    return 0 if passed and stop == "end_turn" else 1


def lay_out(workspace: Path) -> None:
    """Write the project with the failing test.

    Its files are of yesterday: Python takes compiled code for current when a file's size and second
    are the same, and the fix changes neither.
    """
    for name, text in FILES.items():
        path = workspace / name
        path.write_text(text, encoding="utf-8")
        os.utime(path, (YESTERDAY, YESTERDAY))


async def _play(workspace: Path) -> str:
    screen = Screen(sys.stdout, sys.stdout, root=workspace)
    screen.line("Light prompts get a real small model here, the rest nano's weights, which are not")
    screen.line(
        "gpt-oss: tiny, learnt by heart. Client, agent, engines and tools are the real ones."
    )

    async def decide(call: dict[str, Any], options: Sequence[dict[str, Any]]) -> str | None:
        kinds = ", ".join(option["kind"] for option in options)
        screen.line(f"  ? session/request_permission [{kinds}] → allow_once", "yellow")
        return await allow(call, options)

    stop = "end_turn"
    command = serve_command({"demo": True, "mode": "fm"})
    screen.line(f"\n$ {' '.join(['acp-agent', *command[4:]])}", "bold")
    async with open_client(command, LocalHost(workspace, decide), env=_environment()) as client:
        info = client.agent["agentInfo"]
        screen.line(f"initialize: {info['title']} ({info['name']} {info['version']})")
        # A session for each: nano, which knows its dialogues by heart, at times loses its thread
        # over what the small model said before it.
        for prompt in (GREETING, QUESTION, PROMPT):
            session = await client.new_session(workspace)
            values = ", ".join(f"{name}: {value}" for name, value in session.options.items())
            screen.line(f"\nsession/new: {values}")
            screen.line(f"session/prompt: {prompt}\n", "bold")
            stop = (await prompt_shown(session, prompt, screen)).stop
            screen.end()
            if screen.is_gone or stop != "end_turn":
                break
    if screen.is_gone:
        raise BrokenPipeError
    return stop


def _environment() -> dict[str, str]:
    """Return the environment without the user's settings: the demo is the same for everyone."""
    ours = {variable for source in SOURCES.values() for variable in source.variables}
    plain = {name: value for name, value in os.environ.items() if name not in ours}
    return {**plain, "ACP_AGENT_CONFIG": os.devnull}


def _test_passes(workspace: Path) -> bool:
    command = [sys.executable, "test_calc.py"]
    return subprocess.run(command, cwd=workspace, capture_output=True, check=False).returncode == 0
