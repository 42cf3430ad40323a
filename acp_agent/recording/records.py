"""The values of a session as JSON objects and back: events, entries of the history, user messages.

An object names its class in `type` and leaves out what has its default value. Fields that hold
somebody else's JSON (`OPAQUE`) are taken as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from functools import cache
from typing import Any, cast

from acp_agent import conversation as talk
from acp_agent import events
from acp_agent.events import Event

Object = dict[str, Any]
OPAQUE = frozenset({"meta", "raw_input", "raw_output", "milliseconds"})

_CLASSES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        events.CompactionSummarized,
        events.CompactionUpdated,
        events.Diff,
        events.Image,
        events.Location,
        events.Noticed,
        events.PlanEntry,
        events.PlanUpdated,
        events.StepMeasured,
        events.Terminal,
        events.Text,
        events.Titled,
        events.TextDelta,
        events.ThoughtDelta,
        events.ToolCallStarted,
        events.ToolCallUpdated,
        events.ToolOutput,
        events.UsageUpdated,
        talk.Attachment,
        talk.Call,
        talk.Message,
        talk.ModelStep,
        talk.ToolMessage,
        talk.UserMessage,
    )
}


class BadRecord(ValueError):
    """An object that no session of this version has written; the text says what is wrong."""


def to_object(value: Event | talk.Entry) -> Object:
    """Return the JSON object of an event or an entry."""
    return _object(type(value), value)


def from_object(value: object) -> Any:
    """Return what `to_object` was given. Raises BadRecord."""
    written = cast("Object", value) if isinstance(value, dict) else {}
    kind = written.get("type")
    if not isinstance(kind, str) or kind not in _CLASSES:
        raise BadRecord("it names no known type")
    return _read(_CLASSES[kind], written)


def _object(kind: type[Any], value: Any) -> Object:
    written: Object = {"type": kind.__name__}
    for name, default in _defaults(kind):
        item = getattr(value, name)
        if default is MISSING or item != default:
            written[name] = item if name in OPAQUE else _written(item)
    return written


def _written(item: Any) -> Any:
    if type(item) is str or item is None or isinstance(item, int | float):
        return item
    if isinstance(item, tuple):
        return [_written(one) for one in cast("tuple[Any, ...]", item)]
    return _object(cast("type[Any]", type(item)), item)


def _read(kind: type[Any], written: Mapping[str, Any]) -> Any:
    known = dict(_defaults(kind))
    values = {
        name: item if name in OPAQUE else _value(item)
        for name, item in written.items()
        if name in known
    }
    missing = [name for name, default in known.items() if default is MISSING and name not in values]
    if missing:
        raise BadRecord(f"a {kind.__name__} lacks {', '.join(missing)}")
    return kind(**values)


def _value(item: Any) -> Any:
    if isinstance(item, list):
        return tuple(_value(one) for one in cast("list[Any]", item))
    return from_object(cast("Object", item)) if isinstance(item, dict) else item


@cache
def _defaults(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    """Return the fields and their defaults, MISSING where there is none."""
    return tuple((field.name, _default(field)) for field in fields(kind))


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default
