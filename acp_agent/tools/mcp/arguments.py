"""The body of a call to arguments that fit the server's schema, or words on what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Any, cast

import anyio
from anyio import to_thread

from acp_agent.errors import ToolFailed
from acp_agent.plain import one_line
from acp_agent.tools.mcp.offer import Offer

CHECK_SECONDS = 2.0
Json = Mapping[str, object]

MOST_PROBLEMS = 4
MOST_ERRORS = 50

# strict=False: models write line breaks inside strings as they are.
_DECODER = json.JSONDecoder(strict=False)
_FENCE = re.compile(r"\s*```[\w-]*\n(.*?)\n?```\s*", re.DOTALL)
# Where the keys are names of the server's own and no keywords.
_NAMED = ("properties", "$defs", "definitions", "dependentSchemas")


async def read_arguments(name: str, offer: Offer, body: str) -> dict[str, Any]:
    """Return the arguments in `body`. Raises ToolFailed, in words that name the fields."""
    arguments = _parsed(name, offer, body)
    check = partial(_problems, offer.schema, arguments)
    problems: list[str] = []
    # In a thread: a schema that takes for ever is not waited for; the server checks as well.
    with anyio.move_on_after(CHECK_SECONDS):
        problems = await to_thread.run_sync(check, abandon_on_cancel=True)
    if problems:
        raise ToolFailed(f"wrong arguments for {name}: {'; '.join(problems)}")
    return arguments


def _parsed(name: str, offer: Offer, body: str) -> dict[str, Any]:
    fenced = _FENCE.fullmatch(body)
    text = (fenced[1] if fenced else body).strip()
    if not text:
        return {}
    try:
        value, end = cast("tuple[object, int]", _DECODER.raw_decode(text))
        if text[end:].strip("}]) \n\t"):
            raise ValueError(f"more text after the JSON value, at character {end}")
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ToolFailed(f"the arguments of {name} hold an escape that is no character") from None
    except (ValueError, RecursionError) as error:
        only = _only_text(offer)
        if only and not text.startswith("{"):
            return {only: text}
        raise ToolFailed(f"the arguments of {name} are not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ToolFailed(f"the arguments of {name} must be a JSON object")
    return cast("dict[str, Any]", value)


def _only_text(offer: Offer) -> str:
    """Return the one required field, if it is a text."""
    required = cast("list[str]", offer.parameters.get("required") or [])
    properties = cast("dict[str, dict[str, object]]", offer.parameters.get("properties") or {})
    if len(required) != 1 or properties[required[0]].get("type") != "string":
        return ""
    return required[0]


def _problems(schema: Mapping[str, object], arguments: dict[str, Any]) -> list[str]:
    """Return what is wrong; nothing if the schema itself is broken.

    Patterns are left to the server: one can be made to take hours, which no limit could end.
    """
    from jsonschema import Draft202012Validator  # 60 ms, in this thread
    from jsonschema.exceptions import SchemaError, ValidationError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        safe = _without_patterns(schema)
        Draft202012Validator.check_schema(safe)
        # An empty registry: a reference to somewhere else is never fetched.
        validator: Any = Draft202012Validator(safe, registry=Registry())
        found: list[ValidationError] = list(islice(validator.iter_errors(arguments), MOST_ERRORS))
    except (SchemaError, Unresolvable, RecursionError):
        return []
    problems = [_problem(error) for error in found[:MOST_PROBLEMS]]
    more = len(found) - MOST_PROBLEMS
    return [*problems, f"and {more} more"] if more > 0 else problems


def _problem(error: Any) -> str:
    where = ".".join(str(part) for part in error.absolute_path)
    message = one_line(str(error.message), 160)
    return f"{where!r}: {message}" if where else message


def _without_patterns(schema: Mapping[str, object]) -> dict[str, object]:
    left_out = {"patternProperties", "additionalProperties", "unevaluatedProperties"}
    gone = {"pattern"} | (left_out if "patternProperties" in schema else frozenset[str]())
    return {
        name: {inner: _below(part) for inner, part in cast("Json", value).items()}
        if name in _NAMED and isinstance(value, dict)
        else _below(value)
        for name, value in schema.items()
        if name not in gone
    }


def _below(value: object) -> object:
    if isinstance(value, list):
        return [_below(item) for item in cast("list[object]", value)]
    return _without_patterns(cast("Json", value)) if isinstance(value, dict) else value
