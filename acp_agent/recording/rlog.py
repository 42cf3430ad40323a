"""A session as rlog/1: a line for people for each thing that happens, truncated and redacted.

Text comes in deltas; a message is written when it is over, so that no secret is cut in two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from acp_agent.conversation import UserMessage
from acp_agent.events import (
    Diff,
    Event,
    Meta,
    Noticed,
    PlanUpdated,
    StepMeasured,
    Text,
    TextDelta,
    ThoughtDelta,
    ToolCallStarted,
    ToolCallUpdated,
)
from acp_agent.recording.lines import (
    HistoryChanged,
    Line,
    Opened,
    OptionsSet,
    PermissionDecided,
    Titled,
    TurnEnded,
    TurnStarted,
    moment,
)
from acp_agent.recording.rlog_text import ROOM, name, one_line, paragraph, quoted, word

MESSAGE, THOUGHT, TOOL = 200, 150, 100  # characters that are shown
ENTRY, ENTRIES = 80, 50  # of a plan


@dataclass(slots=True)
class _Message:
    prefix: str
    limit: int
    time: str
    parts: list[str]
    size: int = 0

    def add(self, text: str) -> None:
        # One more than is looked at says that there was more.
        kept = text[: ROOM + 1 - self.size]
        self.parts.append(kept)
        self.size += len(kept)


@dataclass(slots=True)
class _Call:
    name: str
    time: str
    is_written: bool = False


class Rlog:
    """Turns the lines of a trajectory into those of an rlog, and remembers what is open."""

    def __init__(self, session_id: str, *, steps: int = 0, is_new: bool = True) -> None:
        """Go on after `steps` model calls, in a file that `is_new` or not."""
        self._id = word(session_id, "session")
        self._begin = "@start" if is_new else "@resume"
        self._steps = steps
        self._tokens = [0, 0, 0]
        self._time = ""
        self._messages: dict[str, _Message] = {}
        self._said: set[str] = set()
        self._calls: dict[str, _Call] = {}

    def feed(self, line: Line) -> list[str]:
        """Return what a line of the trajectory adds; it may be nothing yet."""
        self._time = line.time or self._time
        return [*self._beginning(), *self._line(line)]

    def end(self) -> list[str]:
        """Return the last lines; what is still open is closed."""
        counts = zip(("in", "out", "cached"), self._tokens, strict=True)
        tokens = " ".join(f"tokens_{name}={count}" for name, count in counts)
        beginning = self._beginning()
        return [*beginning, *self._close(), f"@end id={self._id} {tokens}{self._ts()}"]

    def _beginning(self) -> list[str]:
        begin, self._begin = self._begin, ""
        return [f"{begin} id={self._id}{self._ts()}"] if begin else []

    def _line(self, line: Line) -> Iterable[str]:
        match line:
            case Opened():
                return ()
            case OptionsSet(_, mode, model, effort, approvals):
                rest = f"model={name(model)} effort={name(effort)}"
                approved = f"approvals={name(approvals)}"
                return (f"m: {word(mode, 'unknown')} {rest} {approved}{self._ts()}",)
            case TurnStarted(_, _, message):
                return [*self._close(), *_user(message, self._ts())]
            case HistoryChanged(_, added, dropped):
                # What was being said is over, and may be what is forgotten.
                over = () if dropped == 0 else self._written()
                return [*over, *_history(len(added), dropped)]
            case PermissionDecided(_, call, tool, scope, verdict):
                asked = f"id={word(call, 'call')}{self._ts()} {word(tool, 'tool')}"
                answer = f"{quoted(scope, TOOL)} → [{word(verdict, 'unknown')}]"
                begun = self._begun(call) if call in self._calls else ()
                return [*begun, f"# permission: {asked} {answer}"]
            case Titled(_, title):
                return (f"# title: {one_line(title, MESSAGE)}",)
            case TurnEnded():
                return [*self._close(), *self._turn_ended(line)]
            case _:
                return self._event(line.event)

    def _event(self, event: Event) -> Iterator[str]:
        match event:
            case TextDelta(message_id, text, meta):
                yield from _routing(meta)
                self._delta(message_id, "a:", MESSAGE, text)
            case ThoughtDelta(message_id, text, meta):
                yield from _routing(meta)
                self._delta(message_id, "th:", THOUGHT, text)
            case ToolCallStarted(call_id, tool, meta=meta):
                yield from self._written()
                yield from _routing(meta)
                self._calls[call_id] = _Call(_tool(tool), self._time)
                if event.raw_input is not None:
                    yield from self._begun(call_id, event.raw_input)
            case ToolCallUpdated():
                yield from self._call(event)
            case PlanUpdated(entries):
                items = [f"[{e.status}] {one_line(e.content, ENTRY)}" for e in entries[:ENTRIES]]
                yield " ".join(("td:", *items)) + self._ts()
            case Noticed(title, severity, description):
                words = one_line(": ".join(filter(None, (title, description))), MESSAGE)
                yield f"# notice: {words} level={severity}{self._ts()}"
            case StepMeasured():
                yield from self._written()
                yield self._step(event)
            case _:  # how full the context is, live output: `end` and the result say it
                pass

    def _delta(self, message_id: str, prefix: str, limit: int, text: str) -> None:
        # A message that goes on after it was written is left as it is: what is new could be
        # the rest of a secret.
        if message_id in self._said:
            return
        if message_id not in self._messages:
            self._messages[message_id] = _Message(prefix, limit, self._ts(), [])
        self._messages[message_id].add(text)

    def _written(self) -> Iterator[str]:
        """Give the messages that were being said."""
        for message in self._messages.values():
            text = "".join(message.parts)
            if text.strip():
                yield from paragraph(message.prefix, text, message.limit, message.time.strip())
        self._said.update(self._messages)
        self._messages.clear()

    def _begun(self, call_id: str, raw_input: object = None) -> Iterator[str]:
        """Give the line that starts a call, if it was not written yet."""
        call = self._calls.setdefault(call_id, _Call("tool", self._time))
        if not call.is_written:
            call.is_written, call.time = True, self._time
            given = _arguments(raw_input)
            where = f"t!:{call.name} id={word(call_id, 'call')}{self._ts()}"
            yield f"{where} {given} → [running]" if given else f"{where} → [running]"

    def _call(self, event: ToolCallUpdated) -> Iterator[str]:
        is_over = event.status in ("completed", "failed")
        if is_over:
            yield from self._written()
        if is_over or event.raw_input is not None or event.status == "in_progress":
            yield from self._begun(event.call_id, event.raw_input)
        if is_over:
            call = self._calls.pop(event.call_id)
            took = _latency(call.time, self._time)
            answer = "ok" if event.status == "completed" else "error"
            words = f"[{answer}] {one_line(_result(event), TOOL)}".rstrip()
            yield f"o: id={word(event.call_id, 'call')}{self._ts()}{took} → {words}"

    def _close(self) -> Iterator[str]:
        """Give what ends all that is open: messages, and calls that nobody will answer."""
        yield from self._written()
        for call_id in list(self._calls):
            yield from self._begun(call_id)
            yield f"o: id={word(call_id, 'call')}{self._ts()} interrupted → [error] not finished"
        self._calls.clear()
        self._said.clear()

    def _step(self, step: StepMeasured) -> str:
        self._steps += 1
        counts = (step.prompt_tokens, step.predicted_tokens, step.cached_tokens)
        self._tokens = [max(0, new) + sum_ for new, sum_ in zip(counts, self._tokens, strict=True)]
        took = round(sum(step.milliseconds.values()))
        latency = f" latency_ms={took}" if took > 0 else ""
        words = (
            f"# model call: step={self._steps}{self._ts()}{latency}"
            f" read {step.evaluated_tokens}, cached {step.cached_tokens},"
            f" wrote {step.predicted_tokens}"
        )
        repairs = one_line("; ".join(step.repairs), MESSAGE)
        return f"{words}; repaired: {repairs}" if repairs else words

    def _turn_ended(self, line: TurnEnded) -> Iterator[str]:
        if line.error:
            yield f"# error: {one_line(line.error, MESSAGE)}"
        stop = word(line.stop, "error")
        context = f" context {line.used} of {line.size}" if line.size else ""
        yield f"@checkpoint turn={line.n} stop={stop}{self._ts()}{context}"

    def _ts(self) -> str:
        return f" ts={self._time}" if self._time else ""


def _user(message: UserMessage, ts: str) -> Iterator[str]:
    yield from paragraph("u:", message.words, MESSAGE, ts.strip())
    for attachment in message.attachments:
        yield f"  attached: {one_line(attachment.uri, MESSAGE)}"


def _history(added: int, dropped: int | None) -> Iterator[str]:
    if dropped is None:
        yield f"# history: compacted to {added} entries"
    elif dropped:
        yield f"# history: the last {dropped} entries are forgotten"


def _routing(meta: Meta | None) -> Iterator[str]:
    routing = (meta or {}).get("routing")
    if isinstance(routing, dict):
        found = cast("dict[str, Any]", routing)
        decision = word(str(found.get("decision", "")), "unknown")
        yield f"# routing: {one_line(str(found.get('reason', '')), MESSAGE)} → [{decision}]"


def _tool(name: str) -> str:
    """Return a tool's name as one word; GPT-OSS thinking for the small model is a tool as well."""
    if name == "gptoss.generate":
        return "think"
    return word(name.removeprefix("functions."), "tool")


def _arguments(given: object) -> str:
    if isinstance(given, dict):
        pairs = cast("dict[str, object]", given).items()
        given = " ".join(f"{name}={_plain(value)}" for name, value in pairs)
    return one_line(_plain(given), TOOL)


def _result(event: ToolCallUpdated) -> str:
    """Return what the call brought: its raw output, or else what was shown of it."""
    if event.raw_output is not None:
        return _plain(event.raw_output)
    shown = event.content or ()
    texts = (
        c.text if isinstance(c, Text) else c.path if isinstance(c, Diff) else "" for c in shown
    )
    return " ".join(filter(None, texts))


def _plain(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _latency(start: str, end: str) -> str:
    since, until = moment(start), moment(end)
    if since is None or until is None or until < since:
        return ""
    return f" latency_ms={round((until - since) * 1000)}"


def whole(lines: Iterable[Line], header: Callable[[Opened], list[str]]) -> Iterator[str]:
    """Give the whole rlog of a trajectory; `header` makes its first lines of the first line."""
    rlog: Rlog | None = None
    for line in lines:
        if rlog is None:
            opened = line if isinstance(line, Opened) else Opened(line.time, "unknown")
            rlog = Rlog(opened.id)
            yield from header(opened)
        yield from rlog.feed(line)
    if rlog is not None:
        yield from rlog.end()
