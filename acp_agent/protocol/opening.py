"""The first moments: answers what can be answered before an event loop is there.

An editor waits for `initialize` and `session/new` each time it starts an agent, so these are
answered by plain reads and writes, through the same method table that the connection uses. As soon
as a frame needs the event loop, or the client pauses, everything read so far is handed over.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from acp_agent.errors import INTERNAL_ERROR, RpcError
from acp_agent.protocol import jsonrpc
from acp_agent.protocol.agent import SLOW, Agent
from acp_agent.protocol.jsonrpc import Malformed, Oversized, Request
from acp_agent.protocol.lines import LineSplitter
from acp_agent.protocol.stdio import Wire, read, readable, write_all

# Loading the event loop takes about 100 ms in which nothing is answered. A client that has just
# been given a session mostly sets its options at once or waits for its user.
PATIENCE = 0.25
PATIENCE_WITH_SESSION = 0.02


class Opened(NamedTuple):
    """What the connection goes on with: state, unread lines, and the beginning of the next one."""

    agent: Agent
    wire: Wire
    splitter: LineSplitter
    lines: tuple[bytes | Oversized, ...] = ()


def serve_opening(agent: Agent, wire: Wire) -> Opened | None:
    """Answer until the event loop is needed; None if the client has left, and all is done."""
    splitter = LineSplitter()
    lines: deque[bytes | Oversized] = deque()
    while True:
        while lines:
            answer = answer_line(agent, lines[0])
            if answer is None:
                return Opened(agent, wire, splitter, tuple(lines))
            lines.popleft()
            try:
                write_all(wire.stdout, answer)
            except OSError:
                return None
        try:
            if not readable(wire.stdin, PATIENCE_WITH_SESSION if agent.sessions else PATIENCE):
                return Opened(agent, wire, splitter)
        except KeyboardInterrupt:  # someone started it by hand; there is nothing to clean up
            return None
        data = read(wire.stdin)
        if data:
            lines.extend(splitter.feed(data))
        elif data is not None:
            lines.extend(splitter.finish())
            if not lines:
                return None


def answer_line(agent: Agent, line: bytes | Oversized) -> bytes | None:
    """Return the frames that answer a line, none for a notification; None if it needs the loop."""
    frame = jsonrpc.decode(line)
    if isinstance(frame, Malformed):
        return jsonrpc.failure(frame.id, frame.error)
    # Nothing runs yet: there is nothing to cancel, and no answer that we wait for.
    if not isinstance(frame, Request):
        return b""
    return answer_request(agent, frame)


def answer_request(agent: Agent, request: Request) -> bytes | None:
    """As `answer_line`, for a request."""
    try:
        agent.admit(request)
        if request.method in SLOW:
            return None
        reply = agent.answer(request)
    except Exception as error:
        return jsonrpc.failure(request.id, wire_error(error))
    updates = [
        jsonrpc.notification("session/update", {"sessionId": session_id, "update": update})
        for session_id, update in reply.updates
    ]
    return b"".join([jsonrpc.success(request.id, reply.result), *updates])


def wire_error(error: Exception) -> RpcError:
    """Turn what a handler raised into what the client may see: the inside stays in the log."""
    if isinstance(error, RpcError):
        return error
    import logging  # 5 ms that a start without errors does without

    logging.getLogger(__name__).error("a request failed", exc_info=error)
    return RpcError(INTERNAL_ERROR, "internal error; see the agent's log on stderr")
