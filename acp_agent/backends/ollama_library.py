"""The models of an Ollama: list, facts, pull with progress, load and unload."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from acp_agent.backends.api import Api
from acp_agent.backends.failures import error_text, failure
from acp_agent.backends.loose_json import as_object, objects
from acp_agent.backends.ollama_wire import ModelFacts
from acp_agent.errors import EngineFailed, StreamDropped
from acp_agent.ports import Availability, EngineLoading

GREETING = b"Ollama is running"


class OllamaLibrary:
    """What an Ollama has, and how to have more."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def greet(self) -> None:
        """Make sure that it is an Ollama, for apfel uses the same port. Raises BackendError."""
        answer = await self._api.ask("GET", "/")
        if answer.status != 200 or GREETING not in answer.body:
            reason = f"GET / does not say {GREETING.decode()!r} (HTTP {answer.status})"
            raise self._api.mismatch(reason)

    async def names(self) -> Sequence[str]:
        """Return the models that are installed. Raises BackendError."""
        answer = await self._api.ask("GET", "/api/tags")
        listed: object = answer.fields().get("models")
        if answer.status != 200 or not isinstance(listed, list):
            raise self._api.mismatch(f"it lists no models (HTTP {answer.status})")
        return [str(entry["name"]) for entry in objects(cast("object", listed)) if "name" in entry]

    async def facts(self, model: str) -> ModelFacts:
        """Return what is known of a model. Raises BackendError."""
        answer = await self._api.ask("POST", "/api/show", {"model": model})
        if answer.status == 404 and "not found" in error_text(answer.fields()):
            known = ", ".join(await self.names()) or "none"
            raise EngineFailed(
                f"Ollama has no model {model!r}; it has: {known};"
                f" fetch it with: ollama pull {model}"
            )
        if answer.status != 200:
            raise failure(self._api.service, answer)
        if not answer.fields():
            raise self._api.mismatch(f"it tells nothing of {model!r}")
        return ModelFacts.of(answer.fields())

    @asynccontextmanager
    async def pull(self, model: str) -> AsyncGenerator[AsyncIterator[Availability]]:
        """Fetch a model; leaving the block stops, and a later pull goes on from there.

        Gives `downloading` with the share of the bytes that are known of, and at last `ready`.
        Raises BackendError.
        """
        async with aclosing(self._pulled(model)) as states:
            yield states

    async def load(self, model: str, *, context: int, keep_alive: str) -> None:
        """Read the weights into memory, with the context that prompts will have."""
        options = {"num_ctx": context}
        await self._generate({"model": model, "keep_alive": keep_alive, "options": options})

    async def unload(self, model: str) -> None:
        """Let go of the weights. Raises BackendError."""
        await self._generate({"model": model, "keep_alive": 0})

    async def _generate(self, body: dict[str, object]) -> None:
        # Without a prompt it only loads or unloads, and answers when that is done.
        events = self._api.stream("/api/generate", {**body, "stream": False})
        async with aclosing(events):
            async for event in events:
                if not isinstance(event, EngineLoading) and "done" in (as_object(event.data) or {}):
                    return
        raise self._api.mismatch("it does not say that it has done what it was asked")

    async def _pulled(self, model: str) -> AsyncGenerator[Availability]:
        layers = _Layers()
        events = self._api.stream("/api/pull", {"model": model, "stream": True})
        async with aclosing(events):
            async for event in events:
                if isinstance(event, EngineLoading):
                    continue
                fields = as_object(event.data)
                if fields is None:
                    raise self._api.mismatch("it streams something else than JSON")
                if "error" in fields:
                    raise EngineFailed(f"Ollama cannot pull {model!r}: {error_text(fields)}")
                if fields.get("status") == "success":
                    yield Availability("ready")
                    return
                yield layers.take(fields)
        raise StreamDropped(f"Ollama stopped pulling {model!r} without saying that it was done")


@dataclass(slots=True)
class _Layers:
    """How much of each layer has come; progress never goes back when another one is announced."""

    done: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    progress: float = 0.0

    def take(self, fields: dict[str, Any]) -> Availability:
        digest, total = fields.get("digest"), fields.get("total")
        if isinstance(digest, str) and isinstance(total, int) and total > 0:
            self.done[digest] = (int(fields.get("completed") or 0), total)
            completed, size = (sum(column) for column in zip(*self.done.values(), strict=True))
            self.progress = max(self.progress, min(1.0, completed / size))
        return Availability("downloading", str(fields.get("status", "")), self.progress)
