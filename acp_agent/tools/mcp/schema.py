"""A stranger's JSON Schema as the model is shown it: small, without references; pure and total.

What Harmony cannot say is left out or put into words. Arguments are checked against the server's
own schema, not against this one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

from acp_agent.plain import one_line

DEEPEST = 5
MOST_NODES = 200
MOST_PROPERTIES = 40
MOST_CHOICES = 20
MOST_HOPS = 8
LONGEST_DESCRIPTION = 200
LONGEST_CHOICE = 60

Json = dict[str, object]

_TYPES = ("string", "integer", "number", "boolean", "array", "object")
_NAME = re.compile(r"[\w$@.:/\-]{1,64}")
_CHOICE = re.compile(r'[^"\\\n\ufffd]*')


def shown(schema: Mapping[str, object]) -> Json:
    """Return a schema of type object that says what `schema` says, as far as it can."""
    root = _Reader(schema).node(schema, 0)
    properties = root.get("properties", {})
    return {"type": "object", "properties": properties, "required": root.get("required", [])}


class _Reader:
    def __init__(self, root: Mapping[str, object]) -> None:
        self._root = root
        self._nodes = 0

    def node(self, value: object, depth: int) -> Json:
        """Return what is shown for a schema; nothing (`any`) where it is deep, broken or long."""
        self._nodes += 1
        schema = self._resolved(value)
        if depth > DEEPEST or self._nodes > MOST_NODES or not schema:
            return {}
        node = self._choices(schema) or self._union(schema, depth) or self._typed(schema, depth)
        words = [schema.get("description"), node.pop("description", None)]
        description = ". ".join(str(word).rstrip(".") for word in words if word)
        if description:
            node["description"] = one_line(description, LONGEST_DESCRIPTION)
        default = schema.get("default")
        if isinstance(default, bool | int | float):
            node["default"] = default
        return node

    def _resolved(self, value: object) -> Json:
        for _ in range(MOST_HOPS):
            schema = _object(value)
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                return schema
            value = self._target(reference)
            if "description" in schema:
                value = {**_object(value), "description": schema["description"]}
        return {}

    def _target(self, reference: str) -> object:
        if not reference.startswith("#/"):
            return None
        found: object = self._root
        for step in reference[2:].split("/"):
            found = _object(found).get(step.replace("~1", "/").replace("~0", "~"))
        return found

    def _choices(self, schema: Json) -> Json:
        values = _list(schema.get("enum")) or ([schema["const"]] if "const" in schema else [])
        if not values:
            return {}
        texts = [value for value in values if isinstance(value, str)]
        if len(texts) == len(values) <= MOST_CHOICES and all(map(_is_plain, texts)):
            return {"type": "string", "enum": texts}
        named = ", ".join(_written(value) for value in values[:MOST_CHOICES])
        more = f", … ({len(values)} in all)" if len(values) > MOST_CHOICES else ""
        kind = _types(schema) or (["string"] if texts else [])
        return {**_kind(kind), "description": f"one of {named}{more}"}

    def _union(self, schema: Json, depth: int) -> Json:
        parts = _list(schema.get("anyOf")) or _list(schema.get("oneOf"))
        kinds = [self.node(part, depth + 1) for part in parts[:MOST_CHOICES] if not _is_null(part)]
        if len(kinds) == 1:
            return kinds[0]
        if "properties" in schema:  # such as `required` of either this or that
            return {}
        return {"oneOf": kinds} if kinds else {}

    def _typed(self, schema: Json, depth: int) -> Json:
        kinds = _types(schema)
        merged = self._merged(schema, depth)
        if "properties" in merged or kinds == ["object"]:
            return {"type": "object", **self._object(merged, depth)}
        if "items" in schema or kinds == ["array"]:
            return {"type": "array", "items": self.node(schema.get("items"), depth + 1)}
        return _kind(kinds)

    def _merged(self, schema: Json, depth: int) -> Json:
        """Return properties and required of the schema and of all that `allOf` lays over it."""
        properties = dict(_object(schema.get("properties")))
        required = _list(schema.get("required"))
        for part in _list(schema.get("allOf"))[:MOST_CHOICES]:
            self._nodes += 1
            if depth > DEEPEST or self._nodes > MOST_NODES:
                break
            below = self._merged(self._resolved(part), depth + 1)
            properties |= _object(below.get("properties"))
            required = required + _list(below.get("required"))
        return {"properties": properties, "required": required} if properties else {}

    def _object(self, merged: Json, depth: int) -> Json:
        properties = {
            name: self.node(value, depth + 1)
            for name, value in list(_object(merged.get("properties")).items())[:MOST_PROPERTIES]
            if _NAME.fullmatch(name)
        }
        required = [name for name in _list(merged.get("required")) if name in properties]
        return {"properties": properties, "required": required} if properties else {}


def _types(schema: Json) -> list[str]:
    named = schema.get("type")
    kinds = _list(named) or [named]
    return [kind for kind in kinds if isinstance(kind, str) and kind in _TYPES]


def _kind(kinds: list[str]) -> Json:
    if not kinds:
        return {}
    return {"type": kinds[0] if len(kinds) == 1 else kinds}


def _is_null(part: object) -> bool:
    schema = _object(part)
    return schema.get("type") == "null" or ("const" in schema and schema["const"] is None)


def _is_plain(text: str) -> bool:
    return _CHOICE.fullmatch(text) is not None and one_line(text, LONGEST_CHOICE) == text


def _written(value: object) -> str:
    return one_line(json.dumps(value, ensure_ascii=False, default=str), LONGEST_CHOICE)


def _object(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
