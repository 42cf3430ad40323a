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

from acp_agent.backends.api import PATIENCE, Api, Patience
from acp_agent.backends.endpoint import Locate
from acp_agent.backends.failures import Service
from acp_agent.backends.model_list import models
from acp_agent.backends.reading import read_parts
from acp_agent.backends.vllm_wire import CompletionReader, completion_body
from acp_agent.errors import BackendError, ContextOverflow, EngineFailed
from acp_agent.ports import Availability, EngineEvent, ModelInfo, Sampling

SERVICE = Service("vLLM", "VLLM_BASE_URL", "VLLM_API_KEY")


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
        patience: Patience = PATIENCE,
    ) -> None:
        self.default_model = model
        self._context = context
        self._affinity = affinity or Affinity(f"acp-agent-{secrets.token_hex(8)}")
        self._api = Api(SERVICE, locate, headers=self._affinity.headers(), patience=patience)
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
        answer = await self._api.ask_loaded("GET", "/v1/models")
        found = models(answer.body) if answer.status == 200 else None
        if found is None:
            raise self._api.mismatch(f"it lists no models (HTTP {answer.status})")
        return found

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
        events = self._api.stream("/v1/completions", body, context=size)
        async with aclosing(read_parts(events, CompletionReader(self._api, size))) as parts:
            async for part in parts:
                yield part

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
