"""A trajectory said again, as the updates that an editor would get for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from acp_agent import events
from acp_agent.agent.stored import Asked
from acp_agent.protocol.agent import ClientCapabilities
from acp_agent.protocol.convert import Converter, user_chunk
from acp_agent.recording.completed import Completed
from acp_agent.recording.lines import Happened, Line, Titled, TurnStarted, moment

Update = dict[str, Any]
LONGEST_PAUSE = 5.0  # seconds; nobody waits for a user who went to lunch

EVERYTHING = ClientCapabilities(notices=True)


def updates(
    lines: Iterable[Line], client: ClientCapabilities = EVERYTHING
) -> Iterator[tuple[str, Update]]:
    """Give every update with the time at which it was sent, "" where it is not known."""
    converter, completed, time = Converter(client), Completed(), ""
    for line in lines:
        match line:
            case TurnStarted(time, number, message):
                for event in completed.ends():
                    yield from ((time, update) for update in converter.updates(event))
                yield time, user_chunk(Asked(number, message))
            case Happened(time, event):
                for update in converter.updates(completed.event(event)):
                    yield time, update
            case Titled(time, title):
                yield from ((time, update) for update in converter.updates(events.Titled(title)))
            case _:
                pass
    for event in completed.ends():
        yield from ((time, update) for update in converter.updates(event))


def paced(
    timed: Iterable[tuple[str, Update]], speed: float, pause: Callable[[float], None]
) -> Iterator[Update]:
    """Give the updates as they came, `speed` times as fast; a pause has at most 5 s."""
    last: float | None = None
    for time, update in timed:
        now = moment(time)
        if now is not None:
            if last is not None and now > last:
                pause(min((now - last) / speed, LONGEST_PAUSE))
            last = now
        yield update
