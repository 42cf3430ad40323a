"""A stand-in for Apple's package `apple_fm_sdk`, by the documentation and source of 0.2.1.

As the real one: snapshots are cumulative, the stream blocks its event loop between them, reasons
are enumeration members, errors are classes under FoundationModelsError. Nobody has compared the two
on a Mac.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum


class Reason(IntEnum):
    """`SystemLanguageModelUnavailableReason`."""

    APPLE_INTELLIGENCE_NOT_ENABLED = 0
    DEVICE_NOT_ELIGIBLE = 1
    MODEL_NOT_READY = 2
    UNKNOWN = 255


class FoundationModelsError(Exception):
    """The base of all."""


class GenerationError(FoundationModelsError):
    """The base of what goes wrong in an answer."""


def failing(name: str, words: str = "") -> GenerationError:
    """Return an error of the class `name`."""
    return type(name, (GenerationError,), {})(words)


@dataclass(frozen=True, slots=True)
class Options:
    """`GenerationOptions`."""

    temperature: float | None
    maximum_response_tokens: int | None


@dataclass
class FakeSdk:
    """The package: what its model says, and what it was asked.

    `snapshots` are given one by one; an exception among them is raised there, and a `queue.Queue`
    is waited for, blocking, as the real one does.
    """

    snapshots: Sequence[str | Exception | queue.Queue[str]] = ()
    chosen: str | Exception = "{}"
    reason: Reason | None = None
    context_size: int | None = 4096
    sessions: list[str | None] = field(default_factory=list[str | None])
    prompts: list[str] = field(default_factory=list[str])
    schemas: list[object] = field(default_factory=list[object])
    options: list[object] = field(default_factory=list[object])
    threads: list[threading.Thread] = field(default_factory=list[threading.Thread])
    closed: threading.Event = field(default_factory=threading.Event)

    FoundationModelsError: type[Exception] = FoundationModelsError
    GenerationOptions: type[Options] = Options

    def SystemLanguageModel(self) -> FakeModel:
        return FakeModel(self) if self.context_size is None else SizedModel(self)

    def LanguageModelSession(self, instructions: str | None, model: object) -> FakeSession:
        self.sessions.append(instructions)
        return FakeSession(self)


@dataclass
class FakeModel:
    """The model of a package before 0.2, which does not tell its size."""

    sdk: FakeSdk

    def is_available(self) -> tuple[bool, Reason | None]:
        return self.sdk.reason is None, self.sdk.reason


class SizedModel(FakeModel):
    """The model of 0.2."""

    @property
    def context_size(self) -> int:
        assert self.sdk.context_size is not None
        return self.sdk.context_size


@dataclass
class FakeSession:
    """One conversation."""

    sdk: FakeSdk

    async def stream_response(self, prompt: str, options: object = None) -> AsyncGenerator[str]:
        self._note(prompt, options)
        try:
            for item in self.sdk.snapshots:
                match item:
                    case str():
                        yield item
                    case Exception():
                        raise item
                    case _:
                        yield item.get()
        finally:
            self.sdk.closed.set()

    async def respond(
        self, prompt: str, *, json_schema: Mapping[str, object], options: object = None
    ) -> FakeContent:
        self._note(prompt, options)
        self.sdk.schemas.append(json_schema)
        if isinstance(self.sdk.chosen, Exception):
            raise self.sdk.chosen
        return FakeContent(self.sdk.chosen)

    def _note(self, prompt: str, options: object) -> None:
        self.sdk.prompts.append(prompt)
        self.sdk.options.append(options)
        self.sdk.threads.append(threading.current_thread())


@dataclass(frozen=True)
class FakeContent:
    """`GeneratedContent`."""

    text: str

    def to_json(self) -> str:
        return self.text
