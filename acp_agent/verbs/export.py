"""`acp-agent export`: a session as a document to read, or as its plain record."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from acp_agent.errors import ConfigError
from acp_agent.recording.document import document
from acp_agent.recording.read import Skip, trajectory_file
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
    pieces = document(path, form, skip)
    if output is None:
        for piece in pieces:
            out.write(piece.encode(errors="replace").decode())
        return 0
    if output.exists() and output.samefile(path):
        raise ConfigError(f"--output: {str(output)!r} is the session's own file")
    with output.open("w", encoding="utf-8", errors="replace", newline="") as file:
        file.writelines(pieces)
    return 0
