"""The search behind `find_tool`: which tools a few words mean; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from acp_agent.tools.mcp.catalog import Entry
from acp_agent.tools.mcp.signature import signature

MOST = 5
LONGEST = 8_000
MOST_NAMES = 60
_WORD = re.compile(r"[a-z0-9]+|[^\W_a-z0-9]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def find_tools(entries: Sequence[Entry], query: str) -> tuple[Entry, ...]:
    """Return the tools that fit best, best first; those that fit in nothing are left out."""
    wanted = _words(query)
    scored = [(_score(entry, wanted), entry) for entry in entries]
    found = [pair for pair in scored if pair[0] > 0]
    found.sort(key=lambda pair: -pair[0])  # stable: servers' own order among equals
    return tuple(entry for _, entry in found[:MOST])


def told(found: Sequence[Entry], entries: Sequence[Entry], query: str) -> str:
    """Return what the model reads: how to call what was found, or what there is instead."""
    if found:
        text = ""
        for entry in found:
            more = signature(entry.spec)
            if text and len(text) + len(more) > LONGEST:
                break
            text += f"{more}\n\n"
        return f"{text}Call them as functions.<name>."
    names = ", ".join(entry.name for entry in entries[:MOST_NAMES])
    rest = f", and {len(entries) - MOST_NAMES} more" if len(entries) > MOST_NAMES else ""
    return f"No tool fits {query[:80]!r}. Try other words. There are: {names}{rest}"


def _score(entry: Entry, wanted: Sequence[str]) -> int:
    named = _words(entry.name)
    described = _words(entry.offer.description)
    score = 0
    for word in wanted:
        if word in named:
            score += 8
        elif any(_alike(word, other) for other in named):
            score += 4
        if word in described:
            score += 2
        elif any(_alike(word, other) for other in described):
            score += 1
    return score


def _alike(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) >= 4 and long.startswith(short)


def _words(text: str) -> list[str]:
    return _WORD.findall(_HUMP.sub(" ", text).lower())
