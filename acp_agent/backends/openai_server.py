"""A server with an API like OpenAI's: how it is, and which models it has.

Both of its APIs, chat and responses, stand on this; it knows the words of neither.
"""

from __future__ import annotations

from collections.abc import Sequence

from acp_agent.backends.api import Api
from acp_agent.backends.failures import Answer, failure
from acp_agent.backends.health import health
from acp_agent.backends.loose_json import loads
from acp_agent.backends.model_list import context_sizes, models
from acp_agent.errors import BackendError, EngineFailed, EngineUnavailable
from acp_agent.ports import Availability, ModelInfo

NAME = "an OpenAI-compatible server"


class OpenAIServer:
    """The server behind `api`; `context` is what its models hold if it does not say.

    `sizes_path` names a list of context sizes, where it has one besides its models. A `strict` one
    is asked for the model that is wanted before its first use, so that a slip of the pen is named.
    """

    def __init__(
        self, api: Api, *, context: int, sizes_path: str = "", strict: bool = False
    ) -> None:
        self.api = api
        self.context = context
        self._sizes_path = sizes_path
        self._unchecked = strict
        self._first = ""
        self._sizes: dict[str, int] | None = None

    async def availability(self, model: str) -> Availability:
        """Say how the server is; raises nothing. Health comes first, but the models decide."""
        try:
            answer = await self.api.ask("GET", "/health")  # some answer with nothing, or in words
            found = health(answer.status, answer.body)
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
        answer = self._json("/v1/models", await self.api.ask_loaded("GET", "/v1/models"))
        if answer.status != 200:
            raise failure(self.api.service, answer)
        found = models(answer.body)
        if found is None:
            raise self.api.mismatch("it lists no models")
        return found

    async def model(self, wanted: str) -> str:
        """Return `wanted`, or the first model of the server if none is; raises BackendError."""
        if wanted and self._unchecked:
            known = [info.id for info in await self.models()]
            if known and wanted not in known:
                raise EngineFailed(unknown_model(wanted, known))
            self._unchecked = False
        if wanted or self._first:
            return wanted or self._first
        found = await self.models()
        if not found:
            raise EngineUnavailable("the server has no model; install one there")
        self._first = found[0].id
        return self._first

    async def context_size(self, wanted: str) -> int:
        """Return how many tokens a conversation may have; asked once. Raises BackendError."""
        model = await self.model(wanted)
        if self._sizes is None:
            try:
                self._sizes = await self._known_sizes()
            except BackendError:
                return self.context  # asked again when the server is back
        return self._sizes.get(model) or self._sizes.get("") or self.context

    async def _known_sizes(self) -> dict[str, int]:
        if self._sizes_path:
            answer = await self.api.ask("GET", self._sizes_path)
            found = context_sizes(answer.body) if answer.status == 200 else {}
            if found:
                return found
        found = {info.id: info.context_size for info in await self.models() if info.context_size}
        if not found:
            answer = await self.api.ask("GET", "/health")
            size = context_sizes(answer.body).get("") if answer.status == 200 else None
            found = {"": size} if size else {}
        return found

    def _json(self, path: str, answer: Answer) -> Answer:
        if answer.status == 200 and loads(answer.body) is None:
            raise self.api.mismatch(f"its {path} is no JSON")
        return answer


def unknown_model(model: str, known: Sequence[str]) -> str:
    """Return the sentence about a model that the server does not list."""
    return f"unknown model {model!r}; known: {', '.join(known) or 'none'}"
