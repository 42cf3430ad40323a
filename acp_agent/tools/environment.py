"""The environment of what the model runs: the user's, without the keys that are only ours."""

from __future__ import annotations

from collections.abc import Mapping

# Keys that only this program needs; OPENAI_API_KEY is the user's for other things too.
_SECRETS = frozenset(
    {
        "GPT_OSS_API_KEY",
        "OLLAMA_API_KEY",
        "LM_API_TOKEN",
        "LLAMACPP_API_KEY",
        "VLLM_API_KEY",
        "APFEL_TOKEN",
    }
)


def own_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without our keys."""
    return {name: value for name, value in environ.items() if name not in _SECRETS}
