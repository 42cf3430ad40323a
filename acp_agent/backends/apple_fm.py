"""Apple's on-device model by Apple's own Python package, each answer on a thread of its own.

The package's stream blocks the event loop it runs on, so it gets a loop in a thread and its
snapshots come over as deltas. Written to the documented interface of apple-fm-sdk 0.2.1: no Mac has
run it yet. Tools are never given to this model, which does not choose among them dependably; what
it must decide, it decides by `choose`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from anyio import from_thread, lowlevel, to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from acp_agent.backends.apple_sdk import Model, Sdk, Session, availability, failure, load_sdk
from acp_agent.backends.choice_schema import Choice, read_choice
from acp_agent.backends.reply import Reply, ReplyStream, whole_step
from acp_agent.conversation import Entry, ModelRequest, ModelStep, UserMessage
from acp_agent.errors import BackendError, EngineUnavailable, StreamDropped
from acp_agent.ports import Availability, Chooser, ModelEvent, ModelInfo, Timings

MODEL = "system"
CONTEXT = 4096  # where the package does not say; tokens in and out
CHARS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class _Ended:
    """The last snapshot has come."""


_Item = str | BackendError | _Ended


@dataclass(frozen=True, slots=True)
class _Loaded:
    sdk: Sdk
    model: Model
    context: int


class AppleFm:
    """The model that macOS has. `load` gives Apple's package; it is called in a worker thread."""

    name = "apple_fm"
    default_model = MODEL

    def __init__(self, load: Callable[[], Sdk] = load_sdk) -> None:
        self._load = load
        self._ready: _Loaded | None = None

    @property
    def chooser(self) -> Chooser:
        return self

    async def is_available(self) -> Availability:
        """Say how the model is; raises nothing."""
        try:
            loaded = await self._loaded()
        except BackendError as error:
            return Availability("unavailable", str(error))
        return await to_thread.run_sync(availability, loaded.model, abandon_on_cancel=True)

    async def list_models(self) -> Sequence[ModelInfo]:
        """Return the one model. Raises EngineUnavailable without Apple's package."""
        return [ModelInfo(MODEL, "Apple's on-device model", await self.context_size())]

    async def context_size(self) -> int:
        """Return the tokens that prompt and answer may have together. Raises EngineUnavailable."""
        return (await self._loaded()).context

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncGenerator[ReplyStream]:
        """Answer `request`; leaving the block abandons the generation at its next snapshot."""
        asked = _Asked.of(await self._usable(), request)
        send, receive = anyio.create_memory_object_stream[_Item](math.inf)
        generation = _Generation(asked, send, lowlevel.current_token())
        threading.Thread(target=generation.run, name="apple_fm", daemon=True).start()
        reply = Reply()
        async with send, receive, aclosing(_events(receive, reply)) as events:
            yield ReplyStream(events, reply)

    async def complete(self, request: ModelRequest) -> ModelStep:
        """Answer `request` in one piece. Raises as `stream` does."""
        return await whole_step(self.stream(request))

    async def count(self, request: ModelRequest) -> None:
        """Return None: only the server knows its tokens."""

    async def prefill(self, request: ModelRequest) -> None:
        """Do nothing: every request has a session of its own."""

    async def choose(self, request: ModelRequest, schema: Mapping[str, object]) -> dict[str, Any]:
        """Answer `request` with an object of `schema`, which macOS does not let the model leave.

        A schema that refers to itself is refused, for it may hang macOS.
        """
        choice = Choice(schema)
        loaded = await self._usable()
        asked = _Asked.of(loaded, request)

        async def respond() -> str:
            content = await asked.session().respond(
                asked.prompt, json_schema=choice.schema, options=asked.options()
            )
            return content.to_json()

        def run() -> str:
            try:
                return anyio.run(respond)
            except loaded.sdk.FoundationModelsError as error:
                raise asked.failure(error) from error

        # Abandoned on cancel: an answer that nobody awaits ends by itself.
        return read_choice(choice, await to_thread.run_sync(run, abandon_on_cancel=True))

    async def _usable(self) -> _Loaded:
        found = await self.is_available()
        if found.state != "ready":
            raise EngineUnavailable(found.reason)
        return await self._loaded()

    async def _loaded(self) -> _Loaded:
        if self._ready is None:
            self._ready = await to_thread.run_sync(self._load_all, abandon_on_cancel=True)
        return self._ready

    def _load_all(self) -> _Loaded:
        sdk = self._load()
        try:
            model = sdk.SystemLanguageModel()
        except sdk.FoundationModelsError as error:
            raise EngineUnavailable(f"Apple's model cannot be had: {error}") from error
        return _Loaded(sdk, model, int(getattr(model, "context_size", CONTEXT)))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request in the package's terms."""

    loaded: _Loaded
    request: ModelRequest
    prompt: str

    @classmethod
    def of(cls, loaded: _Loaded, request: ModelRequest) -> _Asked:
        return cls(loaded, request, prompt_text(request.entries))

    def session(self) -> Session:
        """Return a fresh session: one that lives on gathers what was said until it is full."""
        instructions = self.request.instructions or None
        return self.loaded.sdk.LanguageModelSession(instructions, self.loaded.model)

    def options(self) -> object:
        temperature, limit = self.request.temperature, self.request.max_tokens
        if temperature is None and limit is None:
            return None
        make = self.loaded.sdk.GenerationOptions
        return make(temperature=temperature, maximum_response_tokens=limit)

    def failure(self, error: Exception) -> BackendError:
        size = (len(self.request.instructions) + len(self.prompt)) // CHARS_PER_TOKEN
        return failure(error, prompt_tokens=size, context=self.loaded.context)


class _Generation:
    """One answer, on a thread with an event loop of its own.

    It ends by itself, or at the first snapshot that nobody takes.
    """

    def __init__(
        self, asked: _Asked, send: MemoryObjectSendStream[_Item], token: lowlevel.EventLoopToken
    ) -> None:
        self._asked = asked
        self._send = send
        self._token = token

    def run(self) -> None:
        """Generate to the end; the thread's main function."""
        try:
            if anyio.run(self._generate):
                self._give(_Ended())
        except self._asked.loaded.sdk.FoundationModelsError as error:
            self._give(self._asked.failure(error))
        finally:
            self._tell(self._send.close)

    async def _generate(self) -> bool:
        """Give every snapshot; return whether there was someone to take them all."""
        asked = self._asked
        snapshots = asked.session().stream_response(asked.prompt, asked.options())
        async with aclosing(snapshots):
            async for snapshot in snapshots:
                if not self._give(snapshot):
                    return False
        return True

    def _give(self, item: _Item) -> bool:
        return self._tell(lambda: self._send.send_nowait(item))

    def _tell(self, act: Callable[[], None]) -> bool:
        """Act on the consumer's event loop; return whether the consumer is still there."""
        try:
            from_thread.run_sync(act, token=self._token)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.RunFinishedError):
            return False
        return True


async def _events(
    items: MemoryObjectReceiveStream[_Item], reply: Reply
) -> AsyncGenerator[ModelEvent]:
    said = ""
    async for item in items:
        match item:
            case str(snapshot):
                if not snapshot.startswith(said):
                    reply.repaired("the model changed words that were already shown")
                for event in reply.say(snapshot[len(said) :]):
                    yield event
                said = max(said, snapshot, key=len)
            case BackendError():
                raise item
            case _Ended():
                for event in reply.end("stop", Timings()):
                    yield event
                return
    raise StreamDropped("Apple's model ended its answer without saying that it was done")


def prompt_text(entries: Sequence[Entry]) -> str:
    """Return the conversation as one prompt: what the user said and saw, tools left out."""
    said: list[tuple[str, str]] = []
    for entry in entries:
        match entry:
            case UserMessage():
                said.append(("User", entry.text))
            case ModelStep():
                shown = [m.text for m in entry.messages if _is_shown(m.channel, m.recipient)]
                said += [("Assistant", text) for text in shown if text]
            case _:
                pass
    if len(said) == 1 and said[0][0] == "User":
        return said[0][1]
    return "\n\n".join([*(f"{role}: {text}" for role, text in said), "Assistant:"])


def _is_shown(channel: str, recipient: str | None) -> bool:
    return channel != "analysis" and recipient is None
