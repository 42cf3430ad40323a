"""A trajectory as people read it: whole messages, and calls with how they ended.

Blocks stand where the thing began. They come turn by turn; no more than a turn is held, and of a
call's results no more than `MAX_TEXT` characters each. Secrets are redacted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from acp_agent.events import (
    Diff,
    Event,
    Image,
    Meta,
    Noticed,
    PlanEntry,
    PlanUpdated,
    Terminal,
    Text,
    TextDelta,
    ThoughtDelta,
    ToolCallStarted,
    ToolCallUpdated,
    ToolContent,
    ToolOutput,
)
from acp_agent.protocol.convert import cut
from acp_agent.recording.lines import (
    HistoryChanged,
    Line,
    Opened,
    OptionsSet,
    PermissionDecided,
    Titled,
    TurnEnded,
    TurnStarted,
)
from acp_agent.recording.redact import redact

MAX_TEXT = 64 * 1024
MAX_MESSAGE = 1024 * 1024
MAX_DIFF = 256 * 1024
MARGIN = 32 * 1024  # longer than any secret


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the session is, by name and value."""

    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Said:
    """A whole message; `by` is who said it."""

    by: Literal["user", "agent", "thought"]
    text: str
    time: str
    attached: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Called:
    """A call of a tool, and how it ended."""

    name: str
    title: str
    status: str
    given: str
    results: tuple[ToolContent, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan as it stood at the end of the turn."""

    entries: tuple[PlanEntry, ...]


@dataclass(frozen=True, slots=True)
class Noted:
    """One line about what happened, which nobody said."""

    text: str


Block = Beginning | Said | Called | Planned | Noted


class _Message:
    def __init__(self, by: Literal["agent", "thought"], time: str) -> None:
        self._by: Literal["agent", "thought"] = by
        self._time = time
        self._parts: list[str] = []
        self._room = MAX_MESSAGE
        self._is_cut = False

    def add(self, text: str) -> None:
        self._is_cut = self._is_cut or len(text) > self._room
        self._parts.append(text[: self._room])
        self._room -= len(self._parts[-1])

    def block(self) -> Block | None:
        text = redact("".join(self._parts))
        if self._is_cut:  # the end may be half a secret
            text = f"{text[:-4096]}…"
        return Said(self._by, text, self._time) if text.strip() else None


class _Call:
    def __init__(self, name: str) -> None:
        self._name = name
        self._title = name
        self._status = ""
        self._given = ""
        self._content: tuple[ToolContent, ...] = ()
        self._output = ""

    def update(self, event: ToolCallStarted | ToolCallUpdated | ToolOutput) -> None:
        if isinstance(event, ToolOutput):
            self._output = _clean(event.snapshot)
            return
        self._title = event.title or self._title
        self._status = event.status or self._status
        self._given = _clean(_plain(event.raw_input)) or self._given
        if isinstance(event, ToolCallUpdated):
            if event.content is not None:
                self._content = tuple(map(_shown, event.content))
            self._output = self._output or _clean(_plain(event.raw_output))

    def block(self) -> Block:
        results = tuple(c for c in self._content if not isinstance(c, Terminal))
        if not results and self._output:
            results = (Text(self._output),)
        status = self._status if self._status in ("completed", "failed") else "not finished"
        return Called(redact(self._name), redact(self._title), status, self._given, results)


class _Fixed:
    """What does not change any more."""

    def __init__(self, block: Block) -> None:
        self._block = block

    def block(self) -> Block | None:
        return self._block


class _Turn:
    """What has happened in one turn, by id."""

    def __init__(self) -> None:
        self._items: list[_Message | _Call | _Fixed] = []
        self._messages: dict[str, _Message] = {}
        self._calls: dict[str, _Call] = {}
        self._plan: PlanUpdated | None = None

    def blocks(self) -> Iterator[Block]:
        for item in self._items:
            block = item.block()
            if block is not None:
                yield block
        if self._plan is not None:
            entries = self._plan.entries
            yield Planned(tuple(replace(e, content=redact(e.content)) for e in entries))

    def line(self, line: Line) -> None:
        match line:
            case Opened():
                self._add(Beginning(_facts(line)))
            case OptionsSet(_, mode, model, effort, approvals):
                self._note(f"mode {mode}, model {model}, effort {effort}, approvals {approvals}")
            case TurnStarted(time, _, message):
                attached = tuple(redact(one.uri) for one in message.attachments)
                self._add(Said("user", cut(redact(message.words), MAX_MESSAGE), time, attached))
            case PermissionDecided(_, _, tool, scope, verdict):
                self._note(f"permission: {tool} {scope}: {verdict}")
            case HistoryChanged(dropped=None):
                self._note("the conversation was compacted")
            case HistoryChanged():
                pass
            case Titled(_, title):
                self._note(f"title: {title}")
            case TurnEnded(_, n, stop, error):
                self._note(f"turn {n}: {error or stop}")
            case _:
                self._event(line.event, line.time)

    def _event(self, event: Event, time: str) -> None:
        match event:
            case TextDelta(message_id, text, meta):
                self._routing(meta)
                self._message("agent", message_id, time).add(text)
            case ThoughtDelta(message_id, text, meta):
                self._routing(meta)
                self._message("thought", message_id, time).add(text)
            case ToolCallStarted(call_id, name, meta=meta):
                self._routing(meta)
                self._call(call_id, name).update(event)
            case ToolCallUpdated(call_id) | ToolOutput(call_id):
                self._call(call_id, "tool").update(event)
            case PlanUpdated():
                self._plan = event
            case Noticed(title, _, description):
                self._note(": ".join(filter(None, (title, description))))
            case _:
                pass

    def _message(self, by: Literal["agent", "thought"], message_id: str, time: str) -> _Message:
        found = self._messages.get(message_id)
        if found is None:
            found = self._messages[message_id] = _Message(by, time)
            self._items.append(found)
        return found

    def _call(self, call_id: str, name: str) -> _Call:
        found = self._calls.get(call_id)
        if found is None:
            found = self._calls[call_id] = _Call(name)
            self._items.append(found)
        return found

    def _routing(self, meta: Meta | None) -> None:
        routing = (meta or {}).get("routing")
        if isinstance(routing, dict):
            found = cast("dict[str, Any]", routing)
            self._note(f"{found.get('decision')}: {found.get('reason')}")

    def _note(self, text: str) -> None:
        self._add(Noted(" ".join(cut(redact(text), 1000).split())))

    def _add(self, block: Block) -> None:
        self._items.append(_Fixed(block))


def transcript(lines: Iterable[Line]) -> Iterator[Block]:
    """Give the blocks of a trajectory in their order."""
    turn = _Turn()
    for line in lines:
        if isinstance(line, TurnStarted):
            yield from turn.blocks()
            turn = _Turn()
        turn.line(line)
        if isinstance(line, TurnEnded):
            yield from turn.blocks()
            turn = _Turn()
    yield from turn.blocks()


def _facts(opened: Opened) -> tuple[tuple[str, str], ...]:
    facts = {
        "session": opened.id,
        "began": opened.time,
        "workspace": opened.cwd,
        "agent": opened.agent,
        "mode": opened.mode,
        "model": opened.model,
    }
    return tuple((name, redact(value)) for name, value in facts.items() if value)


def _shown(content: ToolContent) -> ToolContent:
    """Return the content as it may be shown, and bounded."""
    match content:
        case Text(text):
            return Text(_clean(text))
        case Diff(path, old, new) if len(old or "") + len(new) > MAX_DIFF:
            return Text(f"{redact(path)}: a change too large to show")
        case Diff(path, old, new):
            return Diff(redact(path), None if old is None else redact(old), redact(new))
        case Image(data, mime_type) if len(data) <= MAX_MESSAGE:
            return Image(data, redact(mime_type))
        case Image():
            return Text("a picture too large to show")
        case _:
            return content


def _clean(text: str) -> str:
    """Return it redacted, then cut: half a secret would not be found."""
    window = MAX_TEXT // 2 + MARGIN
    if len(text) <= 2 * window:
        return cut(redact(text), MAX_TEXT)
    # Only the ends are shown, so no more is looked at; where they were cut off may be half a one.
    head, tail = redact(text[:window])[:-MARGIN], redact(text[-window:])[MARGIN:]
    return f"{head}\n[{len(text) - len(head) - len(tail)} characters left out]\n{tail}"


def _plain(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
