"""`acp-agent run`: one prompt from the terminal, through `acp-agent serve` as an editor does."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import anyio.to_thread

from acp_agent.client import ClientSession, LocalHost, allow, open_client, reject
from acp_agent.config import Settings, selects_provider
from acp_agent.engine.models import find_model, installed_model, model_directories
from acp_agent.errors import ConfigError
from acp_agent.verbs.show import Screen

STOPS = {
    "max_tokens": "the answer was cut: the limit of tokens was reached",
    "max_turn_requests": "stopped: the limit of steps was reached",
    "refusal": "the model refused",
    "cancelled": "cancelled",
}


def run_prompt(
    settings: Settings,
    flags: Mapping[str, object],
    prompt: str,
    *,
    cwd: Path | None,
    as_json: bool,
) -> int:
    """Send one prompt and show what happens; 0 only if the turn came to its end."""
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise ConfigError("the prompt is empty")
    workspace = (cwd or Path.cwd()).absolute()
    if not workspace.is_dir():
        raise ConfigError(f"--cwd: {str(workspace)!r} is not a directory")
    if _may_lack_model(settings):
        from acp_agent.verbs.setup import bring_model  # with an HTTP client, 80 ms

        if code := bring_model(settings, can_ask=not as_json and sys.stdin.isatty()):
            return code
    trouble = anyio.run(_run, serve_command(flags), workspace, text, as_json)
    if trouble:
        print(f"acp-agent: {trouble}", file=sys.stderr)
    return 1 if trouble else 0


def _may_lack_model(settings: Settings) -> bool:
    """Tell whether GPT-OSS has to answer, was not said to be anywhere, and is not on the disk."""
    named = settings.demo or settings.script or settings.engine_url or settings.model_path
    if named or settings.mode == "fm" or selects_provider(settings):
        return False  # in mode fm, the small model may do
    there = None if settings.model_dir else installed_model(settings.model)
    return there is None and find_model(model_directories(settings.model_dir)) is None


def serve_command(flags: Mapping[str, object]) -> list[str]:
    """Return the command that starts the agent with the same flags."""
    command = [sys.executable, "-P", "-m", "acp_agent", "serve"]
    for name, value in flags.items():
        if value is True:
            command.append(f"--{name.replace('_', '-')}")
        elif value is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    return command


async def _run(command: Sequence[str], workspace: Path, text: str, as_json: bool) -> str:
    """Return what was amiss with the answer, "" if nothing was."""
    screen = JsonLines() if as_json else Screen()

    async def decide(call: dict[str, Any], options: Sequence[dict[str, Any]]) -> str | None:
        if as_json or not sys.stdin.isatty():
            print("rejected: nobody is there to ask; see --approvals", file=sys.stderr)
            return await reject(call, options)
        screen.end()
        print(f"allow {call.get('title', 'this call')!r}? [y/N] ", end="", file=sys.stderr)
        sys.stderr.flush()
        # In a thread that a Ctrl-C leaves behind.
        line = await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
        yes = line.strip().lower() in ("y", "yes")
        return await (allow if yes else reject)(call, options)

    async with open_client(command, LocalHost(workspace, decide, files=False)) as client:
        ended = await prompt_shown(await client.new_session(workspace), text, screen)
    if screen.is_gone:
        raise BrokenPipeError
    screen.end(ended.stop)
    if ended.stop != "end_turn":
        return STOPS.get(ended.stop, ended.stop)
    return ended.missing and f"GPT-OSS did not answer: {ended.missing}"


class Ended(NamedTuple):
    """The stop reason, and why a prompt for GPT-OSS was not answered by it, "" if it was."""

    stop: str
    missing: str


async def prompt_shown(session: ClientSession, text: str, screen: Screen | JsonLines) -> Ended:
    """Send a prompt, show what happens, and return how it ended.

    Nobody may be there any more to see it: then the turn is cancelled.
    """
    missing = ""

    def show(update: dict[str, Any]) -> None:
        nonlocal missing
        meta: dict[str, Any] = update.get("_meta") or {}
        missing = str(meta.get("gptossError", missing))
        screen.update(update)
        if screen.is_gone:
            session.cancel()

    return Ended(await session.prompt(text, show), missing)


class JsonLines:
    """Writes every update as a line of JSON, and at last the stop reason."""

    def __init__(self) -> None:
        self.is_gone = False

    def update(self, update: dict[str, Any]) -> None:
        try:
            print(json.dumps(update, ensure_ascii=False), flush=True)
        except BrokenPipeError:
            self.is_gone = True

    def end(self, stop: str = "") -> None:
        if stop:
            print(json.dumps({"stopReason": stop}), flush=True)
