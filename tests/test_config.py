"""Settings: which source wins, and what a wrong value is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acp_agent.config import SOURCES, Settings, load
from acp_agent.errors import ConfigError

DOCS = Path(__file__).parents[1] / "docs" / "settings.md"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_without_sources_the_defaults_hold(file: Path) -> None:
    assert load({}, {}, file) == Settings()


def test_flags_win_over_the_environment_and_that_over_the_file(file: Path) -> None:
    file.write_text('effort = "low"\nmax_steps = 7\nport = 9000\n')
    environ = {"GPT_OSS_REASONING_EFFORT": "medium", "ACP_AGENT_MAX_STEPS": "8"}
    settings = load({"effort": "high"}, environ, file)
    assert (settings.effort, settings.max_steps, settings.port) == ("high", 8, 9000)


def test_the_documented_variables_are_read_in_their_order(file: Path) -> None:
    both = {"GPT_OSS_URL": "http://a:1", "LLAMACPP_URL": "http://b:2"}
    assert load({}, both, file).engine_url == "http://a:1"
    assert load({}, {"LLAMACPP_URL": "http://b:2"}, file).engine_url == "http://b:2"


def test_an_empty_variable_counts_as_unset(file: Path) -> None:
    assert load({}, {"GPT_OSS_URL": "", "GPT_OSS_CTX": ""}, file) == Settings()


def test_a_file_named_by_the_environment_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("linger = 5\n")
    assert load({}, {"ACP_AGENT_CONFIG": str(tmp_path / "mine.toml")}).linger == 5.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("effrot = 1", "unknown setting 'effrot'"),
        ("effort = 1", "effort must be of type str, not 1"),
        ('effort = "huge"', "effort must be one of low, medium, high, not 'huge'"),
        ("port = 70000", "port must be a port number, not 70000"),
        ("max_steps = 0", "max_steps must be 1 or more, not 0"),
        ("max_steps = 1.5", "max_steps must be of type int, not 1.5"),
        ("max_steps = true", "max_steps must be of type int, not True"),
        ("max_steps = ", "is not TOML"),
        ("routing_log_prompts = 1", "routing_log_prompts must be of type bool, not 1"),
        ("fm.backnd = 'a'", "unknown setting 'fm.backnd'"),
        ("[fm]\nbacknd = 'a'", "known: fm.backend, fm.max_tokens, fm.temperature"),
        ("[model]\nname = 'a'", "known: model.path, model.dir, model.120b"),
        ("[colour]\nred = 1", "unknown setting 'colour'"),
        ("[[fm]]\nbackend = 'a'", "unknown setting 'fm'"),
        ("[mode]\nfm = true", "mode is one value, not a table; write mode = …"),
        ("[fm.backend]\nname = 'a'", "fm.backend is one value, not a table; write fm.backend ="),
        ("[fm]\nmax_tokens = 0", "fm.max_tokens must be 1 or more, not 0"),
        ("fm.temperature = 'hot'", "fm.temperature must be a number, not 'hot'"),
        ("browser = 'yes'", "browser must be one of auto, on, off, not 'yes'"),
        ("browser = true", "browser must be of type str, not True"),
        ("browser.searxng = 'localhost:8888'", "browser.searxng must be an http:// or https://"),
        ("browser.allowed_hosts = 'https://a.org'", "browser.allowed_hosts must be hosts such as"),
        ("browser.allowed_hosts = 'a.org/x'", "must be hosts such as a.org *.b.org, or *, not"),
        ("browser.allowed_hosts = '*a.org'", "must be hosts such as a.org *.b.org, or *, not"),
        ("fm_backend = 'a'\nfm.backend = 'b'", "fm_backend is set twice, by itself"),
        ("fm.backend = 'a'\nfm_backend = 'b'", "fm_backend is set twice, by itself"),
    ],
)
def test_a_wrong_value_in_the_file_names_the_setting_and_the_file(
    file: Path, text: str, message: str
) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load({}, {}, file)
    assert str(file) in str(caught.value)


DOTTED = """
fm.backend = "ollama:qwen3:4b"
model_120b = "b.gguf"
routing_log_prompts = true
"""
TABLES = """
[fm]
backend = "ollama:qwen3:4b"
[model]
120b = "b.gguf"
[routing]
log_prompts = "yes"
"""


@pytest.mark.parametrize("text", [DOTTED, TABLES])
def test_a_table_in_the_file_is_the_beginning_of_names(file: Path, text: str) -> None:
    file.write_text(text)
    assert load({}, {}, file) == Settings(
        fm_backend="ollama:qwen3:4b", model_120b="b.gguf", routing_log_prompts=True
    )


@pytest.mark.parametrize(
    "hosts", ["", "*", "a.org", "A.org, *.b-c.org  localhost:8080", "[::1]:80 10.0.0.1 *.org:1"]
)
def test_hosts_may_be_named_in_many_ways(file: Path, hosts: str) -> None:
    file.write_text(f'browser.allowed_hosts = "{hosts}"')
    assert load({}, {}, file).browser_allowed_hosts == hosts


@pytest.mark.parametrize(
    ("text", "truth"),
    [("1", True), ("true", True), ("YES", True), ("0", False), ("False", False), (" no ", False)],
)
def test_a_variable_says_yes_or_no_in_words(file: Path, text: str, truth: bool) -> None:
    file.write_text("routing_log_prompts = true")
    assert load({}, {"ACP_AGENT_LOG_PROMPTS": text}, file).routing_log_prompts is truth


@pytest.mark.parametrize(
    ("text", "seconds"), [("never", 0.0), ("5m", 300.0), ("1h", 3600.0), ("12", 12.0)]
)
def test_a_time_to_unload_can_be_one_of_the_documented_words(
    file: Path, text: str, seconds: float
) -> None:
    file.write_text(f'idle_unload = "{text}"')
    assert load({}, {}, file).idle_unload == seconds
    assert load({}, {"GPT_OSS_IDLE_UNLOAD_SECS": text}, file).idle_unload == seconds


@pytest.mark.parametrize(("text", "form"), [("1", "on"), ("0", "off"), ("auto", "auto")])
def test_flash_attention_is_set_as_in_the_documents(file: Path, text: str, form: str) -> None:
    assert load({}, {"GPT_OSS_FLASH_ATTN": text}, file).flash_attn == form


def test_no_mode_is_asked_for_by_default(file: Path) -> None:
    assert load({}, {}, file).mode == ""
    assert load({"mode": "fm"}, {"ACP_AGENT_MODE": "gptoss_120b"}, file).mode == "fm"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("GPT_OSS_CTX", "many", "GPT_OSS_CTX: context must be a number, not 'many'"),
        ("GPT_OSS_CTX", "-1", "GPT_OSS_CTX: context must be 0 or 256 to 131072, not -1"),
        ("GPT_OSS_CTX", "1", "GPT_OSS_CTX: context must be 0 or 256 to 131072, not 1"),
        ("GPT_OSS_URL", "localhost:8000", "GPT_OSS_URL: engine_url must be an http:// or"),
        ("GPT_OSS_URL", "http://", "GPT_OSS_URL: engine_url must be an http:// or"),
        ("GPT_OSS_URL", "http://[::1", "GPT_OSS_URL: engine_url must be an http:// or"),
        ("GPT_OSS_URL", "http://a:99999", "GPT_OSS_URL: engine_url must be an http:// or"),
        ("ACP_AGENT_MODE", "fast", "mode must be one of gptoss_20b, gptoss_120b, fm, not 'fast'"),
        (
            "ACP_AGENT_LOG_PROMPTS",
            "maybe",
            "ACP_AGENT_LOG_PROMPTS: routing_log_prompts must be true or false, not 'maybe'",
        ),
        ("ACP_AGENT_RUBRIC_DEFAULT_IF_BROKEN", "2", "must be true or false, not '2'"),
        ("ACP_AGENT_FM_MAX_TOKENS", "0", "ACP_AGENT_FM_MAX_TOKENS: fm_max_tokens must be 1 or"),
        ("ACP_AGENT_FM_TEMPERATURE", "-1", "fm_temperature must be 0 or more, not -1"),
        ("GPT_OSS_FLASH_ATTN", "2", "flash_attn must be one of auto, on, off, not '2'"),
        (
            "GPT_OSS_IDLE_UNLOAD_SECS",
            "2m",
            "idle_unload must be a number, or one of never, 5m, 10m, 30m, 1h, not '2m'",
        ),
        ("ACP_AGENT_MEMORY_LIMIT", "85", "memory_limit must be 0 to 1, not 85.0"),
        ("GPT_OSS_CACHE_TYPE_K", "q2", "cache_type_k must be one of f32, f16, bf16"),
        ("GPT_OSS_KEEPALIVE_SECS", "nan", "GPT_OSS_KEEPALIVE_SECS: keepalive must be 0 or more"),
    ],
)
def test_a_wrong_variable_is_named(file: Path, variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load({}, {variable: value}, file)


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ACP_AGENT_CONFIG: there is no file"):
        load({}, {"ACP_AGENT_CONFIG": str(tmp_path / "gone.toml")})


def test_a_file_that_is_no_text_is_an_error_that_names_it(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=re.escape(str(file))):
        load({}, {}, file)


def test_every_setting_is_documented_once_with_its_variables() -> None:
    rows = {
        name.strip(" `"): line
        for line in DOCS.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
        for name in line.split("|")[1].split(",")
    }
    assert set(rows) == set(SOURCES)
    missing = [
        variable
        for name, source in SOURCES.items()
        for variable in source.variables
        if f"`{variable}`" not in rows[name]
    ]
    assert missing == []
