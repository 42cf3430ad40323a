"""`acp-agent validate`: whether an rlog, or a trajectory, is what it should be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from acp_agent.recording.read import numbered, read, regular
from acp_agent.recording.validate import MAX_ISSUES, Issue, Report, Validator

MAX_LINE = 1024 * 1024  # bytes of an rlog, which is for people


def run_validate(path: Path, *, as_json: bool, out: TextIO) -> int:
    """Validate a file; 1 for an error or a warning."""
    with regular(path).open("rb") as file:
        is_trajectory = file.read(1) == b"{"
    report = of_trajectory(path) if is_trajectory else of_rlog(path)
    if as_json:
        found = {"valid": report.is_clean, **asdict(report)}
        print(json.dumps(found, indent=2), file=out)
    else:
        _show(path, report, out)
    return 0 if report.is_clean else 1


def of_rlog(path: Path) -> Report:
    """Validate an rlog."""
    validator = Validator()
    for line in _lines(path, validator):
        validator.line(line)
    return validator.report()


def of_trajectory(path: Path) -> Report:
    """Say which lines of a trajectory cannot be read."""
    report = Report()

    def skip(number: int, reason: str) -> None:
        # What a killed process leaves is no fault of the file.
        severity = "info" if "not finished" in reason else "warning"
        report.add(Issue(severity, "T001", reason, number))

    for line in read(path, skip):
        report.count(type(line).__name__)
    return report


def _lines(path: Path, validator: Validator) -> Iterator[str]:
    with path.open("rb") as file:
        last = 0
        for number, line in numbered(file, MAX_LINE):
            for _ in range(last + 1, number):
                yield ""
            last = number
            try:
                yield "" if line is None else line.decode().removesuffix("\n")
            except UnicodeDecodeError:
                yield line.decode(errors="replace") if line else ""
                validator.fault("E005", "it is not UTF-8")
            if line is None:
                validator.fault("E005", f"it has more than {MAX_LINE} bytes")


def _show(path: Path, report: Report, out: TextIO) -> None:
    for issue in report.issues:
        where = f"{path}:{issue.line}" if issue.line else str(path)
        print(f"{where}: {issue.severity} {issue.code}: {issue.message}", file=out)
    more = sum(report.severities.values()) - MAX_ISSUES
    if more > 0:
        print(f"and {more} more", file=out)
    found = ", ".join(f"{number} {name}" for name, number in report.severities.items())
    print(
        f"{path}: {'valid' if report.is_clean else 'not valid'}{found and f' ({found})'}", file=out
    )
