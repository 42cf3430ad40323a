"""A trajectory said again, as the updates that an editor would get for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from acp_agent.conversation import UserMessage
from acp_agent.protocol.agent import ClientCapabilities
from acp_agent.protocol.convert import Converter, cut
from acp_agent.recording.lines import Happened, Line, Titled, TurnStarted, moment

Update = dict[str, Any]
LONGEST_PAUSE = 5.0  # seconds; nobody waits for a user who went to lunch

EVERYTHING = ClientCapabilities(notices=True)


def updates(
    lines: Iterable[Line], client: ClientCapabilities = EVERYTHING
) -> Iterator[tuple[str, Update]]:
    """Give every update with the time at which it was sent, "" where it is not known."""
    converter = Converter(client)
    for line in lines:
        match line:
            case TurnStarted(time, n, message):
                for update in of_user(f"user-{n}", message):
                    yield time, update
            case Happened(time, event):
                for update in converter.updates(event):
                    yield time, update
            case Titled(time, title):
                yield time, {"sessionUpdate": "session_info_update", "title": title}
            case _:
                pass


def of_user(message_id: str, message: UserMessage) -> Iterator[Update]:
    """Give the chunks of a user's message: the words, and a link for each attachment."""
    yield _chunk(message_id, {"type": "text", "text": cut(message.words)})
    for attachment in message.attachments:
        name = attachment.uri.rstrip("/").rpartition("/")[2] or attachment.uri
        yield _chunk(message_id, {"type": "resource_link", "uri": attachment.uri, "name": name})


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


def _chunk(message_id: str, content: Update) -> Update:
    return {"sessionUpdate": "user_message_chunk", "messageId": message_id, "content": content}
