"""One frozen `Settings`: defaults < settings file < environment < flags.

Read once at the start; nothing else reads the environment. It is a plain table because it is read
before the first answer: a settings library would cost more time than everything else before it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from acp_agent.agent.options import APPROVALS, EFFORTS, MODES, values
from acp_agent.errors import ConfigError
from acp_agent.paths import config_file


class Settings(NamedTuple):
    """Every setting; docs/settings.md names each once, with its sources."""

    mode: str = "gptoss_20b"
    model: str = "gpt-oss-20b"
    effort: str = "medium"
    approvals: str = "ask"
    max_tokens: int = 0
    max_steps: int = 50
    temperature: float = 1.0
    engine_url: str = ""
    engine_key: str = ""
    model_path: str = ""
    model_dir: str = ""
    context: int = 0
    batch: int = 0
    ubatch: int = 0
    parallel: int = 2
    port: int = 0
    keepalive: float = 60.0
    idle_unload: float = 600.0
    command_timeout: float = 120.0
    demo: bool = False
    script: str = ""
    log_level: str = "info"


def selects_provider(settings: Settings) -> bool:
    """Tell whether the model is one of another provider's, such as `ollama:gpt-oss:20b`."""
    return ":" in settings.model and not settings.demo and not settings.script


class Source(NamedTuple):
    """Where a setting can come from besides its default, and what it must be."""

    variables: tuple[str, ...]
    check: Callable[[Any], bool] = lambda _: True
    must: str = ""


LARGEST_CONTEXT = 131_072  # what gpt-oss was trained for

Rule = tuple[Callable[[Any], bool], str]


def _one_of(*names: str) -> Rule:
    return (lambda value: value in names), f"one of {', '.join(names)}"


def _at_least(low: float) -> Rule:
    return (lambda value: value >= low), f"{low:g} or more"


def _is_address(value: Any) -> bool:
    from urllib.parse import urlsplit

    try:
        address = urlsplit(str(value))
        return address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        return False


def _is_context(value: Any) -> bool:
    return 0 <= value <= LARGEST_CONTEXT


def _is_port(value: Any) -> bool:
    return 0 <= value < 65536


SOURCES: dict[str, Source] = {
    "mode": Source(("ACP_AGENT_MODE",), *_one_of(*values(MODES))),
    "model": Source(("GPT_OSS_MODEL",)),
    "effort": Source(("GPT_OSS_REASONING_EFFORT",), *_one_of(*values(EFFORTS))),
    "approvals": Source(("ACP_AGENT_APPROVALS",), *_one_of(*values(APPROVALS))),
    "max_tokens": Source(("GPT_OSS_MAX_TOKENS",), *_at_least(0)),
    "max_steps": Source(("ACP_AGENT_MAX_STEPS",), *_at_least(1)),
    "temperature": Source(("GPT_OSS_TEMPERATURE",), *_at_least(0)),
    "engine_url": Source(
        ("GPT_OSS_URL", "LLAMACPP_URL"),
        _is_address,
        "an http:// or https:// address",
    ),
    "engine_key": Source(("GPT_OSS_API_KEY",)),
    "model_path": Source(("GPT_OSS_GGUF_MODEL_PATH", "GPT_OSS_MODEL_PATH")),
    "model_dir": Source(("GPT_OSS_MODEL_DIR",)),
    "context": Source(("GPT_OSS_CTX",), _is_context, f"0 to {LARGEST_CONTEXT}"),
    "batch": Source(("GPT_OSS_BATCH",), *_at_least(0)),
    "ubatch": Source(("GPT_OSS_UBATCH",), *_at_least(0)),
    "parallel": Source(("GPT_OSS_PARALLEL",), *_at_least(1)),
    "port": Source(("GPT_OSS_PORT",), _is_port, "a port number"),
    "keepalive": Source(("GPT_OSS_KEEPALIVE_SECS",), *_at_least(0)),
    "idle_unload": Source(("GPT_OSS_IDLE_UNLOAD_SECS",), *_at_least(0)),
    "command_timeout": Source(("ACP_AGENT_COMMAND_TIMEOUT",), *_at_least(1)),
    "log_level": Source(("ACP_AGENT_LOG",), *_one_of("debug", "info", "warning", "error")),
}


def load(
    flags: Mapping[str, object], environ: Mapping[str, str] = os.environ, file: Path | None = None
) -> Settings:
    """Merge all sources.

    Raises:
        ConfigError: A value is wrong; the text names the setting and its source.

    """
    named = environ.get("ACP_AGENT_CONFIG")
    path = file or Path(named or config_file())
    if named and not path.exists():
        raise ConfigError(f"ACP_AGENT_CONFIG: there is no file {named!r}")
    values: dict[str, Any] = {}
    for name, value in _read(path).items():
        if name not in SOURCES:
            raise ConfigError(f"unknown setting {name!r} in {path}; known: {', '.join(SOURCES)}")
        values[name] = _checked(name, value, str(path))
    for name, source in SOURCES.items():
        variable = next((v for v in source.variables if environ.get(v)), None)
        if variable is not None:
            values[name] = _checked(name, environ[variable], variable)
    for name, value in flags.items():
        if value is not None:
            values[name] = _checked(name, value, f"--{name.replace('_', '-')}")
    return Settings(**values)


def _read(path: Path) -> dict[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    import tomllib  # 10 ms that most starts do without

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def _checked(name: str, value: object, source: str) -> object:
    kind = KINDS[name]
    try:
        if kind is not str and isinstance(value, str):
            value = kind(value)
        elif kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
    except ValueError:
        raise ConfigError(f"{source}: {name} must be a number, not {value!r}") from None
    if type(value) is not kind:
        raise ConfigError(f"{source}: {name} must be of type {kind.__name__}, not {value!r}")
    rule = SOURCES.get(name)
    if rule and not rule.check(value):
        raise ConfigError(f"{source}: {name} must be {rule.must}, not {value!r}")
    return value


KINDS: dict[str, type[str | int | float | bool]] = {
    name: type(default) for name, default in Settings()._asdict().items()
}
