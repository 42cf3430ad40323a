"""The search without ripgrep: `python -P -m acp_agent.tools.search_worker`, its own process.

A regular expression of Python can run for years and holds the interpreter meanwhile; a process can
be killed. It prints matches in the words of `rg --json`, so that both are read by one reader.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from acp_agent.tools.ignore import walk_files

MAX_FILE = 5 * 1024 * 1024


def main(arguments: list[str]) -> None:
    """Print every line that fits `arguments`: pattern, directory or file, top of the workspace."""
    pattern, path, top = arguments
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        regex = re.compile(pattern)
    for file in walk_files(Path(path), Path(top)):
        for number, line in _matches(regex, file):
            shown = {"text": os.fsencode(file).decode("utf-8", errors="replace")}
            _print("match", {"path": shown, "line_number": number, "lines": {"text": line}})
        _print("end", {})


def _print(kind: str, data: dict[str, object]) -> None:
    sys.stdout.write(json.dumps({"type": kind, "data": data}) + "\n")


def _matches(regex: re.Pattern[str], file: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(_text(file).split("\n"), start=1):
        line = line.removesuffix("\r")
        if regex.search(line):
            yield number, line


def _text(file: str) -> str:
    """Return the text of a file; nothing for binary, huge and unreadable ones."""
    path = Path(file)
    try:
        if path.stat().st_size > MAX_FILE:
            return ""
        data = path.read_bytes()
    except OSError:
        return ""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data:
        return ""
    text = data.decode("utf-8-sig", errors="replace")
    return text.removesuffix("\n")


if __name__ == "__main__":
    main(sys.argv[1:])
