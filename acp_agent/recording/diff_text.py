"""A change of a file as a unified diff."""

from __future__ import annotations

import difflib

from acp_agent.events import Diff, ToolContent

MAX_LINES = 5000  # difflib takes minutes for long texts that have nothing in common


def unified(content: ToolContent) -> str:
    """Return the diff's text, "" for other content."""
    if not isinstance(content, Diff):
        return ""
    old, new = (content.old_text or "").splitlines(), content.new_text.splitlines()
    name = " ".join(content.path.split())
    if len(old) + len(new) > MAX_LINES:
        return f"+++ {name}\n@@ {len(old)} lines became {len(new)} @@"
    before = "/dev/null" if content.old_text is None else name
    return "\n".join(difflib.unified_diff(old, new, before, name, lineterm=""))
