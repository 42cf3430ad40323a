"""The models of an Ollama: list, facts, pull with progress, load and unload."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from acp_agent.backends import http
from acp_agent.backends.api import Answer, Api, Lines, error_message, json_object
from acp_agent.backends.ollama_wire import ModelFacts
from acp_agent.errors import EngineFailed, StreamDropped
from acp_agent.ports import Availability

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
            raise self._api.mismatch(answer.url, reason)

    async def names(self) -> Sequence[str]:
        """Return the models that are installed. Raises BackendError."""
        answer = await self._api.ask("GET", "/api/tags")
        models = answer.fields().get("models")
        if answer.status != 200 or not isinstance(models, list):
            raise self._api.mismatch(answer.url, f"it lists no models (HTTP {answer.status})")
        entries = [cast("dict[str, Any]", m) for m in cast("list[Any]", models) if _is_object(m)]
        return [str(entry["name"]) for entry in entries if "name" in entry]

    async def facts(self, model: str) -> ModelFacts:
        """Return what is known of a model. Raises BackendError."""
        answer = await self._api.ask("POST", "/api/show", {"model": model})
        if answer.status == 404 and "not found" in error_message(answer.fields()):
            known = ", ".join(await self.names()) or "none"
            raise EngineFailed(
                f"Ollama has no model {model!r}; it has: {known};"
                f" fetch it with: ollama pull {model}"
            )
        if answer.status != 200 or not answer.fields():
            raise self._refused(answer)
        return ModelFacts.of(answer.fields())

    @asynccontextmanager
    async def pull(self, model: str) -> AsyncGenerator[AsyncIterator[Availability]]:
        """Fetch a model; leaving the block stops, and a later pull goes on from there.

        Gives `downloading` with the share of the bytes that are known of, and at last `ready`.
        Raises BackendError.
        """
        body = {"model": model, "stream": True}
        async with self._api.open("POST", "/api/pull", body) as (url, response):
            if response.status != 200:
                raise self._refused(Answer(url, response.status, await response.read()))
            async with aclosing(self._pulled(model, url, response)) as states:
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
        body = {**body, "stream": False}
        async with self._api.open("POST", "/api/generate", body) as (url, response):
            answer = Answer(url, response.status, await response.read())
        if answer.status != 200 or "done" not in answer.fields():
            raise self._refused(answer)

    async def _pulled(
        self, model: str, url: str, response: http.Response
    ) -> AsyncGenerator[Availability]:
        lines, layers = Lines(), _Layers()
        async for data in response.body:
            for line in lines.feed(data):
                fields = json_object(line)
                if fields is None:
                    raise self._api.mismatch(url, "it streams something else than JSON")
                if "error" in fields:
                    raise EngineFailed(f"Ollama cannot pull {model!r}: {error_message(fields)}")
                if fields.get("status") == "success":
                    yield Availability("ready")
                    return
                yield layers.take(fields)
        raise StreamDropped(f"Ollama stopped pulling {model!r} without saying that it was done")

    def _refused(self, answer: Answer) -> Exception:
        message = error_message(answer.fields())
        if not message:
            reason = f"it answered HTTP {answer.status} to a question about its models"
            return self._api.mismatch(answer.url, reason)
        return EngineFailed(f"Ollama refused the request (HTTP {answer.status}): {message}")


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


def _is_object(value: object) -> bool:
    return isinstance(value, dict)
