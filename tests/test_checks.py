"""What stops a start: the settings that would fail at the first prompt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acp_agent.checks import check
from acp_agent.config import Settings
from acp_agent.errors import ConfigError


def complaint(settings: Settings, variables: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        check(settings, variables or {}, at_hand="")
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "variables", "message"),
    [
        (
            Settings(fm_backend="olama:qwen3:4b"),
            {},
            "fm.backend: 'olama:qwen3:4b' is no small model; it",
        ),
        (Settings(fm_backend="smollm3"), {}, "fm.backend: 'smollm3' is no small model; it may be"),
        (Settings(fm_backend="/no/a.gguf"), {}, "fm.backend: '/no/a.gguf' is no file that exists;"),
        (Settings(fm_backend="~nobody/a.gguf"), {}, "fm.backend: '~nobody/a.gguf' is no file"),
        (Settings(fm_backend=__file__), {}, f"fm.backend: {__file__!r} is not a GGUF file;"),
        (Settings(fm_backend="openai_chat:m"), {}, "fm.backend: openai_chat has no address; set"),
        (Settings(fm_backend="apple_fm:big"), {}, "fm.backend: unknown model 'big' of apple_fm"),
        (
            Settings(fm_backend="ollama:m"),
            {"OLLAMA_BASE_URL": "here"},
            "fm.backend: OLLAMA_BASE_URL: 'here' is no address",
        ),
        (
            Settings(fm_backend="lmstudio:m"),
            {"LM_API_TOKEN": "\n"},
            "fm.backend: lmstudio: the key for http://localhost:1234 holds characters",
        ),
        (
            Settings(),
            {"FM_BRIDGE_URL": "http://192.168.1.300:1976"},
            "FM_BRIDGE_URL: 'http://192.168.1.300:1976' is no address of an engine",
        ),
        (
            Settings(),
            {"FM_BRIDGE_URL": "http://me:secret@localhost"},
            "FM_BRIDGE_URL: an engine's address holds a user or a password; give its key instead",
        ),
        (Settings(), {"FM_BRIDGE_URL": "here"}, "FM_BRIDGE_URL: 'here' is no address of an engine"),
        (Settings(model_120b="/no/b.gguf"), {}, "model_120b: there is no file '/no/b.gguf'"),
        (Settings(model_120b="gpt-oss-120b"), {}, "model_120b: unknown provider 'gpt-oss-120b'"),
        (Settings(mode="gptoss_120b"), {}, "mode gptoss_120b is not on offer: set GPT_OSS_120B"),
        (Settings(model="olama:m"), {}, "unknown provider 'olama' in 'olama:m'; known: ollama,"),
        (Settings(script="/no/script"), {}, "cannot read the script /no/script"),
    ],
)
def test_a_model_that_cannot_be_is_named_with_its_setting(
    settings: Settings, variables: dict[str, str], message: str
) -> None:
    assert complaint(settings, variables).startswith(message)


def test_a_directory_is_no_model(tmp_path: Path) -> None:
    settings = Settings(model_120b=str(tmp_path))
    assert complaint(settings) == f"model_120b: there is no file {str(tmp_path)!r}"


@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        (Settings(), {}),
        (Settings(mode="fm"), {}),
        (Settings(demo=True), {"FM_BRIDGE_URL": "not used"}),
        (Settings(fm_backend="smollm2"), {"FM_BRIDGE_URL": "not used"}),
        (Settings(fm_backend="apple_fm"), {}),
        (Settings(fm_backend="openai_chat:m"), {"OPENAI_BASE_URL": "http://localhost:1/v1"}),
        (Settings(model_120b=__file__, mode="gptoss_120b"), {}),
        (Settings(model_120b="vllm:openai/gpt-oss-120b"), {}),
    ],
)
def test_what_can_be_is_let_through(settings: Settings, variables: dict[str, str]) -> None:
    check(settings, variables, at_hand="")


def test_a_broken_rubric_is_named_with_line_and_key_only_where_fm_is_on_offer(
    tmp_path: Path,
) -> None:
    rubric = tmp_path / "rubric.toml"
    rubric.write_text("\nthreshold = 'high'\n")
    settings = Settings(routing_rubric=str(rubric))
    check(settings, {}, at_hand="")
    check(settings._replace(mode="fm", routing_default_if_broken=True), {}, at_hand="")
    for offering in (settings._replace(mode="fm"), settings._replace(demo=True)):
        assert complaint(offering) == (
            f"{rubric}, line 2: threshold: 'high' is not of type 'integer'"
        )


def test_a_broken_rubric_that_the_shipped_one_stands_in_for_is_told(tmp_path: Path) -> None:
    rubric = tmp_path / "rubric.toml"
    rubric.write_text("treshold = 80\n")
    settings = Settings(mode="fm", routing_rubric=str(rubric), routing_default_if_broken=True)
    note = check(settings, {}, at_hand="")
    assert note.startswith(f"{rubric}, line 1: treshold: unknown key")
    assert note.endswith("; going by the shipped rubric")


def test_a_rubric_that_is_not_there_is_named() -> None:
    settings = Settings(mode="fm", routing_rubric="/no/rubric.toml")
    assert re.match("cannot read the rubric /no/rubric.toml: ", complaint(settings))
