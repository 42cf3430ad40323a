"""What a prompt shows in any language: code blocks, quotations, file paths, error names, steps."""

from __future__ import annotations

import re

SEEN = 1_500  # characters from each end of a prompt in which instructions are looked for

_FENCE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
_QUOTES = re.compile(
    r'"[^"\n]{2,}?"|“[^”\n]{2,}?”|„[^“”\n]{2,}?[“”]|«[^»\n]{2,}?»|「[^」\n]{2,}?」|『[^』\n]{2,}?』'
    r"|‘[^’\n]{2,}?’|(?<!\w)'[^'\n]{2,}?'(?!\w)|`[^`\n]{2,}?`"
)
_HEAD = re.compile(r":\s|：|\n\s*\n")
_URL = re.compile(r"\b(?:https?|ftp)://\S+", re.ASCII)
_EXTENSIONS = (
    "c|cc|cfg|conf|cpp|cs|css|csv|env|go|gradle|h|hpp|html|ini|ipynb|java|js|json|jsonl|jsx|kt|lock"
    "|log|lua|md|mjs|php|pl|proto|ps1|py|pyi|rb|rs|rst|scala|scss|sh|sql|svelte|swift|tex|tf|toml"
    "|ts|tsx|txt|vue|xml|yaml|yml|zig|zsh"
)
_PATH = re.compile(
    rf"(?<![\w./@-])(?:@?[\w.~-]*/)*[\w.-]*\.(?:{_EXTENSIONS})(?![\w/])"  # a/b.py, b.py, .env
    r"|(?<![\w./])(?:~|\.{1,2})?/[\w.-]+(?:/[\w.-]+)+"  # /etc/hosts
    r"|(?<![\w./])[\w-]+(?:/[\w.-]+)+/(?!\w)"  # src/app/
    r"|(?<![\w./-])\.(?:git|docker|npm)ignore\b"
    r"|\b(?:README|CHANGELOG|Dockerfile|Makefile|LICENSE)\b",
    re.ASCII,
)
_ERROR = re.compile(r"\b[A-Z]\w*(?:Error|Exception)\b|\bTraceback \(|\bpanicked at\b|\bSIGSEGV\b")
_ITEM = re.compile(r"(?:^|[\s;])(?:\d{1,2}[.)]|[-*•])\s+(?=\S)", re.MULTILINE)


def code_blocks(prompt: str) -> int:
    """Return how many fenced blocks there are."""
    return sum(1 for _ in _FENCE.finditer(prompt))


def spoken(prompt: str) -> str:
    """Return what the user says himself: without code blocks and the middle of a long text."""
    text = _FENCE.sub(" ", prompt)
    return text if len(text) <= 2 * SEEN else f"{text[:SEEN]}\n{text[-SEEN:]}"


def without_quotations(text: str) -> str:
    """Return `text` with an ellipsis for each quotation: what is quoted is not asked for."""
    return _QUOTES.sub(" … ", text)


def head(text: str) -> str:
    """Return what stands before the first colon or empty line, or all of it."""
    found = _HEAD.search(text)
    return text[: found.start()] if found else text


def paths(text: str) -> list[str]:
    """Return the files that `text` names, each once."""
    return list(dict.fromkeys(_PATH.findall(_URL.sub(" ", text))))


def urls(text: str) -> int:
    """Return how many web addresses `text` names."""
    return sum(1 for _ in _URL.finditer(text))


def names_error(text: str) -> bool:
    """Tell whether `text` shows an exception or a crash."""
    return _ERROR.search(text) is not None


def steps(text: str) -> int:
    """Return how many items a list in `text` has; 1 if there is none."""
    return max(1, sum(1 for _ in _ITEM.finditer(text)))
