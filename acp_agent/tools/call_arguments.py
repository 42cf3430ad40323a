"""The body of a call to checked arguments: JSON, or what models write in its place."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from acp_agent.errors import ToolFailed

# strict=False: models write line breaks inside strings as they are.
_DECODER = json.JSONDecoder(strict=False)
_FENCE = re.compile(r"\s*```[\w-]*\n(.*?)\n?```\s*", re.DOTALL)


def parse_arguments(name: str, model: type[BaseModel], body: str) -> BaseModel:
    """Return `body` as `model`. Raises ToolFailed, in one sentence that names the fields."""
    fenced = _FENCE.fullmatch(body)
    text = fenced[1] if fenced else body
    values = _renamed(model, _object(name, model, text))
    try:
        # Half of a surrogate pair ("\\ud83d") is JSON, but no text that could be shown or stored.
        json.dumps(values, ensure_ascii=False).encode("utf-8")
    except (UnicodeEncodeError, RecursionError):
        raise ToolFailed(f"the arguments of {name} hold an escape that is no character") from None
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ToolFailed(f"wrong arguments for {name}: {_problems(error)}") from None


def _object(name: str, model: type[BaseModel], text: str) -> dict[str, Any]:
    """Return the JSON object in `text`; other text is the value of the only required field."""
    only = _only_required(model)
    stripped = text.strip()
    if not stripped:
        return {}
    try:
        value, end = cast("tuple[object, int]", _DECODER.raw_decode(stripped))
        if stripped[end:].strip("}]) \n\t"):
            raise ValueError(f"more text after the JSON value, at character {end}")
    except (ValueError, RecursionError) as error:
        if only is not None and not stripped.startswith("{"):
            return {only: text}
        raise ToolFailed(f"the arguments of {name} are not valid JSON: {error}") from None
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    if only is not None:
        # `true` is a command as well as JSON.
        return {only: value if isinstance(value, str | list) else text}
    raise ToolFailed(f"the arguments of {name} must be a JSON object")


def _only_required(model: type[BaseModel]) -> str | None:
    required = [field for field, info in model.model_fields.items() if info.is_required()]
    return required[0] if len(required) == 1 else None


def _renamed(model: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """Give the one missing field the one unknown value (`cmd`, `input`, `file_path`, …)."""
    missing = [
        field
        for field, info in model.model_fields.items()
        if info.is_required() and field not in values
    ]
    unknown = [
        key
        for key, value in values.items()
        if key not in model.model_fields and isinstance(value, str | list)
    ]
    if len(missing) == 1 and len(unknown) == 1:
        return {**values, missing[0]: values[unknown[0]]}
    return values


def _problems(error: ValidationError) -> str:
    problems: list[str] = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "missing":
            problems.append(f"{where!r} is missing")
        else:
            message = problem["msg"].removeprefix("Input ").removeprefix("Value error, ")
            problems.append(f"{where!r} {message[:1].lower()}{message[1:]}")
    more = f"; and {len(problems) - 4} more" if len(problems) > 4 else ""
    return "; ".join(problems[:4]) + more
