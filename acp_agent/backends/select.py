"""Which backend a selector such as `ollama:gpt-oss:20b` means: `provider:model_id`.

The split is at the first colon, for model ids hold colons themselves. A provider's module is
imported only when it is chosen, for most bring httpx along, which costs 50 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from acp_agent.backends import profiles
from acp_agent.backends.endpoint import Endpoint, Locate, fixed
from acp_agent.errors import ConfigError
from acp_agent.ports import LocalModelBackend


@dataclass(frozen=True, slots=True)
class Selector:
    """A provider, and the model that is wanted of it; "" leaves the choice to the provider."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" if self.model else self.provider


@dataclass(frozen=True, slots=True)
class Provider:
    """How to reach a provider: its usual address, and the variables that name another, or a key.

    `make` takes the model and the context that are wanted, "" and 0 for what is usual there.
    Without a usual address the user has to name one; without a variable it has no address at all.
    """

    make: Callable[[Locate, str, int], LocalModelBackend]
    url: str = ""
    url_variable: str = ""
    key_variable: str = ""


def parse_selector(text: str) -> Selector:
    """Return what `text` selects.

    Raises:
        ConfigError: The provider is unknown; the text names the known ones.

    """
    provider, _, model = (part.strip() for part in text.partition(":"))
    if provider not in PROVIDERS:
        raise ConfigError(
            f"unknown provider {provider!r} in {text!r}; known: {', '.join(PROVIDERS)};"
            " a selector looks like ollama:qwen3:4b"
        )
    return Selector(provider, model)


def make_backend(
    selector: Selector, variables: Mapping[str, str], context: int = 0
) -> LocalModelBackend:
    """Return the backend, its address and key taken from `variables`; nothing is asked yet.

    `context` is how many tokens Ollama and vLLM are to hold; other servers know it themselves.

    Raises:
        ConfigError: The provider is unknown, or its address is missing or none.

    """
    provider = PROVIDERS.get(selector.provider)
    if provider is None:
        return make_backend(parse_selector(str(selector)), variables, context)
    url = variables.get(provider.url_variable) or provider.url
    if provider.url_variable and not url:
        raise ConfigError(f"{selector.provider} has no address; set {provider.url_variable}")
    endpoint = Endpoint(_root(url or NOWHERE), variables.get(provider.key_variable, ""))
    return provider.make(fixed(endpoint), selector.model, context)


async def require_model(backend: LocalModelBackend) -> None:
    """Return if the backend has the model that it was made for.

    Raises:
        ConfigError: It has not; the text names those it has.
        BackendError: It could not be asked.

    """
    if not backend.default_model:
        return
    known = [model.id for model in await backend.list_models()]
    # Ollama takes a name without a tag for its latest.
    if not {backend.default_model, f"{backend.default_model}:latest"} & set(known):
        raise ConfigError(
            f"unknown model {backend.default_model!r} of {backend.name};"
            f" known: {', '.join(known) or 'none'}"
        )


NOWHERE = "http://127.0.0.1"  # for a provider without an address


def _root(url: str) -> str:
    """Return the address without the `/v1` that other programs want at its end."""
    return url.rstrip("/").removesuffix("/v1")


def _chat(profile: profiles.ChatProfile, url: str, variable: str) -> Provider:
    def make(locate: Locate, model: str, _: int) -> LocalModelBackend:
        from acp_agent.backends.openai_chat import openai_chat

        return openai_chat(locate, model=model, profile=profile, url_variable=variable, strict=True)

    return Provider(make, url, variable, profile.key_variable)


def _responses(locate: Locate, model: str, _: int) -> LocalModelBackend:
    from acp_agent.backends.openai_responses import openai_responses

    return openai_responses(
        locate,
        model=model,
        url_variable="OPENAI_BASE_URL",
        key_variable="OPENAI_API_KEY",
        strict=True,
    )


def _ollama(locate: Locate, model: str, context: int) -> LocalModelBackend:
    from acp_agent.backends.ollama import CONTEXT, OllamaBackend

    return OllamaBackend(locate, model=model, context=context or CONTEXT)


def _vllm(locate: Locate, model: str, context: int) -> LocalModelBackend:
    from acp_agent.backends.vllm import VllmServer
    from acp_agent.harmony.model import HarmonyModel

    return HarmonyModel(VllmServer(locate, model=model, context=context or None))


def _apple_fm(_: Locate, model: str, __: int) -> LocalModelBackend:
    from acp_agent.backends.apple_fm import AppleFm

    apple = AppleFm()
    if model not in ("", apple.default_model):
        raise ConfigError(f"unknown model {model!r} of apple_fm; known: {apple.default_model}")
    return apple


PROVIDERS: dict[str, Provider] = {
    "ollama": Provider(_ollama, "http://localhost:11434", "OLLAMA_BASE_URL", "OLLAMA_API_KEY"),
    "lmstudio": _chat(profiles.LM_STUDIO, "http://localhost:1234", "LMSTUDIO_BASE_URL"),
    "llamacpp": _chat(profiles.LLAMA_CPP, "http://localhost:8080", "LLAMACPP_BASE_URL"),
    "vllm": Provider(_vllm, "http://localhost:8000", "VLLM_BASE_URL", "VLLM_API_KEY"),
    "openai_chat": _chat(profiles.OPENAI, "", "OPENAI_BASE_URL"),
    "openai_responses": Provider(_responses, "", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
    "foundation_bridge": _chat(
        profiles.FOUNDATION_BRIDGE, "http://localhost:11435", "FM_BRIDGE_URL"
    ),
    "fm_serve": _chat(profiles.FM_SERVE, "http://127.0.0.1:1976", "FM_SERVE_URL"),
    "apfel": _chat(profiles.APFEL, "http://127.0.0.1:11434", "APFEL_URL"),
    "apple_fm": Provider(_apple_fm),
}
