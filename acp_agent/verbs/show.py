"""Shows a session's updates in a terminal, as an editor would in its panel."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import Any, TextIO, cast

from acp_agent.fence import unfenced

COLOURS = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
MARKS = {"completed": ("green", "✓"), "failed": ("red", "✗"), "in_progress": ("yellow", "…")}
MAX_OUTPUT_LINES = 12


class Screen:
    """Writes updates as they come. What the model says goes to `out`, the rest to `side`.

    With `out` and `side` the same, that is the whole conversation; else `out` is the answer alone.
    """

    def __init__(
        self, out: TextIO = sys.stdout, side: TextIO = sys.stderr, root: Path | None = None
    ) -> None:
        """Paths below `root` are shown relative to it."""
        self.is_gone = False  # whoever read us has had enough
        self._root = f"{root}{os.sep}" if root else ""
        self._out = out
        self._side = side
        self._colour = side.isatty() and not os.environ.get("NO_COLOR")
        self._message = ""
        self._open: TextIO | None = None
        self._calls: dict[str, dict[str, Any]] = {}
        self._shown: dict[str, list[dict[str, Any]]] = {}

    def update(self, update: dict[str, Any]) -> None:
        """Show one `session/update`."""
        self._routing(update.get("_meta") or {})
        match update["sessionUpdate"]:
            case "agent_message_chunk":
                self._chunk(update, self._out, "")
            case "agent_thought_chunk":
                self._chunk(update, self._side, "dim")
            case "tool_call" | "tool_call_update":
                self._call(update)
            case "plan":
                self.line("plan", "bold")
                for entry in update["entries"]:
                    done = {"completed": "x", "in_progress": ">"}.get(entry["status"], " ")
                    self.line(f"  [{done}] {entry['content']}")
            case "notice":
                self.line(f"! {update['title']} {update.get('description', '')}", "yellow")
            case _:
                pass

    def _routing(self, meta: dict[str, Any]) -> None:
        """Show who answers, and why, where the update says so."""
        routing = meta.get("routing")
        if isinstance(routing, dict):
            found = cast("dict[str, str]", routing)
            self.line(f"→ {found.get('decision')}: {found.get('reason')}", "dim")

    def line(self, text: str, colour: str = "") -> None:
        """Write a line of our own."""
        self._end_message()
        self._write(self._side, f"{self._paint(text, colour)}\n")

    def end(self, stop: str = "") -> None:
        """Finish a line that is still open."""
        self._end_message()

    def _chunk(self, update: dict[str, Any], stream: TextIO, colour: str) -> None:
        text = update["content"].get("text", "")
        if update.get("messageId") != self._message:
            self._end_message()
            self._message = update.get("messageId", "")
        self._open = stream
        self._write(stream, self._paint(text, colour) if stream is self._side else text)

    def _call(self, update: dict[str, Any]) -> None:
        call = self._calls.setdefault(update["toolCallId"], {})
        before = dict(call)
        call.update(update)
        title = call.get("title", "")
        if title != before.get("title") and "rawInput" in call:
            self.line(f"● {call.get('kind', 'other')}: {title}", "cyan")
            self._contents(call)
        status = update.get("status")
        if status in ("completed", "failed"):
            self._contents(call)
            colour, mark = MARKS[status]
            self.line(f"  {mark} {status}", colour)

    def _contents(self, call: dict[str, Any]) -> None:
        """Show what the call holds and has not shown yet."""
        shown = self._shown.setdefault(call["toolCallId"], [])
        for content in cast("list[dict[str, Any]]", call.get("content") or []):
            if content in shown:
                continue
            shown.append(content)
            if content["type"] == "diff":
                self._diff(content)
            elif content["type"] == "content":
                text = unfenced(content["content"].get("text", ""))
                lines = text.rstrip("\n").split("\n")
                for line in lines[-MAX_OUTPUT_LINES:]:
                    self.line(f"  │ {line}", "dim")

    def _diff(self, diff: dict[str, Any]) -> None:
        old = (diff.get("oldText") or "").splitlines()
        new = diff["newText"].splitlines()
        self.line(f"  {diff['path'].removeprefix(self._root)}", "bold")
        for line in list(difflib.unified_diff(old, new, lineterm="", n=1))[2:]:
            self.line(f"  {line}", {"+": "green", "-": "red"}.get(line[:1], "dim"))

    def _end_message(self) -> None:
        if self._open is not None:
            self._write(self._open, "\n")
            self._message, self._open = "", None

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            if not self.is_gone:
                stream.write(text)
                stream.flush()
        except BrokenPipeError:
            self.is_gone = True

    def _paint(self, text: str, colour: str) -> str:
        if not self._colour or not colour:
            return text
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"
