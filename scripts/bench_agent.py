"""The agent as its client sees it: a child process, and frames with the moment of their arrival.

The client does as little as it can, so that what is measured is the agent.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from bench_wire import SECONDS, Arrival, Json

SCRIPT = Path(sys.executable).parent / "acp-agent"
CHUNK = 256 * 1024
TEXT = "agent_message_chunk"
SHOWN = (TEXT, "agent_thought_chunk")
# Settings of whoever runs the bench would change what is measured.
OURS = ("ACP_AGENT_", "GPT_OSS_", "LLAMACPP_")


class AgentFailed(Exception):
    """The agent died, was silent, or answered with an error."""


class Usage(NamedTuple):
    """What a process has used until now."""

    cpu: float
    resident_mb: float


@dataclass(slots=True)
class Turn:
    """A prompt and what came of it; `updates` are those of its session, in order."""

    sent: float
    answered: float = 0.0
    stop_reason: str = ""
    updates: list[Arrival] = field(default_factory=list[Arrival])

    def texts(self, kinds: Sequence[str] = (TEXT,)) -> list[tuple[float, str]]:
        """Return when each piece of text arrived."""
        return [
            (at, update["content"]["text"])
            for at, update in self.updates
            if update["sessionUpdate"] in kinds
        ]


class Agent:
    """A running agent."""

    def __init__(
        self,
        arguments: Sequence[str],
        settings: Mapping[str, str],
        cwd: Path,
        errors: IO[bytes],
    ) -> None:
        self._errors = errors
        self._last_id = 0
        self._rest = b""
        self._arrived: deque[Arrival] = deque()
        self._cwd = cwd
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            [SCRIPT, "serve", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
            env=_environment(settings),
            cwd=cwd,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin.fileno(), self._process.stdout.fileno()

    def initialize(self) -> float:
        """Introduce the client; return when the answer was there."""
        params: Json = {"protocolVersion": 1, "clientCapabilities": {}}
        return self.answer(self.request("initialize", params)).at

    def new_session(self) -> tuple[str, float]:
        """Open a session; return its id, and when it was there."""
        params: Json = {"cwd": str(self._cwd), "mcpServers": []}
        answer = self.answer(self.request("session/new", params))
        return answer.value["sessionId"], answer.at

    def prompt(self, session: str, text: str) -> Turn:
        """Run one turn."""
        return self.prompts({session: text})[session]

    def prompts(self, texts: Mapping[str, str]) -> dict[str, Turn]:
        """Run a turn in each of several sessions at once."""
        turns: dict[str, Turn] = {}
        waiting: dict[int, str] = {}
        for session, text in texts.items():
            turns[session] = Turn(time.monotonic())
            waiting[self.send_prompt(session, text)] = session
        while waiting:
            at, frame = self.next()
            if "method" in frame:
                self._updated(turns, at, frame["params"])
            elif (session := waiting.pop(frame["id"], None)) is not None:
                turns[session].answered = at
                turns[session].stop_reason = self._result(frame)["stopReason"]
        return turns

    def send_prompt(self, session: str, text: str) -> int:
        """Send a prompt and wait for nothing; return the id of the request."""
        prompt = [{"type": "text", "text": text}]
        return self.request("session/prompt", {"sessionId": session, "prompt": prompt})

    def request(self, method: str, params: Json) -> int:
        """Send a request; return its id."""
        self._last_id += 1
        self._send({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params})
        return self._last_id

    def notify(self, method: str, params: Json) -> None:
        """Send a notification."""
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def answer(self, request_id: int) -> Arrival:
        """Return the result of a request; what arrives before it is passed over."""
        while True:
            at, frame = self.next()
            if "method" not in frame and frame["id"] == request_id:
                return Arrival(at, self._result(frame))

    def next(self) -> Arrival:
        """Return the next frame. Raises AgentFailed when none will come."""
        while not self._arrived:
            if not select.select([self._stdout], [], [], SECONDS)[0]:
                raise AgentFailed(f"the agent said nothing for {SECONDS} s{self._last_words()}")
            data = os.read(self._stdout, CHUNK)
            at = time.monotonic()
            if not data:
                raise AgentFailed(f"the agent ended{self._last_words()}")
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._arrived.extend(Arrival(at, json.loads(line)) for line in lines)
        return self._arrived.popleft()

    def usage(self) -> Usage:
        """Return what the agent's process has used until now."""
        return usage(self._process.pid)

    def leave(self) -> float:
        """Close its stdin; return how many seconds it took to end."""
        assert self._process.stdin is not None
        left = time.monotonic()
        self._process.stdin.close()
        self._process.wait(SECONDS)
        return time.monotonic() - left

    def close(self) -> None:
        """Make sure that it is gone."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def _send(self, frame: Json) -> None:
        os.write(self._stdin, json.dumps(frame).encode() + b"\n")

    def _updated(self, turns: Mapping[str, Turn], at: float, params: Json) -> None:
        turn = turns.get(params["sessionId"])
        if turn is not None:
            turn.updates.append(Arrival(at, params["update"]))

    def _result(self, frame: Json) -> Any:
        if "error" in frame:
            raise AgentFailed(f"the agent answered {frame['error']}{self._last_words()}")
        return frame["result"]

    def _last_words(self) -> str:
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip()
        return f"; it said:\n{said[-2000:]}" if said else ""


@contextmanager
def agent(
    arguments: Sequence[str], cwd: Path, settings: Mapping[str, str] | None = None
) -> Generator[Agent]:
    """Start `acp-agent serve ...`; on leaving, it is gone."""
    with tempfile.TemporaryFile() as errors:
        running = Agent(arguments, settings or {}, cwd, errors)
        try:
            yield running
        finally:
            running.close()


def usage(pid: int) -> Usage:
    """Return CPU seconds and resident megabytes of a process, ended threads included."""
    if sys.platform == "linux":
        # The kernel's name for the CPU clock of a process; /proc has it in ticks of 10 ms only.
        cpu = time.clock_gettime((~pid << 3) | 2)
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return Usage(cpu, pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
    command = ["ps", "-o", "time=,rss=", "-p", str(pid)]
    spent, resident = subprocess.check_output(command, text=True).split()
    seconds = 0.0
    for part in spent.split(":"):
        seconds = 60 * seconds + float(part)
    return Usage(seconds, int(resident) * 1024 / 1e6)


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, "ACP_AGENT_CONFIG": os.devnull, **settings}
