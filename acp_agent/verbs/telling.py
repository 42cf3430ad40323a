"""How the verbs about models speak: lines for people, or one JSON object a line for programs.

Results go to stdout; how far it is goes to stderr, in one line that is redrawn on a terminal.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TextIO

from acp_agent.models.base import Progress
from acp_agent.models.saying import sentence

EVERY = {"json": 0.5, "terminal": 0.2, "plain": 10.0}  # seconds between two reports


class Teller:
    """Says what happens, in one of three ways."""

    def __init__(
        self,
        *,
        as_json: bool,
        out: TextIO | None = None,
        err: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._json = as_json
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._clock = clock
        self._drawn = 0
        self._next = 0.0
        self._stage: str = ""
        self._way = "json" if as_json else "terminal" if self._err.isatty() else "plain"

    def result(self, event: str, text: str, **fields: object) -> None:
        """Say what came of it, on stdout."""
        self._clear()
        if self._json:
            line = json.dumps({"event": event, **fields, "text": text}, ensure_ascii=False)
            print(line, file=self._out, flush=True)
        else:
            print(text, file=self._out, flush=True)

    def note(self, event: str, text: str, **fields: object) -> None:
        """Say what one should know meanwhile: on stderr to people, on stdout to programs."""
        if self._json:
            self.result(event, text, **fields)
        else:
            self._clear()
            print(text, file=self._err, flush=True)

    def progress(self, progress: Progress) -> None:
        """Say how far it is, now and then."""
        now = self._clock()
        if now < self._next and progress.stage == self._stage and not progress.note:
            return
        self._next, self._stage = now + EVERY[self._way], progress.stage
        if self._json:
            self.result("progress", sentence(progress), **asdict(progress))
        elif progress.note:
            self._clear()
            print(progress.note, file=self._err, flush=True)
        elif self._way == "terminal":
            text = sentence(progress)
            print(f"\r{text:<{self._drawn}}", end="", file=self._err, flush=True)
            self._drawn = len(text)
        else:
            print(sentence(progress), file=self._err, flush=True)

    def _clear(self) -> None:
        if self._drawn:
            print(f"\r{'':<{self._drawn}}\r", end="", file=self._err, flush=True)
            self._drawn = 0
