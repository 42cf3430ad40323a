"""`acp-agent` as somebody at a terminal or in a script runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.processes import PATIENCE

AGENT = (sys.executable, "-m", "acp_agent")
SCRIPTS = Path(__file__).parents[2] / "scripts"
Ran = subprocess.CompletedProcess[str]


def agent(env: Mapping[str, str], *args: str, stdin: str = "") -> Ran:
    """Run `acp-agent` to its end."""
    return run(env, *AGENT, *args, stdin=stdin)


def script(env: Mapping[str, str], name: str, *args: str) -> Ran:
    """Run a script of this repository with bash."""
    path = f"{Path(sys.executable).parent}:{env['PATH']}"
    return run({**env, "PATH": path}, "bash", str(SCRIPTS / name), *args)


def run(env: Mapping[str, str], *command: str, stdin: str = "") -> Ran:
    """Run a command at home, to its end."""
    return subprocess.run(
        command,
        env=env,
        cwd=env["HOME"],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def answer(ran: Ran) -> Any:
    """Return the JSON that a command printed, which must have gone well."""
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
