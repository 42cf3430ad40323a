"""A tool in words, as `find_tool` tells it: about what Harmony makes of it in the prompt; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from acp_agent.conversation import ToolSpec

Json = Mapping[str, object]


def signature(tool: ToolSpec) -> str:
    """Return the tool's description and its arguments."""
    words = "\n".join(f"// {line}" for line in tool.description.splitlines())
    return f"{words}\ntype {tool.name} = (_: {_kind(tool.parameters)}) => any;"


def _kind(schema: Json) -> str:
    if choices := _items(schema.get("enum")):
        return " | ".join(json.dumps(choice, ensure_ascii=False) for choice in choices)
    if parts := _items(schema.get("oneOf")):
        return " | ".join(_kind(_object(part)) for part in parts)
    if kinds := _items(schema.get("type")):
        return " | ".join(map(_plain, kinds))
    match schema.get("type"):
        case "array":
            return f"Array<{_kind(_object(schema.get('items')))}>"
        case "object":
            return _fields(schema)
        case kind:
            return _plain(kind)


def _fields(schema: Json) -> str:
    required = _items(schema.get("required"))
    lines: list[str] = []
    for name, value in _object(schema.get("properties")).items():
        field = _object(value)
        if description := field.get("description"):
            lines.append(f"// {description}")
        optional = "" if name in required else "?"
        default = f" // default: {json.dumps(field['default'])}" if "default" in field else ""
        lines.append(f"{name}{optional}: {_kind(field)},{default}")
    return "\n".join(["{", *lines, "}"]) if lines else "object"


def _plain(kind: object) -> str:
    return {"integer": "number", None: "any"}.get(cast("str | None", kind), str(kind))


def _object(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
