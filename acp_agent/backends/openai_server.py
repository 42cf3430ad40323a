"""A server with an API like OpenAI's: how it is, what it has, and one streamed POST to it.

Both of its APIs, chat and responses, are spoken over this; it knows the words of neither.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import anyio

from acp_agent.backends import http
from acp_agent.backends.endpoint import Endpoint, Locate
from acp_agent.backends.failures import (
    connection_failure,
    failure,
    is_loading,
    is_passing,
    mismatch,
)
from acp_agent.backends.health import health
from acp_agent.backends.loose_json import loads
from acp_agent.backends.model_list import context_sizes, models
from acp_agent.backends.sse import DONE, EventReader, ServerEvent
from acp_agent.errors import BackendError, EngineUnavailable
from acp_agent.ports import Availability, EngineLoading, ModelInfo

LONGEST_LINE = 16 * 1024 * 1024
QUICK_SECONDS = 10.0  # for questions that need no computing
FIRST_LOOK = 0.02  # seconds; a small model is loaded in a moment
WHOLE = "whole"  # the name of the event that is a whole answer, from a server that did not stream


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a server that is not ready; in seconds.

    `pauses` come before the tries after the first; a server that loads its model gets `loading`,
    asked soon, and then ever more rarely, up to every `poll`.
    """

    pauses: tuple[float, ...] = (0.25, 0.5, 1.0)
    loading: float = 600.0
    poll: float = 0.5
    longest: float = 10.0

    def looks(self) -> Iterator[float]:
        """Give the pauses between looks at a server that loads its model, without end."""
        pause = min(FIRST_LOOK, self.poll)
        while True:
            yield pause
            pause = min(2 * pause, self.poll)


PATIENCE = Patience()


class OpenAIServer:
    """A server, wherever `locate` finds it; `context` is what it holds if it does not say.

    One of `ours` is started by `locate`, so the user is not asked to look after it.
    """

    def __init__(
        self,
        locate: Locate,
        *,
        context: int,
        key_variable: str = "",
        sizes_path: str = "",
        ours: bool = False,
        patience: Patience = PATIENCE,
    ) -> None:
        self._locate = locate
        self._endpoint: Endpoint | None = None
        self._context = context
        self._key_variable = key_variable
        self._sizes_path = sizes_path
        self._ours = ours
        self._patience = patience
        self._answered = False
        self._first = ""
        self._sizes: dict[str, int] | None = None

    async def availability(self, model: str) -> Availability:
        """Say how the server is; raises nothing. Health comes first, but the models decide."""
        try:
            status, body = await self._get("/health")
            found = health(status, body)
            if found is not None and found.state != "ready":
                return found
            known = [info.id for info in await self.models()]
        except BackendError as error:
            return Availability("unavailable", str(error))
        if model and model not in known:
            return Availability("unavailable", unknown_model(model, known))
        if not known:
            return Availability("unavailable", "the server has no model; install one there")
        return Availability("ready")

    async def models(self) -> Sequence[ModelInfo]:
        """Return what the server lists, once it has loaded its model. Raises BackendError."""
        until, looks = anyio.current_time() + self._patience.loading, self._patience.looks()
        status, body = await self._get("/v1/models")
        while is_loading(status, body) and anyio.current_time() < until:
            await anyio.sleep(next(looks))
            status, body = await self._get("/v1/models")
        if status != 200:
            raise self._failure(await self._found(), status, body)
        found = models(body)
        if found is None:
            raise self.mismatch("it lists no models")
        return found

    async def model(self, wanted: str) -> str:
        """Return `wanted`, or the first model of the server if none is; raises BackendError."""
        if wanted or self._first:
            return wanted or self._first
        found = await self.models()
        if not found:
            raise EngineUnavailable("the server has no model; install one there")
        self._first = found[0].id
        return self._first

    async def context_size(self, model: str) -> int:
        """Return how many tokens a conversation may have; asked once, and never an error."""
        if self._sizes is None:
            try:
                self._sizes = await self._known_sizes()
            except BackendError:
                return self._context  # asked again when the server is back
        return self._sizes.get(model) or self._sizes.get("") or self._context

    def mismatch(self, reason: str) -> BackendError:
        """Return the error that what answers is no such server."""
        url = self._endpoint.url if self._endpoint else "the address"
        return mismatch(url, reason, ours=self._ours)

    async def post(
        self, path: str, body: Mapping[str, object]
    ) -> AsyncGenerator[EngineLoading | ServerEvent]:
        """Ask for a stream, and give its events; leaving it closes the connection.

        It is asked again only before the first byte of an answer, and only where that may help.

        Raises:
            BackendError: As it says.

        """
        data = json.dumps(body).encode()
        pauses, looks = iter(self._patience.pauses), self._patience.looks()
        until, told = anyio.current_time() + self._patience.loading, False
        while True:
            endpoint = await self._found()
            try:
                async with http.request(
                    "POST", endpoint.at(path), key=endpoint.key, body=data
                ) as response:
                    self._answered = True
                    if response.status == 200:
                        async with aclosing(self._events(response)) as events:
                            async for event in events:
                                yield event
                        return
                    status, answer = response.status, await response.read()
                    asked_pause = _seconds(response.headers.get("retry-after", ""))
            except http.HttpError as error:
                pause = await self._recover(endpoint, error, pauses)
            else:
                if status in (401, 403) and await self._moved(endpoint, pauses):
                    continue
                if is_loading(status, answer) and anyio.current_time() < until:
                    if not told:
                        yield EngineLoading("the server is loading its model")
                    told, pause = True, next(looks)
                else:
                    pause = next(pauses, None) if is_passing(status, answer) else None
                    if pause is None:
                        raise self._failure(endpoint, status, answer, len(data) // 4)
                    pause = min(max(pause, asked_pause), self._patience.longest)
            await anyio.sleep(pause)

    async def _known_sizes(self) -> dict[str, int]:
        if self._sizes_path:
            status, body = await self._get(self._sizes_path)
            found = context_sizes(body) if status == 200 else {}
            if found:
                return found
        found = {info.id: info.context_size for info in await self.models() if info.context_size}
        if not found:
            status, body = await self._get("/health")
            size = context_sizes(body).get("") if status == 200 else None
            found = {"": size} if size else {}
        return found

    async def _get(self, path: str) -> tuple[int, bytes]:
        pauses = iter(self._patience.pauses)
        while True:
            endpoint = await self._found()
            try:
                status, body = await _quickly_get(endpoint, path)
                if status not in (401, 403) or not await self._moved(endpoint, pauses):
                    break
            except http.HttpError as error:
                await anyio.sleep(await self._recover(endpoint, error, pauses))
        self._answered = True
        if status in (401, 403):
            raise self._failure(endpoint, status, body)
        if status == 200 and loads(body) is None:
            raise self.mismatch(f"its {path} is no JSON")
        return status, body

    async def _found(self) -> Endpoint:
        if self._endpoint is None:
            self._endpoint = await self._locate()
        return self._endpoint

    async def _recover(
        self, endpoint: Endpoint, error: http.HttpError, pauses: Iterator[float]
    ) -> float:
        """Return how long to wait before asking again; raise what `error` means if that is vain.

        A server that never answered is not there; one that did may be starting anew, elsewhere. An
        engine of ours that ended under a request is started again for it.
        """
        ended = self._ours and isinstance(error, http.Dropped) and not error.answered
        if ended and await self._moved(endpoint, pauses):
            return 0.0
        if isinstance(error, http.Refused):
            if await self._moved(endpoint, pauses):
                return 0.0
            pause = next(pauses, None)
            if self._answered and pause is not None:
                return pause
        raise connection_failure(endpoint, error, ours=self._ours) from None

    async def _moved(self, endpoint: Endpoint, pauses: Iterator[float]) -> bool:
        """Look for the server anew; tell whether it is elsewhere, or has another key."""
        self._endpoint = None
        return await self._found() != endpoint and next(pauses, None) is not None

    def _failure(
        self, endpoint: Endpoint, status: int, body: bytes, asked: int = 0
    ) -> BackendError:
        return failure(
            endpoint,
            status,
            body,
            asked=asked,
            context=self._context,
            key_variable=self._key_variable,
            ours=self._ours,
        )

    async def _events(self, response: http.Response) -> AsyncGenerator[ServerEvent]:
        kind = response.headers.get("content-type", "")
        if kind.startswith("application/json"):
            yield ServerEvent(WHOLE, (await response.read()).decode(errors="replace"))
            return
        if not kind.startswith("text/event-stream"):
            raise self.mismatch(f"it answers with {kind.partition(';')[0] or 'no type'}")
        reader = EventReader()
        async for data in response.body:
            for event in reader.feed(data):
                yield event
                if event.data == DONE:
                    return
            if reader.pending > LONGEST_LINE:
                raise self.mismatch("its stream has no lines")
        for event in reader.close():
            yield event


async def _quickly_get(endpoint: Endpoint, path: str) -> tuple[int, bytes]:
    try:
        with anyio.fail_after(QUICK_SECONDS):
            async with http.request("GET", endpoint.at(path), key=endpoint.key) as response:
                return response.status, await response.read()
    except TimeoutError:
        raise EngineUnavailable(
            f"the server at {endpoint.url} did not answer within {QUICK_SECONDS:g} s"
        ) from None


def unknown_model(model: str, known: Sequence[str]) -> str:
    """Return the sentence about a model that the server does not list."""
    return f"unknown model {model!r}; known: {', '.join(known) or 'none'}"


def _seconds(header: str) -> float:
    return float(header) if header.isascii() and header.isdecimal() else 0.0
