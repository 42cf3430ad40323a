"""A server's HTTP API: found where it is, asked with patience, its failures put into words.

It knows no shapes: what an answer or an event means is its caller's business.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import anyio

from acp_agent.backends import http
from acp_agent.backends.endpoint import Endpoint, Locate
from acp_agent.backends.failures import (
    Answer,
    Service,
    connection_failure,
    failure,
    is_loading,
    is_passing,
    mismatch,
)
from acp_agent.backends.ndjson import LineReader
from acp_agent.backends.sse import DONE, EventReader, ServerEvent
from acp_agent.errors import EngineMismatch, EngineUnavailable
from acp_agent.ports import EngineLoading

FIRST_POLL = 0.02  # small weights are read in less than half a second
LONGEST_LINE = 16 * 1024 * 1024
WHOLE = "whole"  # the name of the event that is a whole answer, from a server that did not stream
READERS = {"text/event-stream": EventReader, "application/x-ndjson": LineReader}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a server; in seconds.

    `quick` is for questions that need no computing.
    `pauses` come before the tries after the first; a server that loads its model gets `loading`,
    asked ever less often, but at least every `poll`.
    """

    quick: float = 10.0
    pauses: tuple[float, ...] = (0.25, 0.5, 1.0)
    loading: float = 600.0
    poll: float = 0.5
    longest: float = 10.0


PATIENCE = Patience()


class Api:
    """The API of `service`, wherever `locate` finds it; `headers` go with every request.

    A request is made again only before the first byte of an answer, and only where that may help:
    the server is busy, hung up, is elsewhere now, or answered before and refuses the connection.
    """

    def __init__(
        self,
        service: Service,
        locate: Locate,
        *,
        headers: Mapping[str, str] | None = None,
        patience: Patience = PATIENCE,
    ) -> None:
        self.service = service
        self.patience = patience
        self._locate = locate
        self._headers = headers or {}
        self._endpoint: Endpoint | None = None
        self._url = "its address"
        self._has_answered = False

    async def ask(self, method: str, path: str, body: object = None) -> Answer:
        """Return the answer to what needs no computing, of any status. Raises BackendError."""
        await self._found()  # which may have to start it, and takes its time
        try:
            with anyio.fail_after(self.patience.quick):
                async with self._open(method, path, body) as opened:
                    if isinstance(opened, Answer):
                        return opened
                    return Answer(self._url, opened.status, await opened.read())
        except TimeoutError:
            where, quick = f"{self.service.name} at {self._url}", self.patience.quick
            raise EngineUnavailable(f"{where} did not answer within {quick:g} s") from None

    async def ask_loaded(self, method: str, path: str) -> Answer:
        """Ask as `ask` does, until the server has loaded its model. Raises BackendError."""
        polls = self._polls()
        answer = await self.ask(method, path)
        while is_loading(answer) and (pause := next(polls, None)) is not None:
            await anyio.sleep(pause)
            answer = await self.ask(method, path)
        return answer

    async def stream(
        self, path: str, body: object, *, context: int = 0
    ) -> AsyncGenerator[EngineLoading | ServerEvent]:
        """Post `body` and give the events of the answer; leaving it closes the connection.

        A server that loads its model is waited for, which is said once. `context` is what the
        model holds, for the errors that name no numbers.

        Raises:
            BackendError: As it says.

        """
        polls, told = self._polls(), False
        while True:
            async with self._open("POST", path, body) as opened:
                if isinstance(opened, http.Response):
                    async with aclosing(self._events(opened)) as events:
                        async for event in events:
                            yield event
                    return
            pause = next(polls, None) if is_loading(opened) else None
            if pause is None:
                asked = len(json.dumps(body)) // 4
                raise failure(self.service, opened, asked=asked, context=context)
            if not told:
                yield EngineLoading("the server is loading its model")
            told = True
            await anyio.sleep(pause)

    def mismatch(self, reason: str) -> EngineMismatch:
        """Return the error that what answers is no such server."""
        return mismatch(self.service, self._url, reason)

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, body: object
    ) -> AsyncGenerator[http.Response | Answer]:
        """Give the response if its status is 200, else the whole answer, but for 401 and 403."""
        data = None if body is None else json.dumps(body).encode()
        pauses = iter(self.patience.pauses)
        while True:
            endpoint = await self._found()
            try:
                async with http.request(
                    method, endpoint.at(path), key=endpoint.key, body=data, headers=self._headers
                ) as response:
                    self._has_answered = True
                    if response.status == 200:
                        body = self._translated(response.body)
                        yield http.Response(response.status, response.headers, body)
                        return
                    answer = Answer(endpoint.url, response.status, await response.read())
                    wished = _seconds(response.headers.get("retry-after", ""))
            except http.HttpError as error:
                pause = await self._after(endpoint, error, pauses)
            else:
                pause = await self._after_answer(endpoint, answer, pauses)
                if pause is None:
                    yield answer
                    return
                pause = min(max(pause, wished), self.patience.longest)
            await anyio.sleep(pause)

    async def _after(
        self, endpoint: Endpoint, error: http.HttpError, pauses: Iterator[float]
    ) -> float:
        """Return how long to wait before asking again; raise what `error` means if that is vain.

        A server that never answered is not there; one that did may be starting anew, elsewhere.
        """
        unanswered = isinstance(error, http.Dropped) and not error.answered
        is_away = unanswered or isinstance(error, http.Refused)
        if is_away and await self._moved(endpoint, pauses):
            return 0.0
        if unanswered or (isinstance(error, http.Refused) and self._has_answered):
            pause = next(pauses, None)
            if pause is not None:
                return pause
        raise connection_failure(self.service, endpoint.url, error) from None

    async def _after_answer(
        self, endpoint: Endpoint, answer: Answer, pauses: Iterator[float]
    ) -> float | None:
        """Return how long to wait before asking again, or None if this answer is the last."""
        if answer.status in (401, 403):
            if await self._moved(endpoint, pauses):
                return 0.0
            raise failure(self.service, answer)
        if is_passing(answer) and not is_loading(answer):
            return next(pauses, None)
        return None

    def _polls(self) -> Iterator[float]:
        """Give the pauses between questions to a server that loads, as long as there is time."""
        until, pause = anyio.current_time() + self.patience.loading, FIRST_POLL
        while anyio.current_time() < until:
            yield min(pause, self.patience.poll)
            pause *= 2

    async def _found(self) -> Endpoint:
        if self._endpoint is None:
            self._endpoint = await self._locate()
            self._url = self._endpoint.url
        return self._endpoint

    async def _moved(self, endpoint: Endpoint, pauses: Iterator[float]) -> bool:
        """Look for the server anew; tell whether it is elsewhere, or has another key."""
        self._endpoint = None
        return await self._found() != endpoint and next(pauses, None) is not None

    async def _translated(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for data in body:
                yield data
        except http.HttpError as error:
            raise connection_failure(self.service, self._url, error) from None

    async def _events(self, response: http.Response) -> AsyncGenerator[ServerEvent]:
        kind = response.headers.get("content-type", "").partition(";")[0]
        if kind == "application/json":
            yield ServerEvent(WHOLE, (await response.read()).decode(errors="replace"))
            return
        if kind not in READERS:
            raise self.mismatch(f"it answers with {kind or 'no type'}")
        reader = READERS[kind]()
        async for data in response.body:
            for event in reader.feed(data):
                yield event
                if event.data == DONE:
                    return
            if reader.pending > LONGEST_LINE:
                raise self.mismatch("its stream has no lines")
        for event in reader.close():
            yield event


def _seconds(header: str) -> float:
    return float(header) if header.isascii() and header.isdecimal() else 0.0
