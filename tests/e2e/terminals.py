"""Terminals as an editor has them: real commands, whose output is kept."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio.to_thread


class Terminals:
    """The terminals of one client; `released` names those that were given back."""

    def __init__(self, folder: Path) -> None:
        self.released: list[str] = []
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def create(
        self, command: str, args: Sequence[str], cwd: str | None, env: Mapping[str, str]
    ) -> str:
        terminal_id = f"term-{len(self._running) + 1}"
        with self._output(terminal_id).open("wb") as output:
            self._running[terminal_id] = subprocess.Popen(
                [command, *args], cwd=cwd, env=dict(env), stdout=output, stderr=output
            )
        return terminal_id

    async def wait(self, terminal_id: str) -> int:
        process = self._running[terminal_id]
        return await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True)

    def output(self, terminal_id: str) -> tuple[str, int | None]:
        text = self._output(terminal_id).read_text(encoding="utf-8", errors="replace")
        return text, self._running[terminal_id].poll()

    def kill(self, terminal_id: str) -> None:
        self._running[terminal_id].kill()

    def release(self, terminal_id: str) -> None:
        self.kill(terminal_id)
        self._running[terminal_id].wait()
        self.released.append(terminal_id)

    def close(self) -> None:
        """End what the agent has left behind."""
        for process in self._running.values():
            process.kill()
            process.wait()

    def _output(self, terminal_id: str) -> Path:
        return self._folder / f"{terminal_id}.txt"
