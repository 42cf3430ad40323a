"""Where each setting can come from besides its default, and what it must be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from acp_agent.agent.options import APPROVALS, EFFORTS, MODES, values


class Source(NamedTuple):
    """Where a setting can come from, what it must be, and words that stand for a value."""

    variables: tuple[str, ...]
    check: Callable[[Any], bool] = lambda _: True
    must: str = ""
    words: Mapping[str, str | float] = MappingProxyType({})


BROWSER = ("auto", "on", "off")
_HOST = r"(\*|(\*\.)?([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?)"

UNLOADS = {"never": 0.0, "5m": 300.0, "10m": 600.0, "30m": 1800.0, "1h": 3600.0}
FLASH_ATTN = ("auto", "on", "off")
CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "iq4_nl", "q4_1", "q4_0")
SANDBOXES = ("auto", "docker", "bubblewrap", "landlock", "off")
SHELL_SANDBOXES = ("workspace-write", "read-only", "off")
SMALLEST_CONTEXT = 256  # what llama.cpp makes of anything less
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


def _are_hosts(value: Any) -> bool:
    return all(re.fullmatch(_HOST, host) for host in value.lower().replace(",", " ").split())


def _is_context(value: Any) -> bool:
    return value == 0 or SMALLEST_CONTEXT <= value <= LARGEST_CONTEXT


def _is_share(value: Any) -> bool:
    return 0 <= value <= 1


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
    "model_120b": Source(("GPT_OSS_120B_MODEL",)),
    "context": Source(
        ("GPT_OSS_CTX",), _is_context, f"0 or {SMALLEST_CONTEXT} to {LARGEST_CONTEXT}"
    ),
    "batch": Source(("GPT_OSS_BATCH",), *_at_least(0)),
    "ubatch": Source(("GPT_OSS_UBATCH",), *_at_least(0)),
    "parallel": Source(("GPT_OSS_PARALLEL",), *_at_least(1)),
    "port": Source(("GPT_OSS_PORT",), _is_port, "a port number"),
    "threads": Source(("GPT_OSS_THREADS",), *_at_least(0)),
    "threads_batch": Source(("GPT_OSS_THREADS_BATCH",), *_at_least(0)),
    "flash_attn": Source(
        ("GPT_OSS_FLASH_ATTN",), *_one_of(*FLASH_ATTN), words={"1": "on", "0": "off"}
    ),
    "kv_unified": Source(("GPT_OSS_KV_UNIFIED",)),
    "cache_type_k": Source(("GPT_OSS_CACHE_TYPE_K",), *_one_of(*CACHE_TYPES)),
    "cache_type_v": Source(("GPT_OSS_CACHE_TYPE_V",), *_one_of(*CACHE_TYPES)),
    "cache_reuse": Source(("GPT_OSS_CACHE_REUSE",), *_at_least(0)),
    "swa_full": Source(("GPT_OSS_SWA_FULL",)),
    "llama_server": Source(("LLAMA_SERVER",)),
    "load_stall": Source(("ACP_AGENT_LOAD_STALL_SECS",), *_at_least(0)),
    "linger": Source(("ACP_AGENT_ENGINE_LINGER_SECS",), *_at_least(0)),
    "idle_unload": Source(("GPT_OSS_IDLE_UNLOAD_SECS",), *_at_least(0), words=UNLOADS),
    "memory_limit": Source(("ACP_AGENT_MEMORY_LIMIT",), _is_share, "0 to 1"),
    "keepalive": Source(("GPT_OSS_KEEPALIVE_SECS",), *_at_least(0)),
    "keepalive_tokens": Source(("GPT_OSS_KEEPALIVE_MAX_TOKENS",), *_at_least(1)),
    "command_timeout": Source(("ACP_AGENT_COMMAND_TIMEOUT",), *_at_least(1)),
    "browser": Source(("ACP_AGENT_BROWSER",), *_one_of(*BROWSER)),
    "browser_searxng": Source(
        ("ACP_AGENT_SEARXNG_URL",), _is_address, "an http:// or https:// address"
    ),
    "browser_allowed_hosts": Source(
        ("ACP_AGENT_BROWSER_ALLOWED_HOSTS",), _are_hosts, "hosts such as a.org *.b.org, or *"
    ),
    "browser_allow_private": Source(("ACP_AGENT_BROWSER_ALLOW_PRIVATE",)),
    "mcp_timeout": Source(("ACP_AGENT_MCP_TIMEOUT",), *_at_least(1)),
    "mcp_tool_tokens": Source(("ACP_AGENT_MCP_TOOL_TOKENS",), *_at_least(0)),
    "sandbox": Source(("ACP_AGENT_SANDBOX",), *_one_of(*SANDBOXES)),
    "shell_sandbox": Source(("ACP_AGENT_SHELL_SANDBOX",), *_one_of(*SHELL_SANDBOXES)),
    "shell_network": Source(("ACP_AGENT_SHELL_NETWORK",)),
    "python_timeout": Source(("ACP_AGENT_PYTHON_TIMEOUT",), *_at_least(1)),
    "sandbox_image": Source(("ACP_AGENT_SANDBOX_IMAGE",)),
    "fm_backend": Source(("ACP_AGENT_FM_BACKEND",)),
    "fm_max_tokens": Source(("ACP_AGENT_FM_MAX_TOKENS",), *_at_least(1)),
    "fm_temperature": Source(("ACP_AGENT_FM_TEMPERATURE",), *_at_least(0)),
    "routing_rubric": Source(("ACP_AGENT_RUBRIC",)),
    "routing_default_if_broken": Source(("ACP_AGENT_RUBRIC_DEFAULT_IF_BROKEN",)),
    "routing_log_prompts": Source(("ACP_AGENT_LOG_PROMPTS",)),
    "sessions": Source(("ACP_AGENT_SESSIONS",)),
    "record": Source(("ACP_AGENT_RECORD",)),
    "log_level": Source(("ACP_AGENT_LOG",), *_one_of("debug", "info", "warning", "error")),
}
