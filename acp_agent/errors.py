"""Everything that can go wrong, by audience: the editor, the model, the log.

AgentError
├── RpcError            goes to the editor as a JSON-RPC error
├── ToolFailed          goes to the model as the tool's message; the run goes on
├── NotReady            a tool waits for something that takes long; goes to the user
├── ConfigError         goes to the user, before anything runs
├── VocabularyError     no usable o200k_harmony vocabulary
└── BackendError        a model could not answer
    ├── EngineUnavailable   nothing listens, or nothing can be started
    │   └── NoModel         no gpt-oss is on this machine
    ├── EngineUnauthorized  the engine wants another key
    ├── EngineMismatch      something else than the expected engine answered
    ├── EngineFailed        the engine refused or broke off a request
    ├── StreamDropped       the connection ended in mid-stream
    └── ContextOverflow     the prompt is larger than the model's context
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REQUEST_CANCELLED = -32800
RESOURCE_NOT_FOUND = -32002


class AgentError(Exception):
    """Base of all errors that this package raises on purpose."""


class RpcError(AgentError):
    """A JSON-RPC error object: `code`, a one-line `message`, optional `data`."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class ToolFailed(AgentError):
    """A tool could not do its work; the text is for the model, which may try again."""


class NotReady(AgentError):
    """A tool needs something first that takes long, such as an image that is not built yet.

    The text is shown to the user meanwhile; after `get` the call is prepared again.
    """

    def __init__(self, message: str, get: Callable[[], Awaitable[object]]) -> None:
        super().__init__(message)
        self.get = get


class ConfigError(AgentError):
    """A setting is wrong; the text names the setting and where it came from."""


class VocabularyError(AgentError):
    """No file holds the o200k_harmony ranks with the right digest."""


class BackendError(AgentError):
    """A model could not answer; the text is for the user."""


class EngineUnavailable(BackendError):
    """Nothing listens at the address, or nothing is installed to start."""


class NoModel(EngineUnavailable):
    """No gpt-oss is on this machine, and no server was named; it can be installed.

    `progress` (0 to 1) is how far another process is that installs one; None if none does.
    """

    def __init__(self, message: str, progress: float | None = None) -> None:
        super().__init__(message)
        self.progress = progress


class EngineUnauthorized(BackendError):
    """The engine answered 401 or 403."""


class EngineMismatch(BackendError):
    """What listens at the address is not the engine that was expected."""


class EngineFailed(BackendError):
    """The engine refused the request or failed while it worked on it."""


class StreamDropped(BackendError):
    """The connection ended before the engine said that it was done."""


class ContextOverflow(BackendError):
    """The prompt needs `prompt_tokens`, the engine holds `context_size`, the answer among it."""

    def __init__(self, prompt_tokens: int, context_size: int, answer_tokens: int = 0) -> None:
        kept = f", {answer_tokens} of them for the answer" if answer_tokens else ""
        super().__init__(
            f"the conversation has {prompt_tokens} tokens, the model's context holds"
            f" {context_size}{kept}; send a shorter message, start a new session, or give the"
            " engine more context (GPT_OSS_CTX)"
        )
        self.prompt_tokens = prompt_tokens
        self.context_size = context_size
