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
    (tmp_path / "mine.toml").write_text("keepalive = 5\n")
    assert load({}, {"ACP_AGENT_CONFIG": str(tmp_path / "mine.toml")}).keepalive == 5.0


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
    ],
)
def test_a_wrong_value_in_the_file_names_the_setting_and_the_file(
    file: Path, text: str, message: str
) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load({}, {}, file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("GPT_OSS_CTX", "many", "GPT_OSS_CTX: context must be a number, not 'many'"),
        ("GPT_OSS_CTX", "-1", "GPT_OSS_CTX: context must be 0 to 131072, not -1"),
        ("GPT_OSS_URL", "localhost:8000", "GPT_OSS_URL: engine_url must be an http:// or"),
        ("GPT_OSS_URL", "http://", "GPT_OSS_URL: engine_url must be an http:// or"),
        ("GPT_OSS_URL", "http://[::1", "GPT_OSS_URL: engine_url must be an http:// or"),
        ("GPT_OSS_URL", "http://a:99999", "GPT_OSS_URL: engine_url must be an http:// or"),
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
