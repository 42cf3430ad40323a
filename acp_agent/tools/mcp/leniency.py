"""What a server lists, made such that one tool with an odd field costs nobody the others.

The package refuses a whole list for one field; only a tool without a name is left for it to refuse.
"""

from __future__ import annotations

from types import UnionType
from typing import cast

from mcp_types import JSONRPCMessage, JSONRPCResponse

Json = dict[str, object]


def readable(message: JSONRPCMessage) -> JSONRPCMessage:
    """Return a list of tools with what is used of it, any other message as it came."""
    if isinstance(message, JSONRPCResponse):
        tools = message.result.get("tools")
        if isinstance(tools, list):
            message.result["tools"] = [_tool(tool) for tool in cast("list[object]", tools)]
    return message


def _tool(value: object) -> object:
    fields = _object(value)
    if not isinstance(fields.get("name"), str):
        return value
    hints = _object(fields.get("annotations"))
    texts = {k: v for k, v in fields.items() if k in ("name", "title", "description")}
    return {
        **_only(str, texts),
        "inputSchema": _schema(_object(fields.get("inputSchema"))),
        "annotations": {
            **_only(str, {"title": hints.get("title")}),
            **_only(bool, {"readOnlyHint": hints.get("readOnlyHint")}),
        },
    }


def _schema(schema: Json) -> Json:
    """Return the schema as one of an object, whatever it says that it is."""
    schema = {k: v for k, v in schema.items() if k != "$schema" or isinstance(v, str)}
    required = schema.pop("required", None)
    if isinstance(required, list):
        schema["required"] = [n for n in cast("list[object]", required) if isinstance(n, str)]
    if "properties" in schema:
        schema["properties"] = _only(dict | bool, _object(schema["properties"]))
    return {**schema, "type": "object"}


def _only(kind: type | UnionType, values: Json) -> Json:
    return {name: value for name, value in values.items() if isinstance(value, kind)}


def _object(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}
