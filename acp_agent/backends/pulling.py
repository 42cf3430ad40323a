"""Providers that download models themselves: who they are, and how one asks them to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from acp_agent.backends.endpoint import Endpoint, Locate, fixed
from acp_agent.errors import ConfigError
from acp_agent.ports import Availability


class Puller(Protocol):
    """Has a provider download models, which it keeps where it likes."""

    def pull(self, model: str) -> AbstractAsyncContextManager[AsyncIterator[Availability]]:
        """Fetch `model`; gives `downloading` with the share that is there, and at last `ready`.

        Raises BackendError, also while iterating.
        """
        ...


def make_puller(provider: str, variables: Mapping[str, str]) -> Puller:
    """Return who downloads for `provider`. Raises ConfigError if it downloads nothing."""
    match provider:
        case "ollama":
            from acp_agent.backends.ollama import OllamaBackend

            url = variables.get("OLLAMA_BASE_URL") or "http://localhost:11434"
            return OllamaBackend(_at(url, variables.get("OLLAMA_API_KEY", "")))
        case "lmstudio":
            from acp_agent.backends.lmstudio_library import LmStudioLibrary

            url = variables.get("LMSTUDIO_BASE_URL") or "http://localhost:1234"
            return LmStudioLibrary(_at(url, variables.get("LM_API_TOKEN", "")))
        case _:
            raise ConfigError(f"{provider} downloads no models; ollama and lmstudio do")


def _at(url: str, key: str) -> Locate:
    return fixed(Endpoint(url.rstrip("/").removesuffix("/v1"), key))
