"""One side of a JSON-RPC connection: frames in, frames out, and the tasks that answer requests.

It knows JSON-RPC and nothing of ACP but `$/cancel_request`; agent and client both stand on it.
Notifications and quick requests are handled in the order of arrival without waiting for anything;
each slow request becomes a task of this connection's group.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import anyio
from anyio.abc import TaskGroup

from acp_agent.errors import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    REQUEST_CANCELLED,
    AgentError,
    RpcError,
)
from acp_agent.protocol import jsonrpc
from acp_agent.protocol.jsonrpc import (
    Id,
    Ignored,
    Malformed,
    Notification,
    Object,
    Oversized,
    Request,
    Response,
)
from acp_agent.protocol.opening import wire_error

MAX_IN_FLIGHT = 256
GRACE = 0.4

_log = logging.getLogger(__name__)


class ConnectionClosed(AgentError):
    """The other side is gone; no answer will come."""


class Transport(Protocol):
    """Where frames come from and go to."""

    async def receive(self) -> Sequence[bytes | Oversized]:
        """Return the next lines; none when the other side is gone."""
        ...

    def put(self, frame: bytes) -> None:
        """Send after all that was sent before, without waiting."""
        ...

    async def send(self, frame: bytes) -> None:
        """As `put`, and wait while too much is on its way."""
        ...


def _nothing() -> None:
    return


class Job(NamedTuple):
    """A slow request: `run` gives the result.

    `cancel` asks it to end early with a result of its own; without it the request is cut off and
    answered with an error. `answered` is called when the answer is on its way.
    """

    run: Callable[[], Awaitable[Object]]
    cancel: Callable[[], None] | None = None
    answered: Callable[[], None] = _nothing


class Handler(Protocol):
    """What this side does with what arrives."""

    def request(self, request: Request) -> bytes | Job:
        """Return the frames of the answer, or the work that leads to it. Raises RpcError."""
        ...

    def notification(self, notification: Notification) -> None: ...

    def closing(self) -> None:
        """End what runs: the other side is gone."""
        ...


Late = Callable[[Any], None]


@dataclass(slots=True)
class _Waiting:
    answered: anyio.Event = field(default_factory=anyio.Event)
    response: Response | None = None
    too_late: Late | None = None


class Connection:
    """Owns the request tasks from `run` until the other side is gone."""

    def __init__(self, transport: Transport, handler: Callable[[Connection], Handler]) -> None:
        self.transport = transport
        self._handler = handler(self)
        self._cancel: dict[Id, Callable[[], None]] = {}
        self._idle = anyio.Event()
        self._waiting: dict[Id, _Waiting] = {}
        self._last_id = 0
        self._closed = False
        self._tasks: TaskGroup | None = None

    async def run(self, begin: Callable[[], None] = _nothing) -> None:
        """Serve until the other side is gone, then give what runs a moment to end."""
        async with anyio.create_task_group() as self._tasks:
            begin()
            while lines := await self.transport.receive():
                for line in lines:
                    self._dispatch(line)
            self._close()
            with anyio.move_on_after(GRACE):
                while self._cancel:
                    self._idle = anyio.Event()
                    await self._idle.wait()
            self._tasks.cancel_scope.cancel()

    async def request(self, method: str, params: Object, *, late: Late | None = None) -> Any:
        """Ask the other side, for as long as it takes.

        `late` gets a result that comes after the caller was cancelled, to undo what it did; what
        can be undone is not asked to be cancelled, for then it might be half done.

        Raises:
            RpcError: It answered with an error.
            ConnectionClosed: It is gone.

        """
        if self._closed:
            raise ConnectionClosed(f"{method}: the other side has closed the connection")
        self._last_id += 1
        request_id = self._last_id
        waiting = self._waiting[request_id] = _Waiting()
        self.transport.put(jsonrpc.request(request_id, method, params))
        try:
            await waiting.answered.wait()
        except anyio.get_cancelled_exc_class():
            self._abandon(request_id, waiting, late)
            raise
        del self._waiting[request_id]
        if waiting.response is None:
            raise ConnectionClosed(f"{method}: the other side has closed the connection")
        if waiting.response.error is not None:
            raise waiting.response.error
        return waiting.response.result

    def _abandon(self, request_id: int, waiting: _Waiting, late: Late | None) -> None:
        """Nobody waits any more: have what was asked for cancelled, or undone when it is there."""
        waiting.too_late = late
        if waiting.answered.is_set():  # in the same moment
            self._forget(request_id, waiting)
        elif late is None:
            del self._waiting[request_id]
            self.notify("$/cancel_request", {"requestId": request_id})

    def _forget(self, request_id: Id, waiting: _Waiting) -> None:
        del self._waiting[request_id]
        response = waiting.response
        if waiting.too_late is not None and response is not None and response.error is None:
            waiting.too_late(response.result)

    def notify(self, method: str, params: Object) -> None:
        self.transport.put(jsonrpc.notification(method, params))

    def spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` beside the requests; it is cancelled with them, and its failure is logged."""
        assert self._tasks is not None, "the connection is not running"
        self._tasks.start_soon(self._run_beside, work)

    # ------------------------------------------------------------ what arrives

    def _dispatch(self, line: bytes | Oversized) -> None:
        match jsonrpc.decode(line):
            case Request() as request:
                self._start(request)
            case Notification("$/cancel_request", params):
                self._cancel_request(params.get("requestId"))
            case Notification() as notification:
                self._notified(notification)
            case Response() as response:
                self._answered(response)
            case Malformed(request_id, error):
                self.transport.put(jsonrpc.failure(request_id, error))
            case Ignored(reason):
                _log.debug("ignored a frame: %s", reason)

    def _start(self, request: Request) -> None:
        try:
            if request.id in self._cancel:
                raise RpcError(INVALID_REQUEST, "id is in use by a request that is still running")
            if len(self._cancel) >= MAX_IN_FLIGHT:
                raise RpcError(INTERNAL_ERROR, f"more than {MAX_IN_FLIGHT} requests are running")
            outcome = self._handler.request(request)
        except Exception as error:
            self.transport.put(jsonrpc.failure(request.id, wire_error(error)))
            return
        if isinstance(outcome, bytes):
            self.transport.put(outcome)
            return
        assert self._tasks is not None
        scope = anyio.CancelScope()
        self._cancel[request.id] = outcome.cancel or scope.cancel
        self._tasks.start_soon(self._run_job, request.id, outcome, scope)

    async def _run_job(self, request_id: Id, job: Job, scope: anyio.CancelScope) -> None:
        frame: bytes | None = None
        try:
            with scope:
                frame = await self._outcome(request_id, job)
            if frame is None:
                error = RpcError(REQUEST_CANCELLED, "request cancelled")
                frame = jsonrpc.failure(request_id, error)
            del self._cancel[request_id]
            await self.transport.send(frame)
        finally:
            self._cancel.pop(request_id, None)
            job.answered()
            self._idle.set()

    async def _outcome(self, request_id: Id, job: Job) -> bytes:
        try:
            return jsonrpc.success(request_id, await job.run())
        except Exception as error:
            return jsonrpc.failure(request_id, wire_error(error))

    def _notified(self, notification: Notification) -> None:
        try:
            self._handler.notification(notification)
        except RpcError as error:  # a notification has no answer, not even this one
            _log.debug("ignored a notification: %s", error)
        except Exception:
            _log.exception("a notification failed")

    def _cancel_request(self, request_id: Any) -> None:
        known = type(request_id) in (int, str)
        if known and (cancel := self._cancel.get(request_id)) is not None:
            cancel()

    def _answered(self, response: Response) -> None:
        waiting = self._waiting.get(response.id) if response.id is not None else None
        if waiting is None:
            _log.debug("dropped an answer that nobody waits for")
            return
        waiting.response = response
        waiting.answered.set()
        if waiting.too_late is not None and response.id is not None:
            self._forget(response.id, waiting)

    def _close(self) -> None:
        self._closed = True
        for waiting in self._waiting.values():
            waiting.answered.set()
        self._handler.closing()

    async def _run_beside(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except AgentError as error:
            _log.warning("background work failed: %s", error)
        except Exception:
            _log.exception("background work failed")
