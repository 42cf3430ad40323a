"""A session as a document: to read, or its plain record."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

import anyio.to_thread

from acp_agent.errors import AgentError
from acp_agent.recording.export_html import html
from acp_agent.recording.export_markdown import markdown
from acp_agent.recording.lines import Opened, TurnStarted
from acp_agent.recording.read import Skip, read, read_with_text
from acp_agent.recording.repository import commit_at
from acp_agent.recording.rlog import whole
from acp_agent.recording.rlog_header import header_lines
from acp_agent.recording.transcript import transcript

WORDS = 6  # of the first prompt, in the name of a document
LONGEST = 48
SHORT_ID = 8


def document(path: Path, form: str, skip: Skip) -> Iterator[str]:
    """Give a session as `form`, piece by piece: md, html, jsonl or rlog.

    Only jsonl holds secrets as they are.
    """
    match form:
        case "html":
            yield from html(transcript(read(path, skip)), f"Session {path.stem}")
        case "jsonl":
            for text, _ in read_with_text(path, skip):
                yield text.decode().rstrip("\n") + "\n"
        case "rlog":
            for line in whole(read(path, skip), _header):
                yield f"{line}\n"
        case _:
            yield from markdown(transcript(read(path, skip)))


class Exporter:
    """Writes a session's record, as it stands, to its workspace as a document."""

    def __init__(self, record: Path, workspace: Path) -> None:
        self._record = record
        self._workspace = workspace

    async def __call__(self, form: str) -> str:
        """Return the path of the new document. Raises AgentError."""
        return await anyio.to_thread.run_sync(self._export, form)

    def _export(self, form: str) -> str:
        skipped: list[int] = []
        pieces = document(self._record, form, lambda number, _: skipped.append(number))
        stem = self._workspace / self._stem()
        for number in count(1):
            path = Path(f"{stem}.{form}" if number == 1 else f"{stem}-{number}.{form}")
            try:
                # What is there already, a link as well, is left alone.
                with open(
                    path, "x", encoding="utf-8", errors="replace", newline="", opener=_private
                ) as file:
                    file.writelines(pieces)
            except FileExistsError:
                continue
            except OSError as error:
                raise AgentError(f"cannot write {path}: {error.strerror or error}") from None
            return f"{path}{_left_out(len(skipped))}"
        raise AssertionError("a name is free at some number")

    def _stem(self) -> str:
        lines = read(self._record, lambda number, why: None)
        first = next((one.message.words for one in lines if isinstance(one, TurnStarted)), "")
        words = re.findall(r"\w+", first[:1000].lower())[:WORDS]
        name = "-".join(chain(("session",), words))[:LONGEST].rstrip("-")
        return f"{name}-{self._record.stem.rpartition('_')[2][:SHORT_ID]}"


def _private(path: str, flags: int) -> int:
    """Open a file for this user alone: it says what was said to them, and what was read."""
    return os.open(path, flags, 0o600)


def _left_out(lines: int) -> str:
    return f" ({lines} lines could not be read)" if lines else ""


def _header(opened: Opened) -> list[str]:
    note = "repo_sha is the commit at the time of the export"
    return header_lines(opened, commit_at(Path(opened.cwd)), note)
