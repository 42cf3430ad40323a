"""Where the records of sessions lie: a directory for each workspace, a file for each session."""

from __future__ import annotations

import hashlib
from pathlib import Path

from acp_agent.paths import state_dir


def session_file(session_id: str, cwd: Path) -> Path:
    """Return where the record of a session in `cwd` is or would be."""
    return state_dir() / "sessions" / workspace_name(cwd) / f"{session_id}.jsonl"


def workspace_name(cwd: Path) -> str:
    """Return the name of the directory for the sessions of a workspace."""
    return hashlib.sha256(str(cwd).encode("utf-8", "surrogateescape")).hexdigest()[:16]
