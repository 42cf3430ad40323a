"""`acp-agent export`: a session as a document to read, or as its plain record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from acp_agent.errors import ConfigError
from acp_agent.recording.export_html import html
from acp_agent.recording.export_markdown import markdown
from acp_agent.recording.lines import Opened
from acp_agent.recording.read import Skip, read, read_with_text, trajectory_file
from acp_agent.recording.repository import commit_at
from acp_agent.recording.rlog import whole
from acp_agent.recording.rlog_header import header_lines
from acp_agent.recording.transcript import transcript
from acp_agent.verbs.recorded import tell_skipped


def run_export(
    session: str,
    form: str,
    output: Path | None,
    *,
    out: TextIO,
    skip: Skip = tell_skipped,
) -> int:
    """Write a session as `form`: md, html, jsonl or rlog. Only jsonl holds secrets as they are.

    Raises:
        ConfigError: There is no such session, or the output is the session's own file.

    """
    path = trajectory_file(session)
    pieces = exported(path, form, skip)
    if output is None:
        for piece in pieces:
            out.write(piece.encode(errors="replace").decode())
        return 0
    if output.exists() and output.samefile(path):
        raise ConfigError(f"--output: {str(output)!r} is the session's own file")
    with output.open("w", encoding="utf-8", errors="replace", newline="") as file:
        file.writelines(pieces)
    return 0


def exported(path: Path, form: str, skip: Skip) -> Iterator[str]:
    """Give the document piece by piece."""
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


def _header(opened: Opened) -> list[str]:
    note = "repo_sha is the commit at the time of the export"
    return header_lines(opened, commit_at(Path(opened.cwd)), note)
