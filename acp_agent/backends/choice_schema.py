"""A choice that the server constrains: the schema it is given, and the answer read back; pure.

Apple's server decodes by `response_format`, but hangs for good on a schema that refers to itself,
and wants no references and no `title` on a free string; apfel takes an `enum` without a type for an
object. OpenAgents' bridge knows one form only, a route with candidates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from acp_agent.backends.loose_json import as_object, members
from acp_agent.backends.profiles import ChatProfile
from acp_agent.conversation import ModelStep
from acp_agent.errors import EngineFailed

JsonValue = object
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


class Choice:
    """An object schema without references. Raises ValueError if it refers to itself."""

    def __init__(self, schema: Mapping[str, object], name: str = "choice") -> None:
        self.name = name
        self.schema = cast("dict[str, Any]", _inlined(schema, schema, ()))
        self.schema.pop("$defs", None)

    @property
    def allowed(self) -> dict[str, list[str]]:
        """The properties that are choices of strings, and what they may be."""
        properties = members(self.schema.get("properties")).items()
        found = {name: _strings(members(value).get("enum")) for name, value in properties}
        return {name: allowed for name, allowed in found.items() if allowed}

    @property
    def candidates(self) -> tuple[str, list[str]] | None:
        """The first property that is a choice of strings, and what it may be."""
        return next(iter(self.allowed.items()), None)


def choice_fields(choice: Choice, profile: ChatProfile) -> dict[str, object]:
    """Return what constrains the answer in the request to such a server; maybe nothing."""
    if profile.guided == "json_schema":
        inner = {"name": choice.name, "strict": True, "schema": choice.schema}
        return {"response_format": {"type": "json_schema", "json_schema": inner}}
    if profile.guided == "route" and choice.candidates:
        return {"route": {"candidates": choice.candidates[1]}}
    return {}


def read_choice(choice: Choice, text: str) -> dict[str, Any]:
    """Return the object that the answer holds. Raises EngineFailed."""
    found = _OBJECT.search(text)
    fields = as_object(found.group()) if found else None
    if fields is None:
        raise EngineFailed("the model answered a choice with something that is no object")
    if choice.candidates and "candidate" in fields:  # the bridge's own words
        name, _ = choice.candidates
        fields = {name: fields["candidate"], "reason": fields.get("reasonCode", "")} | fields
    required = choice.schema.get("required", ())
    for name, allowed in choice.allowed.items():
        if (name in fields or name in required) and fields.get(name) not in allowed:
            raise EngineFailed(f"the model chose {fields.get(name)!r} of {', '.join(allowed)}")
    missing = [key for key in required if key not in fields]
    if missing:
        raise EngineFailed(f"the model's choice has no {missing[0]!r}")
    return fields


def chosen(choice: Choice, step: ModelStep, max_tokens: int | None) -> dict[str, Any]:
    """Return the object that the step holds. Raises EngineFailed, also for one that was cut."""
    # A whole answer has a message, be it an empty one.
    if not step.messages or not all(message.complete for message in step.messages):
        limit = f" at {max_tokens} tokens" if max_tokens else ""
        raise EngineFailed(f"the model's choice was cut{limit}; allow it more")
    return read_choice(choice, "".join(m.text for m in step.messages if m.channel == "final"))


def _inlined(value: JsonValue, root: Mapping[str, object], inside: tuple[str, ...]) -> JsonValue:
    if isinstance(value, list):
        return [_inlined(item, root, inside) for item in cast("list[JsonValue]", value)]
    if not isinstance(value, Mapping):
        return value
    fields = cast("Mapping[str, JsonValue]", value)
    reference = fields.get("$ref")
    if isinstance(reference, str):
        if reference in inside:
            raise ValueError(f"the schema refers to itself by {reference!r}; write it out")
        return _inlined(_target(reference, root), root, (*inside, reference))
    free = fields.get("type") == "string" and "enum" not in fields
    named = _strings(fields.get("enum")) and "type" not in fields
    return ({"type": "string"} if named else {}) | {
        key: _inlined(item, root, inside)
        for key, item in fields.items()
        if key != "$defs" and not (free and key == "title")
    }


def _strings(enum: object) -> list[str]:
    """Return the values of an `enum` that has strings and nothing else."""
    values = cast("list[object]", enum) if isinstance(enum, list) else []
    strings = [value for value in values if isinstance(value, str)]
    return strings if len(strings) == len(values) else []


def _target(reference: str, root: Mapping[str, object]) -> JsonValue:
    value: JsonValue = root
    for key in reference.removeprefix("#/").split("/"):
        value = members(value).get(key)
    if not isinstance(value, Mapping):
        raise ValueError(f"the schema refers to {reference!r}, which it does not hold")
    return cast("JsonValue", value)
