"""llama.cpp's HTTP server as a token engine: `POST /completion` with ids in and ids out.

It knows nothing of Harmony, and it starts nothing: `locate` says where the engine is.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

import anyio
import anyio.to_thread

from acp_agent.backends import http
from acp_agent.backends.endpoint import Endpoint, Locate
from acp_agent.backends.llama_wire import (
    EventStream,
    Gap,
    completion_body,
    context_size,
    failure,
    is_loading,
    mismatch,
)
from acp_agent.backends.model_list import models
from acp_agent.backends.utf8_gaps import Gaps
from acp_agent.errors import (
    BackendError,
    EngineFailed,
    EngineMismatch,
    EngineUnauthorized,
    EngineUnavailable,
    NoModel,
    StreamDropped,
)
from acp_agent.ports import (
    Availability,
    EngineEvent,
    EngineLoading,
    EngineNoted,
    ModelInfo,
    Sampling,
    StepEnded,
    Tokens,
)

logger = logging.getLogger(__name__)

LOADING = "the engine is loading its model"
LOAD_SECONDS = 600.0
TELL_SECONDS = 10.0
QUICK_SECONDS = 10.0  # for questions that need no computing
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0


def no_gaps() -> Gaps:
    """Return what fills no gap, for want of a vocabulary."""
    return Gaps({}, lambda _: ())


async def nobody_knows(_: Endpoint) -> str:
    """Return why the engine there has ended: nothing."""
    return ""


def nothing_to_note(_: Endpoint) -> tuple[str, ...]:
    """Return what the user should know of the engine there: nothing."""
    return ()


class LlamaServer:
    """A llama.cpp server, wherever `locate` finds it.

    `gaps` is called in a worker thread when the first character arrives whose tokens the server
    left out; it knows the vocabulary. When an answer breaks off, `why_ended` says why
    the engine has ended, if it has and that is known. `notes` says what the user should know of the
    engine, which is told before every answer. `load_seconds` bounds the wait for the
    weights, which is told every `tell_seconds`.
    """

    name = "llama.cpp"
    supports_grammar = True

    def __init__(
        self,
        locate: Locate,
        *,
        model: str = "",
        gaps: Callable[[], Gaps] = no_gaps,
        why_ended: Callable[[Endpoint], Awaitable[str]] = nobody_knows,
        notes: Callable[[Endpoint], Sequence[str]] = nothing_to_note,
        load_seconds: float = LOAD_SECONDS,
        tell_seconds: float = TELL_SECONDS,
    ) -> None:
        self.default_model = model
        self._locate = locate
        self._make_gaps = gaps
        self._why_ended = why_ended
        self._notes = notes
        self._load_seconds = load_seconds
        self._tell_seconds = tell_seconds
        self._endpoint: Endpoint | None = None
        self._context_size: int | None = None
        self._gaps: Gaps | None = None

    async def is_available(self) -> Availability:
        """Say how the engine is; raises nothing, and may start it if that is what `locate` does."""
        try:
            status, body = await self._get("/props")
        except NoModel as error:
            state = "unavailable" if error.progress is None else "downloading"
            return Availability(state, str(error), error.progress)
        except BackendError as error:
            return Availability("unavailable", str(error))
        if is_loading(status, body):
            return Availability("loading", LOADING)
        if context_size(body) is None:
            return Availability("unavailable", str(await self._no_props()))
        return Availability("ready")

    async def list_models(self) -> Sequence[ModelInfo]:
        """Return what the engine has loaded. Raises BackendError."""
        found = models(await self._get_loaded("/v1/models"))
        if found is None:
            raise mismatch((await self._found()).url, "it lists no models")
        return found

    async def context_size(self) -> int:
        """Return how many tokens one conversation may have; asked once. Raises BackendError."""
        if self._context_size is None:
            size = context_size(await self._get_loaded("/props"))
            if size is None:
                raise await self._no_props()
            self._context_size = size
        return self._context_size

    @asynccontextmanager
    async def stream(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[AsyncIterator[EngineEvent]]:
        """Continue `prompt`; leaving the block closes the connection, which frees the slot."""
        async with aclosing(self._complete(completion_body(prompt, sampling))) as events:
            yield events

    async def prefill(self, prompt: Sequence[int]) -> None:
        """Let the engine read `prompt` into its cache. Raises BackendError."""
        async with self.stream(prompt, Sampling(max_tokens=0)) as events:
            async for _ in events:
                pass

    async def _complete(self, body: bytes) -> AsyncGenerator[EngineEvent]:
        again = True
        while True:
            endpoint = await self._found()
            try:
                async with http.request(
                    "POST", endpoint.at("/completion"), key=endpoint.key, body=body
                ) as response:
                    if response.status == 200:
                        for note in self._notes(endpoint):
                            yield EngineNoted(note)
                        async with aclosing(self._events(endpoint, response)) as events:
                            async for event in events:
                                yield event
                        return
                    answer = await response.read()
                if not is_loading(response.status, answer):
                    raise failure(endpoint.url, response.status, answer)
            except (http.HttpError, EngineUnauthorized) as error:
                again = await self._recover(endpoint, error, again)
                continue
            yield EngineLoading(LOADING)
            async with aclosing(self._loading("/health")) as waiting:
                async for event in waiting:
                    if isinstance(event, EngineLoading):
                        yield event

    async def _events(
        self, endpoint: Endpoint, response: http.Response
    ) -> AsyncGenerator[EngineEvent]:
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise mismatch(endpoint.url, "it answered a completion request with no stream")
        stream = EventStream(endpoint.url)
        async for data in response.body:
            for event in stream.feed(data):
                yield await self._filled(event) if isinstance(event, Gap) else event
                if isinstance(event, StepEnded):
                    return
        seen = StreamDropped("the engine ended its answer without saying that it was done")
        raise await self._cut(endpoint, seen)

    async def _filled(self, gap: Gap) -> Tokens:
        if self._gaps is None:
            self._gaps = await anyio.to_thread.run_sync(self._make_gaps, abandon_on_cancel=True)
        ids = self._gaps.fill(gap.content, gap.last, gap.count)
        if ids is None:
            logger.debug("the engine left out %d tokens that are no text", gap.count - 1)
        return Tokens(ids or (gap.last,))

    async def _get_loaded(self, path: str) -> bytes:
        """Return the answer to a GET as soon as the engine has its model."""
        async with aclosing(self._loading(path)) as events:
            async for event in events:
                if isinstance(event, bytes):
                    return event
        raise AssertionError("it ends with an answer or an error")

    async def _loading(self, path: str) -> AsyncGenerator[EngineLoading | bytes]:
        """Ask until the engine has its model; say now and then how long that takes; answer last."""
        began = anyio.current_time()
        pause, told = FIRST_PAUSE, 0.0
        while True:
            status, body = await self._get(path)
            if not is_loading(status, body):
                yield body
                return
            took = anyio.current_time() - began
            if took > self._load_seconds:
                raise EngineUnavailable(
                    f"the engine was still loading its model after {self._load_seconds:g} s"
                )
            if took - told >= self._tell_seconds:
                told = took
                yield EngineLoading(f"{LOADING}: {took:.0f} s so far")
            await anyio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of a GET that succeeded, or that says `loading`."""
        again = True
        while True:
            endpoint = await self._found()
            try:
                status, body = await _quickly_get(endpoint, path)
                if status == 200 or is_loading(status, body):
                    return status, body
                raise failure(endpoint.url, status, body)
            except (http.HttpError, EngineUnauthorized) as error:
                again = await self._recover(endpoint, error, again)

    async def _no_props(self) -> EngineMismatch:
        return mismatch((await self._found()).url, "its /props name no context size")

    async def _found(self) -> Endpoint:
        if self._endpoint is None:
            self._endpoint = await self._locate()
        return self._endpoint

    async def _recover(self, endpoint: Endpoint, error: Exception, again: bool) -> bool:
        """Look for the engine elsewhere; raise what `error` means where a retry has no chance.

        Nothing is asked twice once an answer has begun, so nothing is ever said twice.
        """
        dropped = isinstance(error, http.Dropped) and not error.answered
        if again and (dropped or isinstance(error, http.Refused | EngineUnauthorized)):
            self._endpoint = self._context_size = None
            if await self._found() != endpoint or dropped:
                return False
        raise await self._cut(endpoint, _meaning(endpoint, error)) from None

    async def _cut(self, endpoint: Endpoint, seen: Exception) -> Exception:
        """Return the error of an answer that broke off: what is known of the end of the engine."""
        if not isinstance(seen, StreamDropped | EngineFailed):
            return seen
        why = await self._why_ended(endpoint)
        if not why:
            return seen
        return type(seen)(
            f"the engine ended before its answer did: {why}; the session goes on: ask again, and"
            " the engine starts anew"
        )


async def _quickly_get(endpoint: Endpoint, path: str) -> tuple[int, bytes]:
    try:
        with anyio.fail_after(QUICK_SECONDS):
            async with http.request("GET", endpoint.at(path), key=endpoint.key) as response:
                return response.status, await response.read()
    except TimeoutError:
        raise EngineUnavailable(
            f"the engine at {endpoint.url} did not answer within {QUICK_SECONDS:g} s"
        ) from None


def _meaning(endpoint: Endpoint, error: Exception) -> Exception:
    match error:
        case http.Refused():
            return EngineUnavailable(
                f"nothing answers at {endpoint.url} ({error}); start the engine there,"
                " or unset GPT_OSS_URL to let acp-agent start one"
            )
        case http.Dropped(answered=True):
            return StreamDropped("the connection to the engine broke off in mid-answer; ask again")
        case http.Dropped():
            return EngineFailed(f"the engine at {endpoint.url} closed the connection unanswered")
        case http.NotHttp():
            return mismatch(endpoint.url, str(error))
        case _:
            return error
