"""Hunks on a text, purely: find the place of each, give the new text.

Lines are looked up exactly, then without spaces at their end, then without spaces at both ends,
then with typographic dashes and quotes made plain; kept lines stay as the file has them. An order
of trials, because a looser rule must never win over an exact place further down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from acp_agent.errors import ToolFailed
from acp_agent.tools.patch_grammar import Hunk
from acp_agent.tools.text_file import TextFile

_PLAIN = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
    | dict.fromkeys("\u2018\u2019\u201a\u201b", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
    | dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f\u3000", " ")
)

Fold = Callable[[str], str]
_FOLDS: tuple[Fold, ...] = (
    lambda line: line,
    str.rstrip,
    str.strip,
    lambda line: line.translate(_PLAIN).strip(),
)


def apply_hunks(file: TextFile, hunks: Sequence[Hunk], name: str) -> TextFile:
    """Return `file` with every hunk applied, in order. Raises ToolFailed, which tells `name`."""
    newline = file.newline
    raw = file.text.split("\n")
    ends_open = raw[-1] != ""
    raw = raw if ends_open else raw[:-1]
    if ends_open and newline == "\r\n":
        raw[-1] += "\r"  # Every line has the same shape while the hunks work on it.
    lines = [line.removesuffix("\r") for line in raw]
    result: list[str] = []
    done = 0
    for hunk in hunks:
        place, old = _locate(lines, hunk, done, name)
        result += raw[done:place]
        done = place
        for op, text in hunk.lines:
            if op == "+":
                result.append(text + newline[:-1])
                continue
            if op == " " and done < place + len(old):
                result.append(raw[done])
            done = min(done + 1, place + len(old))
    result += raw[done:]
    text = "".join(f"{line}\n" for line in result)
    return TextFile(text.removesuffix(newline) if ends_open else text, file.bom)


def _locate(lines: list[str], hunk: Hunk, start: int, name: str) -> tuple[int, list[str]]:
    """Return where the hunk begins at or after `start`, and the lines that it quotes there."""
    below, missing = _below_headers(lines, hunk, start)
    old = hunk.old
    if not old:
        if missing:
            raise ToolFailed(f"there is no line '@@ {missing}' in {name!r}")
        # Lines that only come in go below their header, or to the end of the file.
        return (below if hunk.headers and not hunk.at_end else len(lines)), old
    place = _find(lines, old, below, at_end=hunk.at_end)
    if place is None and not old[-1].strip() and len(old) > 1:
        # Models quote the nothing behind the last line end as a blank line.
        old = old[:-1]
        place = _find(lines, old, below, at_end=hunk.at_end)
    if place is None:
        quoted = "\n".join(old)
        raise ToolFailed(
            f"invalid context in {name!r}, it has no such lines after line {below}:\n"
            f"{quoted[:1000]}\nread the file again and quote its lines as they are"
        )
    if missing and _find(lines, old, place + 1) is not None:
        raise ToolFailed(
            f"there is no line '@@ {missing}' in {name!r}, and the quoted lines occur more than"
            " once; quote more lines around the change"
        )
    return place, old


def _below_headers(lines: list[str], hunk: Hunk, start: int) -> tuple[int, str | None]:
    """Return the line below the last header found, and the first header that was not found."""
    for header in hunk.headers:
        found = _find(lines, [header], start)
        if found is None:
            found = _find_beginning(lines, header, start)
        if found is None:
            return start, header
        # A header may also be the first quoted line; the look-up then starts at it.
        quoted = bool(hunk.old) and hunk.old[0].strip() == lines[found].strip()
        start = found if quoted and header == hunk.headers[-1] else found + 1
    return start, None


def _find_beginning(lines: list[str], header: str, start: int) -> int | None:
    """Find a line that `header` abbreviates, such as `class A` for `class A(B):`."""
    wanted = header.strip()
    found = (n for n in range(start, len(lines)) if lines[n].strip().startswith(wanted))
    return next(found, None)


def _find(lines: list[str], wanted: list[str], start: int, *, at_end: bool = False) -> int | None:
    last = len(lines) - len(wanted)
    places = [last, *range(start, last)] if at_end and last >= start else range(start, last + 1)
    for fold in _FOLDS:
        key = [fold(line) for line in wanted]
        for place in places:
            if fold(lines[place]) == key[0] and key == [
                fold(line) for line in lines[place : place + len(key)]
            ]:
                return place
    return None
