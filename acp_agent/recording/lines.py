"""The lines of a trajectory as values: one class for each kind, by schemas/records/trajectory.

`time` is UTC as `2026-11-20T12:34:56.789Z`, or "" where a line has none that can be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never, cast

from acp_agent.conversation import Entry, ModelStep, ToolMessage, UserMessage
from acp_agent.events import Event
from acp_agent.recording.records import BadRecord, Object, from_object, to_object
from acp_agent.recording.well_typed import misfit

VERSION = 1
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)
_ENTRIES = (UserMessage, ModelStep, ToolMessage)


@dataclass(frozen=True, slots=True)
class Opened:
    """The session begins: the first line."""

    time: str
    id: str
    cwd: str = ""
    roots: tuple[str, ...] = ()
    agent: str = ""
    mode: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class OptionsSet:
    """The options, all of them, as they stand from here on."""

    time: str
    mode: str = ""
    model: str = ""
    effort: str = ""
    approvals: str = ""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A prompt came in; turns are counted from 1."""

    time: str
    n: int
    message: UserMessage


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of the turn."""

    time: str
    event: Event


@dataclass(frozen=True, slots=True)
class HistoryChanged:
    """The model's history: its last `dropped` entries are forgotten, or all if it is None.

    Then `added` come in.
    """

    time: str
    added: tuple[Entry, ...] = ()
    dropped: int | None = 0


@dataclass(frozen=True, slots=True)
class PermissionDecided:
    """A call that needs permission may run, or may not."""

    time: str
    call: str
    tool: str
    scope: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Titled:
    """What the session is called from here on."""

    time: str
    title: str


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The turn is over: by a stop reason, or by an error; `used` of `size` tokens are in use."""

    time: str
    n: int
    stop: str = ""
    error: str = ""
    title: str = ""
    used: int = 0
    size: int = 0


Line = (
    Opened
    | OptionsSet
    | TurnStarted
    | Happened
    | HistoryChanged
    | PermissionDecided
    | Titled
    | TurnEnded
)


def line_of(record: object) -> Line | None:
    """Return the line that a JSON object is; None for a kind of a later version.

    Raises:
        BadRecord: It is none.

    """
    if not isinstance(record, dict):
        raise BadRecord("it is not an object")
    written = cast("Object", record)
    kind = written.get("k")
    if not isinstance(kind, str):
        raise BadRecord("it has no kind")
    if kind not in _KINDS:
        return None
    try:
        line = _KINDS[kind](_time(written.get("t")), written)
    except KeyError as missing:
        raise BadRecord(f"a line {kind!r} lacks {missing.args[0]}") from None
    wrong = misfit(line)
    if wrong:
        raise BadRecord(f"a line {kind!r} has no usable {wrong}")
    return line


def record_of(line: Line) -> Object:
    """Return the JSON object of a line; what is empty is left out."""
    kind, fields = _written(line)
    return {"t": line.time, "k": kind, **fields}


def moment(time: str) -> float | None:
    """Return the seconds since 1970 of a line's time, None where there is none."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except (ValueError, OverflowError):
        return None


def _written(line: Line) -> tuple[str, Object]:
    match line:
        case Opened(_, session_id, cwd, roots, agent, mode, model):
            more = {"roots": list(roots), "agent": agent, "mode": mode, "model": model}
            return "session", {"v": VERSION, "id": session_id, "cwd": cwd, **_said(more)}
        case OptionsSet(_, mode, model, effort, approvals):
            values = {"mode": mode, "model": model, "effort": effort, "approvals": approvals}
            return "options", {"values": _said(values)}
        case TurnStarted(_, n, message):
            return "turn", {"n": n, "message": to_object(message)}
        case Happened(_, event):
            return "event", {"event": to_object(event)}
        case HistoryChanged():
            return _changed(line)
        case PermissionDecided(_, call, tool, scope, verdict):
            return "permission", {"call": call, "tool": tool, "scope": scope, "verdict": verdict}
        case Titled(_, title):
            return "title", {"title": title}
        case TurnEnded(_, n, stop, error, title, used, size):
            more = {"stop": stop, "error": error, "title": title, "used": used, "size": size}
            return "end", {"n": n, **_said(more)}
        case _:
            assert_never(line)


def _changed(line: HistoryChanged) -> tuple[str, Object]:
    match line:
        case HistoryChanged(_, entries, None):
            return "replace", {"entries": [to_object(entry) for entry in entries]}
        case HistoryChanged(_, (entry,), 0):
            return "add", {"entry": to_object(entry)}
        case HistoryChanged(_, (), int(count)):
            return "drop", {"count": count}
        case _:
            raise ValueError("a line says one change of the history")


def _said(fields: Object) -> Object:
    return {name: value for name, value in fields.items() if value}


def _time(written: Any) -> str:
    return written if isinstance(written, str) and _TIME.fullmatch(written) else ""


def _opened(time: str, r: Object) -> Opened:
    roots = r.get("roots", [])
    if isinstance(roots, list):
        roots = tuple(cast("list[Any]", roots))
    agent, mode, model = (r.get(name, "") for name in ("agent", "mode", "model"))
    return Opened(time, r["id"], r.get("cwd", ""), roots, agent, mode, model)


def _options(time: str, r: Object) -> OptionsSet:
    values = r["values"]
    if not isinstance(values, dict):
        raise BadRecord("a line 'options' has no usable values")
    named = cast("Object", values)
    return OptionsSet(
        time, *(named.get(name, "") for name in ("mode", "model", "effort", "approvals"))
    )


def _turn(time: str, r: Object) -> TurnStarted:
    return TurnStarted(time, r["n"], from_object(r["message"]))


def _event(time: str, r: Object) -> Happened:
    event = from_object(r["event"])
    if isinstance(event, _ENTRIES):
        raise BadRecord("a line 'event' holds an entry of the history")
    return Happened(time, event)


def _add(time: str, r: Object) -> HistoryChanged:
    return HistoryChanged(time, (from_object(r["entry"]),))


def _drop(time: str, r: Object) -> HistoryChanged:
    if type(r["count"]) is not int or r["count"] < 0:
        raise BadRecord("a line 'drop' has no usable count")
    return HistoryChanged(time, (), r["count"])


def _replace(time: str, r: Object) -> HistoryChanged:
    entries = r["entries"]
    if not isinstance(entries, list):
        raise BadRecord("a line 'replace' has no usable entries")
    return HistoryChanged(time, tuple(map(from_object, cast("list[Any]", entries))), None)


def _permission(time: str, r: Object) -> PermissionDecided:
    return PermissionDecided(time, r["call"], r.get("tool", ""), r.get("scope", ""), r["verdict"])


def _title(time: str, r: Object) -> Titled:
    return Titled(time, r["title"])


def _end(time: str, r: Object) -> TurnEnded:
    # What is not known may be left out, or null.
    stop, error, title = (r.get(name) or "" for name in ("stop", "error", "title"))
    return TurnEnded(time, r["n"], stop, error, title, r.get("used") or 0, r.get("size") or 0)


_KINDS: dict[str, Callable[[str, Object], Line]] = {
    "session": _opened,
    "options": _options,
    "turn": _turn,
    "event": _event,
    "add": _add,
    "drop": _drop,
    "replace": _replace,
    "permission": _permission,
    "title": _title,
    "end": _end,
}
