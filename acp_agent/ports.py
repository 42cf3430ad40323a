"""What the core needs from the outside, each as a small Protocol, with the values that cross it.

Adapters do not inherit from these; they only have to fit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from acp_agent.conversation import ModelRequest, ModelStep
from acp_agent.events import ToolCallUpdated

# ---------------------------------------------------------------- a model


@dataclass(frozen=True, slots=True)
class ThoughtPart:
    """More reasoning; `index` counts the messages of this step."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class TextPart:
    """More text for the user; `index` counts the messages of this step."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class CallOpened:
    """The model began a call; its arguments are still coming."""

    call_id: str
    recipient: str


@dataclass(frozen=True, slots=True)
class PromptProgress:
    """How far the engine is with reading the prompt, in tokens."""

    processed: int
    cached: int
    total: int


@dataclass(frozen=True, slots=True)
class EngineLoading:
    """The engine is there but not ready; `text` says what it does."""

    text: str


@dataclass(frozen=True, slots=True)
class EngineNoted:
    """What the user should know of the engine, such as why its context is small."""

    text: str


@dataclass(frozen=True, slots=True)
class Timings:
    """The engine's own figures for one request; tokens and milliseconds."""

    cached_tokens: int = 0
    prompt_tokens: int = 0
    prompt_ms: float = 0.0
    predicted_tokens: int = 0
    predicted_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class StepEnded:
    """The model call is over. `limit`: it ran into `max_tokens` or the end of the context."""

    reason: Literal["stop", "limit"]
    timings: Timings = Timings()


ModelEvent = (
    ThoughtPart | TextPart | CallOpened | PromptProgress | EngineLoading | EngineNoted | StepEnded
)


class ModelStream(Protocol):
    """A model call under way."""

    def __aiter__(self) -> AsyncIterator[ModelEvent]: ...

    def step(self) -> ModelStep:
        """Return what was generated so far, well formed, at any moment, also after an error."""
        ...


@dataclass(frozen=True, slots=True)
class Availability:
    """`ready`, `downloading` (with `progress` in 0..1) or `unavailable` (with a reason)."""

    state: Literal["ready", "loading", "downloading", "unavailable"]
    reason: str = ""
    progress: float | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a backend can answer with; `context_size` in tokens, None if unknown."""

    id: str
    name: str
    context_size: int | None = None


class LocalModelBackend(Protocol):
    """A model on this machine, whatever serves it."""

    @property
    def name(self) -> str: ...

    @property
    def default_model(self) -> str: ...

    @property
    def chooser(self) -> Chooser | None:
        """What lets the model decide by a constrained choice; None: give it a tool for that.

        Tools are given in the request and come back as calls, whether the server knows tools or
        they are written into the prompt.
        """
        ...

    async def is_available(self) -> Availability: ...

    async def list_models(self) -> Sequence[ModelInfo]: ...

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[ModelStream]:
        """Answer `request`; leaving the block abandons the generation.

        Raises:
            BackendError: As it says, on entry or while iterating.

        """
        ...

    async def complete(self, request: ModelRequest) -> ModelStep:
        """Answer `request` in one piece. Raises as `stream` does."""
        ...

    async def prefill(self, request: ModelRequest) -> None:
        """Let the engine read the prompt ahead of time; cancel it at will. May do nothing."""
        ...

    async def context_size(self) -> int:
        """Return how many tokens prompt and answer may have together."""
        ...

    async def count(self, request: ModelRequest) -> int | None:
        """Return how many tokens the prompt of `request` has; None if only the engine knows."""
        ...


class Chooser(Protocol):
    """A model that can be held to a JSON Schema when it has to decide something."""

    async def choose(self, request: ModelRequest, schema: Mapping[str, object]) -> dict[str, Any]:
        """Answer `request`, whose tools are left out, with an object of `schema`.

        A model that likes to talk fills a free string up to `max_tokens`, where the choice is lost.
        Give each one a `maxLength`, and `max_tokens` of one for each of these characters plus 50. A
        model that thinks first needs room for that as well; Apple's model passes over `maxLength`.

        Raises:
            ValueError: The schema refers to itself.
            EngineFailed: The answer is no such object, or was cut.
            BackendError: As `stream` does.

        """
        ...


# ---------------------------------------------------------------- an engine that speaks tokens


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens. The defaults are gpt-oss's own (model card): pure sampling at 1.0."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    max_tokens: int | None = None
    grammar: str | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Ids in the order generated, the terminator included."""

    ids: tuple[int, ...]


EngineEvent = Tokens | PromptProgress | EngineLoading | EngineNoted | StepEnded


class TokenEngine(Protocol):
    """An inference engine that takes token ids and gives token ids."""

    @property
    def name(self) -> str: ...

    @property
    def default_model(self) -> str: ...

    @property
    def supports_grammar(self) -> bool: ...

    async def is_available(self) -> Availability: ...

    async def list_models(self) -> Sequence[ModelInfo]: ...

    async def context_size(self) -> int: ...

    def stream(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AbstractAsyncContextManager[AsyncIterator[EngineEvent]]:
        """Continue `prompt`; leaving the block abandons the request and frees the engine.

        Raises:
            BackendError: As it says, on entry or while iterating.

        """
        ...

    async def prefill(self, prompt: Sequence[int]) -> None:
        """Evaluate `prompt` into the engine's cache and generate nothing."""
        ...


# ---------------------------------------------------------------- the editor


PermissionKind = Literal["allow_once", "allow_always", "reject_once", "reject_always"]


@dataclass(frozen=True, slots=True)
class PermissionOption:
    """One button of the permission question."""

    option_id: str
    name: str
    kind: PermissionKind


@dataclass(frozen=True, slots=True)
class TerminalResult:
    """How a client terminal ended; `output` may be cut at its start (`truncated`)."""

    output: str
    exit_code: int | None
    signal: str | None
    truncated: bool = False


class EditorTerminal(Protocol):
    """A terminal that the client runs and shows."""

    @property
    def terminal_id(self) -> str: ...

    async def wait(self) -> None:
        """Return when the command has ended."""
        ...

    async def result(self) -> TerminalResult: ...

    async def kill(self) -> None: ...


class Editor(Protocol):
    """What the client at the other end offers to one session.

    A method whose flag is False must not be called.
    """

    @property
    def can_read_files(self) -> bool: ...

    @property
    def can_write_files(self) -> bool: ...

    @property
    def has_terminals(self) -> bool: ...

    @property
    def has_panes(self) -> bool:
        """Whether it knows the extension `_openagents/ui_pane`."""
        ...

    async def read_text_file(self, path: str) -> str:
        """Return the whole text of the file as the editor has it, unsaved changes included.

        Raises:
            FileNotFoundError: The client says that there is no such file.
            ToolFailed: The client could not read it.

        """
        ...

    async def write_text_file(self, path: str, content: str) -> None:
        """Replace the file's text through the editor. Raises ToolFailed."""
        ...

    def open_terminal(
        self, command: str, args: Sequence[str], cwd: str, env: Mapping[str, str], output_limit: int
    ) -> AbstractAsyncContextManager[EditorTerminal]:
        """Run a command in a terminal of the client; leaving the block kills and releases it."""
        ...

    async def request_permission(
        self, call: ToolCallUpdated, options: Sequence[PermissionOption]
    ) -> str | None:
        """Ask the user; return the chosen `option_id`, or None when the turn was cancelled."""
        ...

    async def extension(self, method: str, params: dict[str, Any]) -> Any:
        """Ask for something that is no part of ACP; return the result as it is.

        Raises:
            ToolFailed: The client refused, or did not answer in time.

        """
        ...
