"""Events of a turn to `session/update` objects of ACP v1, to what the client at hand can show.

What is shown is plain: nothing in it moves a cursor or turns the direction of writing, except in
the answer, where some scripts need such marks. Diffs, paths and live terminals stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, assert_never, cast

from acp_agent.agent.stored import Asked
from acp_agent.events import (
    CompactionSummarized,
    CompactionUpdated,
    Diff,
    Event,
    Image,
    Location,
    Meta,
    Noticed,
    PlanUpdated,
    StepMeasured,
    Terminal,
    Text,
    TextDelta,
    ThoughtDelta,
    Titled,
    ToolCallStarted,
    ToolCallUpdated,
    ToolContent,
    ToolOutput,
    UsageUpdated,
)
from acp_agent.fence import fenced
from acp_agent.plain import named, plain
from acp_agent.protocol.agent import ClientCapabilities
from acp_agent.protocol.jsonrpc import Object

# Clients give up on a message of 32 MiB; JSON may need six bytes for one character.
MAX_TITLE = 4096
MAX_TEXT = 256 * 1024
MAX_DIFF = 1024 * 1024
MAX_CONTENT = 2 * 1024 * 1024
# A sequence for terminals may come in pieces; without its first character it is text.
_CONTROLS = {c: "�" for c in (*range(0x20), *range(0x7F, 0xA0)) if chr(c) not in "\t\n\r"}


class Converter:
    """One session's conversion; it remembers which calls show a live terminal."""

    def __init__(self, client: ClientCapabilities) -> None:
        self._client = client
        self._terminals: set[str] = set()
        # What a running call shows above its output, and how much of that is shown.
        self._above: dict[str, tuple[ToolContent, ...]] = {}
        self._snapshots: dict[str, str] = {}
        self._notices = 0

    def updates(self, event: Event) -> tuple[Object, ...]:
        """Return the updates that say what the event says; none if the client must not know."""
        match event:
            case TextDelta(message_id, text, meta):
                return (_chunk("agent_message_chunk", message_id, text, meta),)
            case ThoughtDelta(message_id, text, meta):
                return (_chunk("agent_thought_chunk", message_id, text, meta),)
            case ToolCallStarted():
                return (_started(event),)
            case ToolCallUpdated():
                return (self._updated(event),)
            case ToolOutput():
                return self._output(event)
            case PlanUpdated():
                return (_plan(event),)
            case Noticed():
                return (self._notice(event),)
            case CompactionUpdated() | CompactionSummarized():
                return self._compaction(event)
            case Titled(title):
                return ({"sessionUpdate": "session_info_update", "title": _title(title)},)
            case UsageUpdated(used, size, meta):
                update: Object = {"sessionUpdate": "usage_update", "used": used, "size": size}
                return (_with_meta(update, meta),)
            case StepMeasured():
                return ()
            case _:
                assert_never(event)

    def _compaction(self, event: CompactionUpdated | CompactionSummarized) -> tuple[Object, ...]:
        if not self._client.compaction:
            words = event.text if isinstance(event, CompactionUpdated) else ""
            return (self._notice(Noticed(words)),) if words else ()
        named: Object = {"compactionId": event.compaction_id}
        if isinstance(event, CompactionSummarized):
            content: Object = {"type": "text", "text": cut(event.text)}
            return ({"sessionUpdate": "compaction_summary_chunk", **named, "content": content},)
        update: Object = {"sessionUpdate": "compaction_update", **named, "status": event.status}
        if event.status == "failed":
            update["error"] = event.text
        elif event.text:
            update["_meta"] = {"text": event.text}
        return (update,)

    def _notice(self, event: Noticed) -> Object:
        if self._client.notices:
            update: Object = {
                "sessionUpdate": "notice",
                "severity": event.severity,
                "title": plain(event.title or event.severity),
            }
            if event.description:
                update["description"] = plain(event.description)
            return update
        # Every client shows thoughts, and none takes them for the answer.
        self._notices += 1
        text = ": ".join(part for part in (event.title, event.description) if part)
        return _chunk("agent_thought_chunk", f"notice-{self._notices}", f"{plain(text)}\n")

    def _updated(self, event: ToolCallUpdated) -> Object:
        above = self._above.get(event.call_id, ())
        live = event.call_id in self._terminals
        if event.status in ("completed", "failed"):
            self._above.pop(event.call_id, None)
            self._snapshots.pop(event.call_id, None)
        elif event.content is not None:
            self._above[event.call_id] = tuple(event.content)
        return tool_call_update(event, above if live else None)

    def _output(self, event: ToolOutput) -> tuple[Object, ...]:
        update: Object = {"sessionUpdate": "tool_call_update", "toolCallId": event.call_id}
        above = self._above.get(event.call_id, ())
        if not self._client.live_terminals:
            if event.snapshot == self._snapshots.get(event.call_id, ""):
                return ()
            self._snapshots[event.call_id] = event.snapshot
            shown = _contents(event.call_id, (*above, Text(fenced(cut(event.snapshot)))))
            return ({**update, "content": shown},)
        meta: Object = {}
        if event.call_id not in self._terminals:
            self._terminals.add(event.call_id)
            update["content"] = _contents(event.call_id, above, above)
            meta["terminal_info"] = {"terminal_id": event.call_id, "cwd": event.cwd}
        if event.delta:
            meta["terminal_output"] = {"terminal_id": event.call_id, "data": cut(event.delta)}
        if event.ended:
            meta["terminal_exit"] = {
                "terminal_id": event.call_id,
                "exit_code": event.exit_code,
                "signal": event.signal,
            }
        return ({**update, "_meta": meta},) if meta else ()


def user_chunk(asked: Asked) -> Object:
    """Return the update that shows what the user had sent; what they attached is linked in it."""
    return {
        "sessionUpdate": "user_message_chunk",
        "messageId": f"user-{asked.number}",
        "content": {"type": "text", "text": cut(asked.message.words)},
    }


def tool_call_update(event: ToolCallUpdated, above: Sequence[ToolContent] | None = None) -> Object:
    """Return the update with what changed, also what a permission request shows.

    `above` is what is shown above the live terminal, None if the call has none.
    """
    update: Object = {"sessionUpdate": "tool_call_update", "toolCallId": event.call_id}
    if event.title is not None:
        update["title"] = _title(event.title)
    if event.kind is not None:
        update["kind"] = event.kind
    if event.status is not None:
        update["status"] = event.status
    if event.content is not None:
        update["content"] = _contents(event.call_id, event.content, above)
    if event.locations is not None:
        update["locations"] = [_location(location) for location in event.locations]
    if event.raw_input is not None:
        update["rawInput"] = _raw(event.raw_input)
    if event.raw_output is not None:
        update["rawOutput"] = _raw(event.raw_output)
    return update


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """Return the text, its middle left out if it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"


def _title(text: str) -> str:
    """Return the text without what could make it look like another: line ends, bidi marks."""
    return named(cut(text, MAX_TITLE))


def _chunk(kind: str, message_id: str, text: str, meta: Meta | None = None) -> Object:
    chunk: Object = {
        "sessionUpdate": kind,
        "messageId": message_id,
        "content": {"type": "text", "text": cut(text).translate(_CONTROLS)},
    }
    return _with_meta(chunk, meta)


def _started(event: ToolCallStarted) -> Object:
    update: Object = {
        "sessionUpdate": "tool_call",
        "toolCallId": event.call_id,
        "name": _title(event.name),
        "title": _title(event.title),
        "kind": event.kind,
        "status": event.status,
    }
    if event.raw_input is not None:
        update["rawInput"] = _raw(event.raw_input)
    return _with_meta(update, event.meta)


def _with_meta(update: Object, meta: Meta | None) -> Object:
    if meta:
        update["_meta"] = dict(meta)
    return update


def _plan(event: PlanUpdated) -> Object:
    entries = [
        {
            "content": plain(cut(entry.content, 4096)),
            "priority": entry.priority,
            "status": entry.status,
        }
        for entry in event.entries
    ]
    return {"sessionUpdate": "plan", "entries": entries}


def _contents(
    call_id: str, contents: Iterable[ToolContent], above: Sequence[ToolContent] | None = None
) -> list[Object]:
    if above is not None:
        # The live terminal holds the output already; text below would show everything twice.
        below = (c for c in contents if not isinstance(c, Text) and c not in above)
        contents = (*above, Terminal(call_id), *below)
    shown: list[Object] = []
    room = MAX_CONTENT
    for content in contents:
        size, item = _content(content)
        if size > room:
            size, item = 0, _text(f"[{size} characters not shown]")
        room -= size
        shown.append(item)
    return shown


def _content(content: ToolContent) -> tuple[int, Object]:
    match content:
        case Text(text):
            return min(len(text), MAX_TEXT), _text(text)
        case Terminal(terminal_id):
            return 0, _terminal(terminal_id)
        case Image(data, mime_type):
            picture: Object = {"type": "image", "data": data, "mimeType": mime_type}
            return len(data), {"type": "content", "content": picture}
        case Diff(path, old_text, new_text):
            size = len(old_text or "") + len(new_text)
            # Half a diff would be a lie about the file.
            if size > MAX_DIFF:
                return 0, _text(f"{path}: a change of {size} characters, too large to show")
            return size, {"type": "diff", "path": path, "oldText": old_text, "newText": new_text}
        case _:
            assert_never(content)


def _text(text: str) -> Object:
    return {"type": "content", "content": {"type": "text", "text": plain(cut(text))}}


def _terminal(terminal_id: str) -> Object:
    return {"type": "terminal", "terminalId": terminal_id}


def _location(location: Location) -> Object:
    if location.line is None:
        return {"path": location.path}
    return {"path": location.path, "line": location.line}


def _raw(value: object) -> Any:
    """Return a value as clients may show it, where there is no content."""
    if not isinstance(value, str):
        written = json.dumps(value, ensure_ascii=False, default=str)
        if len(written) <= MAX_TEXT:
            return _plain_texts(value)
        value = written
    return plain(cut(value))


def _plain_texts(value: Any) -> Any:
    match value:
        case str():
            return plain(value)
        case list() | tuple():
            return [_plain_texts(item) for item in cast("list[Any]", value)]
        case dict():
            items = cast("dict[str, Any]", value).items()
            return {plain(str(name)): _plain_texts(item) for name, item in items}
        case _:
            return value
