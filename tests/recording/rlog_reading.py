"""An independent reading of rlog/1, after the words of its documents and not after our code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

KINDS = {
    r"u: ?.*": "user",
    r"a: ?.*": "agent",
    r"t!:\w+( .*)? → .+": "start",
    r"o: id=\w+( .*)? → \[(ok|error)\].*": "observation",
    r"th: .*": "thinking",
    r"td: .*": "todos",
    r"m: \w+.*": "mode",
    r"# .*": "comment",
    r"@(start|resume|checkpoint|end)\b.*": "lifecycle",
    r"  .*\S.*": "continuation",
}
TIME = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z"


@dataclass
class Reading:
    """What a file says; `wrong` is what the format's own validator would warn of."""

    header: dict[str, str] = field(default_factory=dict[str, str])
    kinds: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])
    tokens: dict[str, int] = field(default_factory=dict[str, int])


def read_rlog(text: str) -> Reading:
    """Read a whole file."""
    found = Reading()
    assert text.endswith("\n")
    lines = text.split("\n")[:-1]
    assert lines[0] == "---"
    end = lines.index("---", 1)
    for line in lines[1:end]:
        name, _, value = line.partition(": ")
        assert re.fullmatch(r"[a-z_]+", name)
        assert name == "format" or re.fullmatch(r'"([^"\\]|\\["\\/bfnrt])*"', value), line
        found.header[name] = value.strip('"')
    assert found.header["format"] == "rlog/1"
    assert found.header["id"]
    if not re.fullmatch("[0-9a-fA-F]{6,40}", found.header["repo_sha"]):
        found.wrong.append("W009")
    assert lines[end + 1] == ""
    _read_body(lines[end + 2 :], found)
    return found


def _read_body(lines: list[str], found: Reading) -> None:
    started: set[str] = set()
    answered: set[str] = set()
    steps: list[int] = []
    for line in lines:
        kind = next((k for pattern, k in KINDS.items() if re.fullmatch(pattern, line)), "")
        found.kinds.append(kind)
        if not kind:
            found.wrong.append(f"W003 {line!r}")
        # Everywhere in a line, continuation or not, a reader finds these.
        steps += [int(number) for number in re.findall(r"\bstep=(\d+)", line)[:1]]
        found.wrong += [
            f"W005 {time}"
            for time in re.findall(r"\bts=(\S+)", line)
            if not re.fullmatch(TIME, time)
        ]
        found.wrong += [f"W006 {line!r}" for _ in re.findall(r"@blob\s+sha256=\S", line)]
        for name, number in re.findall(r"\btokens_(in|out|cached)=(\d+)", line):
            found.tokens[name] = found.tokens.get(name, 0) + int(number)
        ids = re.findall(r"\bid=(\w+)", line)
        if kind == "start":
            started.add(ids[0])
        if kind == "observation":
            answered.add(ids[0])
            if ids[0] not in started:
                found.wrong.append(f"W002 {ids[0]}")
    if started - answered:
        found.wrong.append(f"W007 {started - answered}")
    if steps != sorted(steps):
        found.wrong.append(f"W004 {steps}")
    if not lines[0].startswith("@start id=") or not lines[-1].startswith("@end id="):
        found.wrong.append("I001 or I002")
