"""Validates rlog/1: the header, the kinds of lines, and what must fit together among them.

The codes are those of the format's own tools (W001-W009, I001-I004); E is for a header that they
refuse to read. Lines come one at a time; only ids are remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from acp_agent.recording.rlog_header import Header, HeaderError

Severity = Literal["error", "warning", "info"]
MAX_ISSUES = 1000
LONG = 50  # lines without @start

_KINDS = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("user", r"u:"),
        ("agent", r"a:"),
        ("tool_start", r"t!:\w"),
        ("tool_progress", r"t~:\w"),
        ("tool", r"t:\w"),
        ("observation", r"o:"),
        ("skill", r"s:\S+\s+"),
        ("plan", r"p:\w"),
        ("mode", r"m:\s*\w"),
        ("recall", r"r:"),
        ("subagent", r"x:\w"),
        ("mcp", r"c:\w+\.\w"),
        ("question", r"q:"),
        ("comment", r"#"),
        ("phase", r"@phase\s+\w"),
        ("lifecycle", r"@\w"),
        ("thinking", r"th:"),
        ("todos", r"td:"),
    )
)
_CALLS = frozenset({"tool", "tool_start", "subagent", "mcp", "question"})
_PREFIX = re.compile(r"[a-z@#]+[!~]?:?")
_ID = re.compile(r"\bid=(\w+)")
_STEP = re.compile(r"\bstep=(\d+)")
_TIME = re.compile(r"\bts=(\S+)")
_GOOD_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})?")
_TOKENS = re.compile(r"\btokens_(in|out|cached)=(\d+)")
_BLOB = re.compile(r"@blob\s+sha256=([a-f0-9]+)")
_REDACTED = re.compile(r"\[redacted:\w+\]")


@dataclass(frozen=True, slots=True)
class Issue:
    """Something that is wrong, or could be better; `line` is counted from 1, None for the whole."""

    severity: Severity
    code: str
    message: str
    line: int | None = None


@dataclass(slots=True)
class Report:
    """What was found: issues, at most `MAX_ISSUES` of them, and counts of everything."""

    issues: list[Issue] = field(default_factory=list[Issue])
    severities: dict[str, int] = field(default_factory=dict[str, int])
    counts: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def is_clean(self) -> bool:
        """Whether there is neither an error nor a warning."""
        return not (self.severities.get("error") or self.severities.get("warning"))

    def add(self, issue: Issue) -> None:
        self.severities[issue.severity] = self.severities.get(issue.severity, 0) + 1
        if len(self.issues) < MAX_ISSUES:
            self.issues.append(issue)

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number


class Validator:
    """Takes the lines of a file one by one, without their ends."""

    def __init__(self) -> None:
        self.last_step = 0
        self.open_calls: dict[str, int] = {}  # that were started and have no result, by their line
        self._report = Report()
        self._header: Header | None = Header()
        self._number = 0
        self._known: set[str] = set()
        self._has_start = self._has_end = False

    @property
    def has_header(self) -> bool:
        """Whether the header is complete."""
        return self._header is None

    def line(self, text: str) -> None:
        self._number += 1
        if self._header is not None:
            self._head(self._header, text)
        else:
            self._body(text)

    def fault(self, code: str, message: str) -> None:
        """Say that the last line cannot be read."""
        self._issue("error", code, message)

    def report(self) -> Report:
        """Say what is wrong with the whole; after the last line."""
        report = self._report
        if self._header is not None:
            self._issue("error", "E001", self._header.missing(), whole=True)
            return report
        for call, number in self.open_calls.items():
            self._warn("W007", f"tool start {call!r} has no result", number)
        if report.counts.get("lines", 0) > LONG and not self._has_start:
            self._issue("info", "I001", "a long session without @start", whole=True)
        if self._has_start and not self._has_end:
            self._issue("info", "I002", "@start without @end", whole=True)
        report.count("unique_ids", len(self._known))
        return report

    def _head(self, header: Header, text: str) -> None:
        try:
            is_complete = header.line(text)
        except HeaderError as error:
            self._issue("error", "E002", str(error))
            return
        if not is_complete:
            return
        self._header = None
        for severity, code, message in header.issues():
            self._issue(severity, code, message, whole=True)

    def _body(self, raw: str) -> None:
        self._report.count("lines")
        text = raw.strip()
        if not text:
            return
        kind = _kind(raw, text)
        self._report.count(kind)
        if kind == "unknown":
            self._warn("W003", f"unknown kind of line: {text[:50]!r}")
        self._fields(text)
        content = text if kind == "continuation" else _PREFIX.sub("", text, count=1)
        found = _ID.search(content)
        self._call(kind, found.group(1) if found else "", "→" in content)
        if kind == "lifecycle":
            self._has_start = self._has_start or text.startswith("@start")
            self._has_end = self._has_end or text.startswith("@end")

    def _call(self, kind: str, call: str, has_result: bool) -> None:
        if not call:
            return
        if kind == "observation":
            if call not in self._known:
                self._warn("W002", f"a result for an unknown id {call!r}")
            self.open_calls.pop(call, None)
        elif kind == "tool_progress" and call not in self._known:
            self._warn("W001", f"progress of an unknown id {call!r}")
        elif kind == "tool_start":
            self.open_calls[call] = self._number
        elif kind == "tool" and has_result:
            self.open_calls.pop(call, None)
        if kind in _CALLS:
            self._known.add(call)

    def _fields(self, text: str) -> None:
        found = _STEP.search(text)
        if found:
            step = int(found.group(1)[:18])
            if step < self.last_step:
                self._warn("W004", f"step {step} after step {self.last_step}")
            self.last_step = step
        found = _TIME.search(text)
        if found and not _GOOD_TIME.fullmatch(found.group(1)):
            self._warn("W005", f"no time: {found.group(1)[:40]!r}")
        elif found:
            self._report.count("timestamps")
        for name, number in _TOKENS.findall(text):
            self._report.count(f"tokens_{name}", int(number[:18]))
        for sha in _BLOB.findall(text):
            self._report.count("blobs")
            if len(sha) < 6:
                self._warn("W006", f"the sha256 of a blob is too short: {sha!r}")
        self._report.count("redacted", len(_REDACTED.findall(text)))

    def _warn(self, code: str, message: str, line: int | None = None) -> None:
        self._report.add(Issue("warning", code, message, line or self._number))

    def _issue(self, severity: Severity, code: str, message: str, *, whole: bool = False) -> None:
        self._report.add(Issue(severity, code, message, None if whole else self._number))


def validate(lines: Iterable[str]) -> Report:
    """Return what is wrong with an rlog, given as lines without their ends."""
    validator = Validator()
    for line in lines:
        validator.line(line)
    return validator.report()


def _kind(raw: str, text: str) -> str:
    if raw.startswith(("  ", "\t")):
        return "continuation"
    return next((kind for kind, pattern in _KINDS if pattern.match(text)), "unknown")
