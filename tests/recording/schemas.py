"""Whether objects are what a JSON Schema says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema


def validator(schema: dict[str, Any]) -> Callable[[object], bool]:
    """Return what tells whether an object fits the schema."""
    check: Any = jsonschema.Draft202012Validator(schema)
    return check.is_valid
