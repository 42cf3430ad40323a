"""The header of an rlog: written, and read again; the part of YAML that headers are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Literal

from acp_agent.recording.lines import Opened
from acp_agent.recording.repository import NO_COMMIT, Commit
from acp_agent.recording.rlog_text import quoted

FORMAT = "rlog/1"
REQUIRED = ("format", "id", "repo_sha")
FENCE = "---"

_FIELD = re.compile(r"([A-Za-z_][\w.]*):(?:\s+(.*))?")
# What YAML would not take for text, were it not quoted.
_NOT_TEXT = re.compile(
    r"[-+]?(?:\d[\d_]*|0x[\da-fA-F]+|0o[0-7]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
    r"|\.inf|\.nan)|true|false|null|~",
    re.IGNORECASE,
)
_SHA = re.compile(r"[0-9a-fA-F]{6,40}")


class HeaderError(ValueError):
    """A line of a header that is no YAML that a header is made of."""


def header_lines(opened: Opened, commit: Commit, note: str = "") -> list[str]:
    """Return the lines of a header, up to the empty line behind it."""
    fields = {
        "id": opened.id,
        "agent": opened.agent.partition(" ")[0] or "acp-agent",
        "version": opened.agent.partition(" ")[2],
        "runner": opened.agent or "acp-agent",
        "mode": opened.mode,
        "model": opened.model,
        "repo_sha": commit.sha,
        "branch": commit.branch,
        "cwd": opened.cwd,
        "notes": "there is no commit" if commit.sha == NO_COMMIT else note,
    }
    # All quoted: a commit of digits alone would be a number.
    written = [f"{name}: {quoted(value, 1000)}" for name, value in fields.items() if value]
    return [FENCE, f"format: {FORMAT}", *written, FENCE, ""]


class Header:
    """Reads a header; a list or a table in it is passed over."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}
        self._begun = False

    def line(self, text: str) -> bool:
        """Take a line; return whether it was the last. Raises HeaderError."""
        text = text.rstrip()
        if text.strip() == FENCE:
            is_complete, self._begun = self._begun, True
            return is_complete
        if self._begun and text and not text.startswith((" ", "\t", "-", "#")):
            found = _FIELD.fullmatch(text)
            if found is None:
                raise HeaderError(f"no field of a header: {text[:50]!r}")
            name, value = found.groups()
            if name in (*REQUIRED, "mode", "sandbox_id", "runner"):
                self._fields[name] = _text(name, (value or "").strip())
        return False

    def missing(self) -> str:
        """Say what an unfinished header lacks."""
        return (
            f"the header has no end {FENCE!r}" if self._begun else f"no header: no line {FENCE!r}"
        )

    def issues(self) -> Iterator[tuple[Literal["error", "warning", "info"], str, str]]:
        """Say what is wrong with a header that is complete."""
        for name in REQUIRED:
            if not self._fields.get(name):
                yield "error", "E003", f"the header lacks {name!r}"
        version, sha = self._fields.get("format", ""), self._fields.get("repo_sha", "")
        if version and not version.startswith("rlog/"):
            yield "error", "E004", f"not rlog but {version!r}"
        elif version not in ("", "rlog/1", "rlog/1.0"):
            yield "warning", "W008", f"unknown version {version!r}; known: rlog/1"
        if sha and not _SHA.fullmatch(sha):
            yield "warning", "W009", f"repo_sha {sha!r} has not 6 to 40 hexadecimal digits"
        if self._fields.get("mode") == "auto" and not self._fields.get("sandbox_id"):
            yield "info", "I003", "mode auto without sandbox_id"
        if not self._fields.get("runner"):
            yield "info", "I004", "no runner (it helps to replay)"


def _text(name: str, value: str) -> str:
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            raise HeaderError(f"{name} is not quoted well: {value[:50]!r}") from None
    if value.startswith("'"):
        if len(value) < 2 or not value.endswith("'"):
            raise HeaderError(f"{name} is not quoted well: {value[:50]!r}")
        return value[1:-1].replace("''", "'")
    value = value.partition(" #")[0].strip()
    if _NOT_TEXT.fullmatch(value):
        raise HeaderError(f"{name} is not text: quote {value!r}")
    return value
