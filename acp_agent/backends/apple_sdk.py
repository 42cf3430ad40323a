"""Apple's Python package `apple_fm_sdk` (0.2), as much as is used, and what it says made ours.

The package exists for macOS 26 and later only, is not required, and is imported nowhere else.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator, Mapping
from typing import Protocol, cast

from acp_agent.errors import BackendError, ContextOverflow, EngineFailed, EngineUnavailable
from acp_agent.ports import Availability

PACKAGE = "apple_fm_sdk"
MISSING = (
    f"the Python package {PACKAGE!r} is not installed; on a Mac with macOS 26 or later,"
    " install it with: pip install apple-fm-sdk"
)

# By the names of SystemLanguageModelUnavailableReason.
REASONS = {
    "APPLE_INTELLIGENCE_NOT_ENABLED": "Apple Intelligence is off; turn it on in System Settings",
    "DEVICE_NOT_ELIGIBLE": "this Mac cannot run Apple's model",
    "MODEL_NOT_READY": "macOS is still fetching Apple's model; try again later",
}

# By the names of the classes under FoundationModelsError.
FAILURES: Mapping[str, tuple[type[BackendError], str]] = {
    "AssetsUnavailableError": (EngineUnavailable, "its files are not on this Mac yet"),
    "GuardrailViolationError": (EngineFailed, "Apple's safety guardrails stopped the answer"),
    "RefusalError": (EngineFailed, "it refused to answer"),
    "UnsupportedGuideError": (EngineFailed, "it cannot be guided by this schema"),
    "InvalidGenerationSchemaError": (EngineFailed, "it cannot be guided by this schema"),
    "UnsupportedLanguageOrLocaleError": (EngineFailed, "it does not speak this language"),
    "DecodingFailureError": (EngineFailed, "its answer could not be read"),
    "RateLimitedError": (EngineFailed, "macOS lets it answer less often; try again in a while"),
    "ConcurrentRequestsError": (EngineFailed, "it is answering something else; try again"),
}


class Content(Protocol):
    """`GeneratedContent`: an answer that follows a schema."""

    def to_json(self) -> str: ...


class Session(Protocol):
    """`LanguageModelSession`: one conversation, one request at a time."""

    def stream_response(self, prompt: str, options: object = None) -> AsyncGenerator[str]:
        """Give snapshots of the whole answer so far; blocks the event loop between them."""
        ...

    async def respond(
        self, prompt: str, *, json_schema: Mapping[str, object], options: object = None
    ) -> Content: ...


class Model(Protocol):
    """`SystemLanguageModel`; also `context_size`, from 0.2 on."""

    def is_available(self) -> tuple[bool, object]: ...


class Sdk(Protocol):
    """The package."""

    @property
    def FoundationModelsError(self) -> type[Exception]: ...

    def SystemLanguageModel(self) -> Model: ...

    def LanguageModelSession(self, instructions: str | None, model: Model) -> Session: ...

    def GenerationOptions(
        self, *, temperature: float | None, maximum_response_tokens: int | None
    ) -> object: ...


def load_sdk() -> Sdk:
    """Import the package. Raises EngineUnavailable where it is not installed, or not for here."""
    try:
        return cast("Sdk", importlib.import_module(PACKAGE))
    except ImportError as error:
        name = getattr(error, "name", None)
        raise EngineUnavailable(MISSING if name == PACKAGE else f"{MISSING} ({error})") from error


def availability(model: Model) -> Availability:
    """Return how the model is."""
    is_there, reason = model.is_available()
    if is_there:
        return Availability("ready")
    name = str(getattr(reason, "name", reason))
    words = REASONS.get(name, f"macOS says that Apple's model is not available ({name})")
    return Availability("loading" if name == "MODEL_NOT_READY" else "unavailable", words)


def failure(error: Exception, *, prompt_tokens: int, context: int) -> BackendError:
    """Return what an error of the package means; `prompt_tokens` is our estimate."""
    names = [kind.__name__ for kind in type(error).__mro__]
    if "ExceededContextWindowSizeError" in names:
        return ContextOverflow(max(prompt_tokens, context + 1), context)
    kind, words = next(
        (FAILURES[name] for name in names if name in FAILURES), (EngineFailed, "it failed")
    )
    said = str(error)
    return kind(f"Apple's model did not answer: {words}{f' ({said})' if said else ''}")
