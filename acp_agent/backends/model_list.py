"""Models and context sizes from the lists of OpenAI-compatible servers; pure.

`{data: [...]}` or a bare list; sizes are where llama.cpp, vLLM, LM Studio and apfel put them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from acp_agent.backends.loose_json import loads, members, objects
from acp_agent.ports import ModelInfo

_SIZE_KEYS = (
    "max_model_len",
    "loaded_context_length",
    "context_length",
    "context_window",
    "context_size",
    "n_ctx",
    "contextWindow",
    "contextSize",
    "max_context_length",
)


def models(body: bytes) -> list[ModelInfo] | None:
    """Return what the answer to `GET /v1/models` lists, None if it is no list of models."""
    entries = _entries(body, "data")
    if entries is None:
        return None
    return [_info(entry) for entry in entries if isinstance(entry.get("id"), str) and entry["id"]]


def context_sizes(body: bytes) -> dict[str, int]:
    """Return sizes by model id; under "" that of the only model, where the answer is no list."""
    entries = _entries(body, "models")
    if entries is None:
        size = _size(loads(body))
        return {"": size} if size else {}
    return {name: size for entry in entries for name, size in _loaded(entry)}


def _loaded(entry: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Give the sizes of what LM Studio has loaded: per instance, and under the model's key."""
    for instance in objects(entry.get("loaded_instances")):
        size = _size(instance.get("config"))
        if size:
            yield str(instance.get("id", "")), size
            yield str(entry.get("key", "")), size


def _info(entry: Mapping[str, Any]) -> ModelInfo:
    model = str(entry["id"])
    return ModelInfo(
        model, str(entry.get("name") or model), _size(entry) or _size(entry.get("meta"))
    )


def _size(value: object) -> int | None:
    fields = members(value)
    sizes = (fields.get(key) for key in _SIZE_KEYS)
    return next((size for size in sizes if type(size) is int and size > 0), None)


def _entries(body: bytes, key: str) -> list[Mapping[str, Any]] | None:
    value = loads(body)
    found: object = members(value).get(key, value)
    return objects(cast("object", found)) if isinstance(found, list) else None
