"""The variables that only `acp-agent engine` reads; docs/engine.md names each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from acp_agent.errors import ConfigError

PROMPT = "1+1="
TOKENS = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """What a short question is; 0 is greedy."""

    prompt: str = PROMPT
    max_tokens: int = TOKENS
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class WarmUp:
    """The requests that page a model in; one for each slot at least."""

    asked: Asked
    count: int
    forced: bool  # though the engine runs already


def asked(
    variables: Mapping[str, str],
    prompt: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
) -> Asked:
    """Return the question of `query` and `bench`: what was named, else the variables' values."""
    return Asked(
        prompt or variables.get("GPT_OSS_PROMPT") or PROMPT,
        # An agent's 0 is no limit, which a short question is never without.
        max_tokens or whole(variables, "GPT_OSS_MAX_TOKENS", TOKENS) or TOKENS,
        number(variables, "GPT_OSS_TEMPERATURE", 0.0) if temperature is None else temperature,
    )


def sample(variables: Mapping[str, str]) -> Asked:
    """Return the question of `status`."""
    return Asked(
        variables.get("GPT_OSS_STATUS_PROMPT") or PROMPT,
        whole(variables, "GPT_OSS_STATUS_MAX_TOKENS", TOKENS) or TOKENS,
    )


def warm_up(variables: Mapping[str, str]) -> WarmUp:
    """Return the requests of `warm`."""
    return WarmUp(
        Asked(
            variables.get("GPT_OSS_WARMUP_PROMPT") or "warmup",
            whole(variables, "GPT_OSS_WARMUP_MAX_TOKENS", TOKENS) or TOKENS,
        ),
        whole(variables, "GPT_OSS_WARMUP_COUNT", 2),
        bool(whole(variables, "GPT_OSS_FORCE_WARMUP", 0)),
    )


def pause(variables: Mapping[str, str]) -> float:
    """Return the seconds between two runs of `bench`."""
    return number(variables, "GPT_OSS_SLEEP_SECS", 0.2)


def whole(variables: Mapping[str, str], name: str, default: int) -> int:
    """Return a whole number. Raises ConfigError."""
    text = (variables.get(name) or str(default)).strip()
    if not (text.isascii() and text.isdecimal()):
        raise ConfigError(f"{name} must be a whole number, 0 or more, not {text!r}")
    return int(text)


def number(variables: Mapping[str, str], name: str, default: float) -> float:
    """Return a number, 0 or more. Raises ConfigError."""
    text = variables.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not isfinite(value) or value < 0:
        raise ConfigError(f"{name} must be a number, 0 or more, not {text!r}")
    return value
