"""Names of MCP tools that Harmony, chat APIs and editors can all carry, each of them once; pure."""

from __future__ import annotations

import re

LONGEST_SERVER = 24
LONGEST = 64
_OTHERS = re.compile(r"[^A-Za-z0-9]+")
_PREFIXES = ("functions_", "mcp_")


def public_name(server: str, tool: str) -> str:
    """Return `<server>__<tool>` in letters, digits and underscores."""
    first = _word(server)[:LONGEST_SERVER].strip("_") or "server"
    return f"{first}__{_word(tool) or 'tool'}"[:LONGEST].rstrip("_")


def key(recipient: str) -> str:
    """Return what tells names apart: models change case, dashes and dots, and add prefixes."""
    name = _word(recipient.partition("<|")[0]).lower()
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


class Names:
    """Hands out public names; a tool that has had one keeps it."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, str], str] = {}
        self._keys: set[str] = set()

    def name(self, number: int, server: str, tool: str) -> str:
        """Return the name of this tool of the session's server with this number."""
        if (number, tool) not in self._names:
            name = plain = public_name(server, tool)
            count = 1
            while key(name) in self._keys:
                count += 1
                name = f"{plain[: LONGEST - 4]}_{count}"
            self._keys.add(key(name))
            self._names[number, tool] = name
        return self._names[number, tool]


def _word(text: str) -> str:
    return _OTHERS.sub("_", text).strip("_")
