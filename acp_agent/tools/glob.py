"""Which paths a glob means: `*.py` by name, `src/**/*.{ts,tsx}` by path, `!*.md` all but these."""

from __future__ import annotations

import re
from dataclasses import dataclass

from acp_agent.errors import ToolFailed

MAX_STARS = 8


@dataclass(frozen=True, slots=True)
class Glob:
    """A compiled glob; `regex` fits the whole of a name, or of a path if `by_path`."""

    regex: re.Pattern[str]
    by_path: bool
    negated: bool = False

    def fits(self, *paths: str) -> bool:
        """Tell whether one of several spellings of a path (relative, with `/`) is meant."""
        keys = paths if self.by_path else [path.rpartition("/")[2] for path in paths]
        return any(self.regex.fullmatch(key) for key in keys) != self.negated


def compile_glob(glob: str) -> Glob:
    """Return `glob` compiled. Raises ToolFailed."""
    pattern = glob.removeprefix("!").removeprefix("./").removeprefix("/")
    pattern = f"{pattern}**" if pattern.endswith("/") else pattern
    if pattern.replace("**", "*").count("*") > MAX_STARS or len(pattern) > 200:
        raise ToolFailed(f"the glob {glob[:200]!r} is too complicated; use a plainer one")
    try:
        regex = re.compile(_translated(pattern), re.DOTALL)
    except re.error:
        raise ToolFailed(f"{glob!r} is no glob; write it like '*.py' or 'src/**/*.ts'") from None
    return Glob(regex, by_path="/" in pattern, negated=glob.startswith("!"))


_TOKEN = re.compile(r"(\*\*/)|(\*\*)|(\*)|(\?)|(\[!?\]?[^\]/]*\])|(\{)|(,)|(\})|(.)", re.DOTALL)


def _translated(pattern: str) -> str:
    parts: list[str] = []
    depth = 0
    for match in _TOKEN.finditer(pattern):
        token = match.group()
        match match.lastindex:
            case 1:
                parts.append("(?:.*/)?")
            case 2:
                parts.append(".*")
            case 3:
                parts.append("[^/]*")
            case 4:
                parts.append("[^/]")
            case 5:
                parts.append(_class(token))
            case 6:
                parts.append("(?:")
                depth += 1
            case 7 if depth:
                parts.append("|")
            case 8:
                parts.append(")")
                depth -= 1
            case _:
                parts.append(re.escape(token))
    return "".join(parts)


def _class(token: str) -> str:
    negated = token.startswith("[!")
    inner = token[2 if negated else 1 : -1].replace("\\", "\\\\").replace("[", "\\[")
    inner = inner.replace("^", "\\^").replace("]", "\\]")
    return f"[{'^/' if negated else ''}{inner}]"
