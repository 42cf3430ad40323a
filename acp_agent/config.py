"""One frozen `Settings`: defaults < settings file < environment < flags.

Read once at the start; nothing else reads the environment. It is a plain table because it is read
before the first answer: a settings library would cost more time than everything else before it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from acp_agent.config_sources import SOURCES
from acp_agent.errors import ConfigError
from acp_agent.paths import config_file, user_path


class Settings(NamedTuple):
    """Every setting; docs/settings.md names each once, with its sources."""

    mode: str = ""
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
    model_120b: str = ""
    context: int = 0
    batch: int = 0
    ubatch: int = 0
    parallel: int = 1
    port: int = 0
    threads: int = 0
    threads_batch: int = 0
    flash_attn: str = "auto"
    kv_unified: bool = True
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    cache_reuse: int = 0
    swa_full: bool = False
    llama_server: str = "auto"
    load_stall: float = 120.0
    linger: float = 60.0
    idle_unload: float = 600.0
    memory_limit: float = 0.85
    keepalive: float = 0.0
    keepalive_tokens: int = 1
    command_timeout: float = 120.0
    browser: str = "auto"
    browser_searxng: str = ""
    browser_allowed_hosts: str = ""
    browser_allow_private: bool = False
    mcp_timeout: float = 120.0
    mcp_tool_tokens: int = 1500
    sandbox: str = "auto"
    shell_sandbox: str = "workspace-write"
    shell_network: bool = False
    python_timeout: float = 120.0
    sandbox_image: str = ""
    fm_backend: str = ""
    fm_max_tokens: int = 200
    fm_temperature: float = 0.15
    routing_rubric: str = ""
    routing_default_if_broken: bool = False
    routing_log_prompts: bool = False
    sessions: bool = True
    record: bool = False
    demo: bool = False
    script: str = ""
    log_level: str = "info"


def selects_provider(settings: Settings) -> bool:
    """Tell whether the model is one of another provider's, such as `ollama:gpt-oss:20b`."""
    return ":" in settings.model and not settings.demo and not settings.script


def rubric_file(settings: Settings) -> Path | None:
    """Return the user's own rubric, which is laid over the shipped one; None without any."""
    return user_path(settings.routing_rubric) if settings.routing_rubric else None


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
    values = _of_file(_read(path), path)
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


def _of_file(table: Mapping[str, object], path: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for written, name, value in _flattened(table):
        if name not in SOURCES:
            known = ", ".join(_known(written))
            raise ConfigError(f"unknown setting {written!r} in {path}; known: {known}")
        if isinstance(value, dict):
            raise ConfigError(f"{path}: {written} is one value, not a table; write {written} = …")
        if name in values:
            raise ConfigError(f"{path}: {name} is set twice, by itself and in a table")
        values[name] = _checked(name, value, str(path), written)
    return values


def _flattened(table: Mapping[str, object]) -> Iterator[tuple[str, str, object]]:
    """Give (name as it was written, setting, value); `fm.backend` is the setting `fm_backend`."""
    for key, value in table.items():
        if isinstance(value, dict) and _members(key):
            inner = cast("dict[str, object]", value)
            yield from ((f"{key}.{name}", f"{key}_{name}", part) for name, part in inner.items())
        else:
            yield key, key, value


def _members(table: str) -> list[str]:
    """Return what can stand in a table of this name."""
    return [name.removeprefix(f"{table}_") for name in SOURCES if name.startswith(f"{table}_")]


def _known(written: str) -> list[str]:
    table, dot, _ = written.partition(".")
    return [f"{table}.{name}" for name in _members(table)] if dot else list(SOURCES)


def _checked(name: str, value: object, source: str, written: str = "") -> object:
    shown = written or name
    kind = KINDS[name]
    rule = SOURCES.get(name)
    if rule and isinstance(value, str):
        value = rule.words.get(value, value)
    try:
        if kind is not str and isinstance(value, str):
            value = _truth(value) if kind is bool else kind(value)
        elif kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
    except ValueError:
        wanted = "true or false" if kind is bool else "a number"
        if rule and rule.words:
            wanted += f", or one of {', '.join(rule.words)}"
        raise ConfigError(f"{source}: {shown} must be {wanted}, not {value!r}") from None
    if type(value) is not kind:
        raise ConfigError(f"{source}: {shown} must be of type {kind.__name__}, not {value!r}")
    if rule and not rule.check(value):
        raise ConfigError(f"{source}: {shown} must be {rule.must}, not {value!r}")
    return value


TRUTHS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _truth(text: str) -> bool:
    try:
        return TRUTHS[text.strip().lower()]
    except KeyError:
        raise ValueError(text) from None


KINDS: dict[str, type[str | int | float | bool]] = {
    name: type(default) for name, default in Settings()._asdict().items()
}
