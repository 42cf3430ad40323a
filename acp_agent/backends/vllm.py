"""vLLM as a token engine: `POST /v1/completions` with ids in and ids out, one server or a cluster.

It knows nothing of Harmony but the ids that end a message, and it starts nothing. docs/scale-out.md
says how a cluster stands behind one address. Written to vLLM's source of late 2026; it has not been
run against a vLLM.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from acp_agent.backends.api import PAUSES, Answer, Api
from acp_agent.backends.endpoint import Locate
from acp_agent.backends.vllm_wire import EventStream, completion_body, failure, joined, models
from acp_agent.errors import BackendError, ContextOverflow, EngineFailed, StreamDropped
from acp_agent.ports import Availability, EngineEvent, ModelInfo, Sampling


@dataclass(frozen=True, slots=True)
class Affinity:
    """What keeps one agent's requests on the replica that has its prefix in the cache.

    `session` goes into the body as `session_id`, and into the header `header`, where routers look.
    `cache_salt` keeps the cached prefix apart from other users' of the same server; it should be a
    secret of 256 bits.
    """

    session: str
    header: str = "x-session-id"
    cache_salt: str = ""

    def headers(self) -> dict[str, str]:
        """Return what the router reads."""
        return {self.header: self.session} if self.header and self.session else {}

    def fields(self) -> dict[str, object]:
        """Return what the engine reads."""
        named = {"session_id": self.session, "cache_salt": self.cache_salt}
        return {name: value for name, value in named.items() if value}


class VllmServer:
    """A vLLM server, or a router before many of them, wherever `locate` finds it.

    `model` is the name it is served under, the first one if empty. `context` is for routers that
    leave out `max_model_len`; of the two, the smaller counts. `affinity` is one of its own by
    default: all sessions of an agent share a prefix, so they belong together.
    """

    name = "vllm"
    supports_grammar = False  # its grammars match text, and cannot name a control token

    def __init__(
        self,
        locate: Locate,
        *,
        model: str = "",
        context: int | None = None,
        affinity: Affinity | None = None,
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        self.default_model = model
        self._context = context
        self._affinity = affinity or Affinity(f"acp-agent-{secrets.token_hex(8)}")
        self._api = Api(
            "vLLM", "VLLM_BASE_URL", "VLLM_API_KEY", locate, self._affinity.headers(), pauses
        )
        self._served: ModelInfo | None = None

    async def is_available(self) -> Availability:
        """Say whether the model is served now; raises nothing."""
        self._served = None
        try:
            await self._serving()
        except BackendError as error:
            return Availability("unavailable", str(error))
        return Availability("ready")

    async def list_models(self) -> Sequence[ModelInfo]:
        """Return what is served there. Raises BackendError."""
        answer = await self._api.ask("GET", "/v1/models")
        found = models(answer)
        if found is None:
            reason = f"it lists no models (HTTP {answer.status})"
            raise self._api.mismatch(answer.url, reason)
        return [ModelInfo(model, model, size) for model, size in found]

    async def context_size(self) -> int:
        """Return how many tokens one conversation may have; asked once. Raises BackendError."""
        size = (await self._serving()).context_size
        sizes = [size for size in (size, self._context) if size]
        if not sizes:
            raise EngineFailed(
                f"vLLM does not say how much context {self.default_model!r} has; set GPT_OSS_CTX"
            )
        return min(sizes)

    @asynccontextmanager
    async def stream(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[AsyncIterator[EngineEvent]]:
        """Continue `prompt`; leaving the block closes the connection, at which vLLM stops."""
        async with aclosing(self._complete(prompt, sampling)) as events:
            yield events

    async def prefill(self, prompt: Sequence[int]) -> None:
        """Let the engine read `prompt` into its prefix cache. Raises BackendError.

        The least that vLLM generates is one token, which is thrown away.
        """
        async with self.stream(prompt, Sampling(max_tokens=1)) as events:
            async for _ in events:
                pass

    async def _complete(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[EngineEvent]:
        size = await self.context_size()
        room = size - len(prompt)
        if room < 1:
            raise ContextOverflow(len(prompt), size)
        model = (await self._serving()).id
        body = completion_body(model, prompt, sampling, room) | self._affinity.fields()
        async with self._api.open("POST", "/v1/completions", body) as (url, response):
            if response.status != 200:
                answer = Answer(url, response.status, await response.read())
                raise failure(self._api, answer, len(prompt))
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                reason = "it answered a completion request with no stream"
                raise self._api.mismatch(url, reason)
            async with aclosing(self._events(url, response.body)) as events:
                async for event in events:
                    yield event

    async def _events(self, url: str, body: AsyncIterator[bytes]) -> AsyncGenerator[EngineEvent]:
        stream, done = EventStream(self._api, url), False
        async for data in body:
            ids, done = stream.feed(data)
            for event in joined(ids):
                yield event
            if done:
                break
        if stream.finished is None:
            raise StreamDropped("vLLM ended its answer without saying that it was done")
        yield stream.finished

    async def _serving(self) -> ModelInfo:
        """Return the model that answers; asked once."""
        if self._served is None:
            found = await self.list_models()
            wanted = self.default_model or (found[0].id if found else "")
            self._served = next((model for model in found if model.id == wanted), None)
            if self._served is None:
                known = ", ".join(model.id for model in found) or "none"
                raise EngineFailed(f"vLLM serves no model {wanted!r}; it serves: {known}")
            self.default_model = wanted
        return self._served
