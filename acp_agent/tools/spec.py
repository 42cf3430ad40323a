"""A tool's specification, made from its words (`<tool>.md`) and its argument model.

The JSON Schema is kept as small as the model's prompt wants it: no titles, no defaults, no `$ref`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from acp_agent.conversation import ToolSpec


@cache
def tool_spec(name: str, arguments: type[BaseModel]) -> ToolSpec:
    """Return the specification of the tool whose words lie in `<name>.md`."""
    words = Path(__file__).with_name(f"{name}.md").read_text(encoding="utf-8")
    return ToolSpec(name, words.strip(), parameters(arguments))


def parameters(arguments: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of `arguments`, of type object."""
    schema = arguments.model_json_schema()
    definitions = schema.pop("$defs", {})
    small = _without_noise(schema, definitions)
    small.pop("description", None)  # The docstring of the class is for readers of the code.
    small.setdefault("properties", {})
    return small


def _without_noise(node: object, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_without_noise(item, definitions) for item in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    schema = cast("dict[str, Any]", node)
    if "$ref" in schema:
        target = dict(definitions[schema["$ref"].rpartition("/")[2]])
        target.pop("description", None)
        return _without_noise(target, definitions)
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        # An optional field may be left out; that it may be null as well would only be noise.
        return _without_noise(choices[0] | _without(schema, "anyOf"), definitions)
    return {
        key: {name: _without_noise(inner, definitions) for name, inner in value.items()}
        if key == "properties"
        else _without_noise(value, definitions)
        for key, value in _without(schema, "title", "default").items()
    }


def _without(schema: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in keys}
