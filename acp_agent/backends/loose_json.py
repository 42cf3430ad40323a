"""JSON from servers that cannot be trusted to keep to a shape: what is not as expected is empty."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast


def loads(data: bytes | str) -> object:
    """Return the value, None for what is no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def as_object(data: bytes | str) -> dict[str, Any] | None:
    """Return the JSON object that `data` is, or None."""
    value = loads(data)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def members(value: object) -> Mapping[str, Any]:
    """Return the object's members, none if it is no object."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def objects(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of a list, none if it is no list."""
    entries = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Mapping[str, Any]", entry) for entry in entries if isinstance(entry, Mapping)]
