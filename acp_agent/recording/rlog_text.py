"""Text as it may stand in an rlog/1 line: redacted, cut, and never taken for anything else."""

from __future__ import annotations

import json
import re

from acp_agent.recording.redact import redact

ROOM = 64 * 1024  # characters of a text that are looked at
# At the end of what is looked at may stand half a secret, which has no shape.
_MARGIN = 4 * 1024
_JOINERS = "\u200c\u200d"  # Persian and family emoji are made with them
# What a reader takes for metadata wherever it stands in a line.
_FIELD = re.compile(
    r"\b(id|step|ts|tid|span|latency_ms|attempt|level|parent|sig|model|sha256"
    r"|tokens_(?:in|out|cached))=(?=\S)"
)


def shown(text: str, limit: int) -> str:
    """Return at most `limit` characters of it, without secrets; line ends stay."""
    clean = redact(text[:ROOM])
    if len(text) > ROOM:
        clean = clean[:-_MARGIN] + "…"
    if len(clean) > limit:
        clean = clean[: limit - 1] + "…"
    return _FIELD.sub(r"\1= ", _printable(clean))


def one_line(text: str, limit: int) -> str:
    """Return the same in one line, as it may stand before an arrow."""
    return shown(" ".join(text[: ROOM + 1].split()), limit).replace("→", "->")


def word(text: str, instead: str) -> str:
    """Return it as one word of letters, digits and underscores."""
    return re.sub(r"\W", "_", redact(text), flags=re.ASCII)[:64] or instead


def name(text: str) -> str:
    """Return it as a value without blanks, `-` for nothing."""
    return re.sub(r"[^\w.:/-]", "_", redact(text), flags=re.ASCII)[:64] or "-"


def paragraph(prefix: str, text: str, limit: int, *fields: str) -> list[str]:
    """Return a line, `fields` at its end, and what continues it; lines of blanks are left out."""
    first, *rest = [line for line in shown(text, limit).split("\n") if line.strip()] or [""]
    head = " ".join(filter(None, (prefix, first.strip(), *fields)))
    return [head, *(f"  {line}" for line in rest)]


def quoted(text: str, limit: int = 200) -> str:
    """Return it as a quoted value: YAML's and JSON's strings at once."""
    return json.dumps(one_line(text, limit), ensure_ascii=False)


def _printable(text: str) -> str:
    return "".join(
        c if c.isprintable() or c == "\n" or c in _JOINERS else " " if c in "\t\r" else "�"
        for c in text
    )
