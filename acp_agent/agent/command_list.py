"""The slash commands of a session, as clients list them; what each does is in `commands`."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """A command; `hint` says what may follow its name."""

    name: str
    description: str
    hint: str = ""


COMMANDS = (
    Command("compact", "Sum up the conversation so far, to make room", "what to keep in mind"),
    Command("status", "Model, mode, approvals, and how full the context is"),
    Command("usage", "Tokens and times of this session"),
    Command("tools", "The tools that the model has"),
    Command("routing", "Who answered the last prompts, and why"),
    Command("diff", "What was changed in this session"),
    Command("export", "Write the conversation to a file", "md, html or jsonl"),
    Command("help", "These commands"),
)
