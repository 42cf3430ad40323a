"""The words that we add to a conversation ourselves.

The instructions are the same for every user and every workspace, so an engine can keep them
evaluated. What differs (where the workspace is, on what system) opens the first user message.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path


@cache
def instructions() -> str:
    """Return what the developer message tells the model."""
    return Path(__file__).with_name("instructions.md").read_text(encoding="utf-8").strip()


def environment_note(workspace: str, others: tuple[str, ...] = (), system: str = "") -> str:
    """Return the line to put above the first user message: directories and operating system."""
    also = f", also {', '.join(others)}" if others else ""
    return f"[workspace {workspace}{also} on {system or platform.system()}]\n\n"


def without_note(message: str) -> str:
    """Return the user's own words of a message that may begin with an `environment_note`."""
    note, end, words = message.partition("]\n\n")
    return words if end and note.startswith("[workspace ") else message
