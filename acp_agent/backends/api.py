"""An engine's HTTP API, with the failures below its answers put into words that name the engine.

It knows no shapes: what an answer means is its caller's business.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import anyio

from acp_agent.backends import http
from acp_agent.backends.endpoint import Endpoint, Locate
from acp_agent.errors import (
    BackendError,
    EngineFailed,
    EngineMismatch,
    EngineUnauthorized,
    EngineUnavailable,
    StreamDropped,
)

QUICK_SECONDS = 10.0  # for questions that need no computing
PAUSES = (0.2, 1.0, 3.0)  # before asking again; nothing has been answered by then
BUSY = (429, 503)
LONGEST_LINE = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: where it came from, its status and its body."""

    url: str
    status: int
    body: bytes

    def fields(self) -> dict[str, Any]:
        """Return the JSON object that the body is, or an empty one."""
        return json_object(self.body) or {}


@dataclass(frozen=True, slots=True)
class Api:
    """The API of `engine`, whose address the user gives by `variable` and its key by `key`.

    A request that was not answered, or answered with "busy", is made again after each of `pauses`.
    """

    engine: str
    variable: str
    key: str
    locate: Locate
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    pauses: tuple[float, ...] = PAUSES

    async def ask(self, method: str, path: str, body: object = None) -> Answer:
        """Return the answer to a question that needs no computing. Raises BackendError."""
        try:
            with anyio.fail_after(QUICK_SECONDS):
                async with self.open(method, path, body) as (url, response):
                    return Answer(url, response.status, await response.read())
        except TimeoutError:
            url = (await self.locate()).url
            raise EngineUnavailable(
                f"{self.engine} at {url} did not answer within {QUICK_SECONDS:g} s"
            ) from None

    @asynccontextmanager
    async def open(
        self, method: str, path: str, body: object = None
    ) -> AsyncGenerator[tuple[str, http.Response]]:
        """Make a request; leaving the block closes its connection, which cancels it.

        Gives the address and the response, of any status but 401 and 403. Raises BackendError.
        """
        data = None if body is None else json.dumps(body).encode()
        endpoint = await self.locate()
        try:
            async with AsyncExitStack() as stack:
                response = await self._answered(stack, endpoint, method, path, data)
                if response.status in (401, 403):
                    raise EngineUnauthorized(
                        f"{self.engine} at {endpoint.url} wants another key"
                        f" (HTTP {response.status}); set {self.key}"
                    )
                body = self._body(endpoint.url, response.body)
                yield endpoint.url, http.Response(response.status, response.headers, body)
        except http.HttpError as error:
            raise self._meaning(endpoint.url, error) from None

    def mismatch(self, url: str, reason: str) -> EngineMismatch:
        """Return the error that names the address and what is expected there."""
        return EngineMismatch(
            f"what answers at {url} is not {self.engine}: {reason}; set {self.variable}"
        )

    async def _answered(
        self,
        stack: AsyncExitStack,
        endpoint: Endpoint,
        method: str,
        path: str,
        body: bytes | None,
    ) -> http.Response:
        for pause in (*self.pauses, None):
            attempt = AsyncExitStack()
            request = http.request(
                method, endpoint.at(path), key=endpoint.key, body=body, headers=self.headers
            )
            try:
                response = await attempt.enter_async_context(request)
                if pause is None or response.status not in BUSY:
                    stack.push_async_exit(attempt)
                    return response
                await attempt.aclose()
            except http.Dropped:
                if pause is None:
                    raise
            await anyio.sleep(pause)
        raise AssertionError  # the last attempt returns or raises

    async def _body(self, url: str, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for data in body:
                yield data
        except http.HttpError as error:
            raise self._meaning(url, error) from None

    def _meaning(self, url: str, error: http.HttpError) -> BackendError:
        match error:
            case http.Refused():
                return EngineUnavailable(
                    f"nothing answers at {url} ({error}); start {self.engine} there,"
                    f" or set {self.variable}"
                )
            case http.Dropped(answered=True):
                return StreamDropped(f"the connection to {self.engine} broke off in mid-answer")
            case http.Dropped():
                return EngineFailed(f"{self.engine} at {url} closed the connection unanswered")
            case _:
                return self.mismatch(url, str(error))


class Lines:
    """Bytes as they arrive, taken apart into lines; a line without an end is kept for later."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes. Raises ValueError for one beyond any sense."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise ValueError(f"a line of more than {LONGEST_LINE} bytes")
        return [line.strip() for line in lines if line.strip()]

    def last(self) -> list[bytes]:
        """Return what is left when nothing more comes."""
        rest, self._rest = self._rest.strip(), b""
        return [rest] if rest else []


def json_object(data: bytes) -> dict[str, Any] | None:
    """Return the JSON object that `data` is, or None."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def error_message(fields: Mapping[str, Any]) -> str:
    """Return the words of an error object, in any of the shapes that servers use."""
    error = fields.get("error", fields)
    if isinstance(error, str):
        return error
    if isinstance(error, Mapping):
        words = cast("Mapping[str, Any]", error).get("message", "")
        return words if isinstance(words, str) else ""
    return ""
