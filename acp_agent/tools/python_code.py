"""The code in the body of a call to `python`: as it is, or in one of the wrappers models add."""

from __future__ import annotations

import json
import re
from typing import cast

_NAMES = ("code", "body", "input", "source", "script", "python")
_FENCED = re.compile(
    r"\s*(`{3,}|~{3,})[ \t]*(?:python3?|py)?[ \t]*\n(.*?)\n?[ \t]*\1\s*", re.DOTALL
)


def code_of(body: str) -> str:
    """Return the code; `{"code": …}` and a fenced block are opened."""
    code = body
    if body.lstrip().startswith("{"):
        try:
            value: object = json.loads(body, strict=False)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            code = _text_of(cast("dict[str, object]", value)) or body
    fenced = _FENCED.fullmatch(code)
    return fenced[2] if fenced else code


def _text_of(members: dict[str, object]) -> str | None:
    found = next((members[name] for name in _NAMES if name in members), None)
    return found if isinstance(found, str) else None
