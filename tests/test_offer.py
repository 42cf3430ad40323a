"""What a session is offered, for every way to configure models."""

from __future__ import annotations

import re

import pytest

from acp_agent.agent.options import SessionOptions
from acp_agent.config import Settings
from acp_agent.errors import ConfigError
from acp_agent.offer import (
    fm_backend,
    model_of,
    names_file,
    offers_browser,
    session_options,
)

BRIDGE = {"FM_BRIDGE_URL": "http://localhost:11435"}
VLLM = "vllm:openai/gpt-oss-120b"
PLAIN = Settings()
BOTH = Settings(model_120b=VLLM)


def offer(settings: Settings, *, at_hand: str = "") -> SessionOptions:
    return session_options(settings, {}, at_hand=at_hand)


def offered(settings: Settings, option_id: str, *, at_hand: str = "") -> list[str]:
    """Return the choices of an option, and first the one that is set."""
    options = offer(settings, at_hand=at_hand)
    [option] = [option for option in options.options if option.id == option_id]
    return [options[option_id], *(choice.value for choice in option.choices)]


@pytest.mark.parametrize(
    ("settings", "variables", "at_hand", "backend"),
    [
        (PLAIN, {}, "", ""),
        (PLAIN, {"FM_BRIDGE_URL": ""}, "", ""),
        (PLAIN, {}, "smollm2", "smollm2"),
        (PLAIN, {}, "apple_fm", "apple_fm"),
        (PLAIN, BRIDGE, "smollm2", "foundation_bridge:"),
        (Settings(mode="fm"), {}, "", "smollm2"),
        (Settings(mode="fm"), BRIDGE, "", "foundation_bridge:"),
        (Settings(demo=True), BRIDGE, "", "smollm2"),
        (Settings(demo=True, fm_backend="ollama:qwen3:4b"), BRIDGE, "", "ollama:qwen3:4b"),
        (Settings(fm_backend="ollama:qwen3:4b"), BRIDGE, "smollm2", "ollama:qwen3:4b"),
    ],
)
def test_who_answers_as_fm(
    settings: Settings, variables: dict[str, str], at_hand: str, backend: str
) -> None:
    assert fm_backend(settings, variables, at_hand=at_hand) == backend
    modes = session_options(settings, variables, at_hand=at_hand).options[0].choices
    assert ("fm" in [mode.value for mode in modes]) is bool(backend)


@pytest.mark.parametrize(
    ("settings", "modes", "models"),
    [
        (PLAIN, ["gptoss_20b", "gptoss_20b"], ["gpt-oss-20b", "gpt-oss-20b"]),
        (
            BOTH,
            ["gptoss_20b", "gptoss_20b", "gptoss_120b"],
            ["gpt-oss-20b", "gpt-oss-20b", VLLM],
        ),
        (
            Settings(model_120b="~/gpt-oss-120b-mxfp4.gguf", mode="gptoss_120b"),
            ["gptoss_120b", "gptoss_20b", "gptoss_120b"],
            ["gpt-oss-120b", "gpt-oss-20b", "gpt-oss-120b"],
        ),
        (
            BOTH._replace(mode="fm"),
            ["fm", "gptoss_20b", "gptoss_120b", "fm"],
            ["gpt-oss-20b", "gpt-oss-20b", VLLM],
        ),
        (Settings(model=VLLM), ["gptoss_120b", "gptoss_120b"], [VLLM, VLLM]),
        (Settings(model=VLLM, model_120b=VLLM), ["gptoss_120b", "gptoss_120b"], [VLLM, VLLM]),
        (
            Settings(model="ollama:gpt-oss:120b", model_120b=VLLM),
            ["gptoss_120b", "gptoss_120b"],
            ["ollama:gpt-oss:120b", "ollama:gpt-oss:120b", VLLM],
        ),
        (
            Settings(model_path="/m/gpt-oss-120b-Q4_0.gguf"),
            ["gptoss_120b", "gptoss_120b"],
            ["gpt-oss-120b", "gpt-oss-120b"],
        ),
        (
            Settings(model_path="/m/GPT-OSS-120B.gguf", model="mine"),
            ["gptoss_120b", "gptoss_120b"],
            ["mine", "mine"],
        ),
        (
            Settings(model_path="/m/120b/gpt-oss-20b.gguf"),
            ["gptoss_20b", "gptoss_20b"],
            ["gpt-oss-20b", "gpt-oss-20b"],
        ),
        (
            Settings(model_path="/m/gpt-oss-120b.gguf", model="ollama:gpt-oss:20b"),
            ["gptoss_20b", "gptoss_20b"],
            ["ollama:gpt-oss:20b", "ollama:gpt-oss:20b"],
        ),
        (
            Settings(model_path="/m/gpt-oss-120b.gguf", demo=True),
            ["gptoss_20b", "gptoss_20b", "fm"],
            ["nano", "nano"],
        ),
        (
            Settings(model="gpt-oss-120b", script="a.txt", mode="gptoss_20b"),
            ["gptoss_20b", "gptoss_20b"],
            ["scripted", "scripted"],
        ),
    ],
)
def test_modes_and_models_on_offer(settings: Settings, modes: list[str], models: list[str]) -> None:
    assert offered(settings, "mode") == modes
    assert offered(settings, "model") == models


def test_the_weights_of_a_small_model_put_fm_on_offer_but_choose_nothing() -> None:
    assert offered(PLAIN, "mode", at_hand="smollm2") == ["gptoss_20b", "gptoss_20b", "fm"]


def test_effort_and_approvals_are_those_of_the_settings() -> None:
    options = offer(Settings(effort="high", approvals="full"))
    assert (options["effort"], options["approvals"]) == ("high", "full")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            Settings(mode="gptoss_120b"),
            "mode gptoss_120b is not on offer: set GPT_OSS_120B_MODEL to a selector such as"
            " vllm:openai/gpt-oss-120b, or to a GGUF file",
        ),
        (
            Settings(mode="gptoss_20b", model=VLLM),
            "mode gptoss_20b is not on offer: the only model is a 120B",
        ),
    ],
)
def test_a_mode_that_is_not_on_offer_is_answered_with_what_to_set(
    settings: Settings, message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        offer(settings)


def test_the_mode_of_a_model_chooses_the_model() -> None:
    options = offer(BOTH)
    options.set("mode", "gptoss_120b")
    assert (options["mode"], options["model"]) == ("gptoss_120b", VLLM)
    options.set("mode", "gptoss_20b")
    assert (options["mode"], options["model"]) == ("gptoss_20b", "gpt-oss-20b")


def test_a_model_chooses_its_mode() -> None:
    options = offer(BOTH)
    options.set("model", VLLM)
    assert (options["mode"], options["model"]) == ("gptoss_120b", VLLM)
    options.set("model", "gpt-oss-20b")
    assert (options["mode"], options["model"]) == ("gptoss_20b", "gpt-oss-20b")


def test_in_fm_the_model_is_free_and_the_mode_stays() -> None:
    options = offer(BOTH._replace(mode="fm"))
    options.set("model", VLLM)
    assert (options["mode"], options["model"]) == ("fm", VLLM)
    options.set("mode", "gptoss_20b")
    options.set("mode", "fm")
    assert (options["mode"], options["model"]) == ("fm", "gpt-oss-20b")


def test_a_mode_with_two_models_keeps_the_one_that_is_chosen() -> None:
    options = offer(Settings(model="ollama:gpt-oss:120b", model_120b=VLLM, fm_backend="smollm2"))
    options.set("model", VLLM)
    options.set("mode", "fm")
    options.set("mode", "gptoss_120b")
    assert (options["mode"], options["model"]) == ("gptoss_120b", VLLM)


def test_a_wrong_choice_changes_nothing() -> None:
    options = offer(BOTH)
    before = dict(options.values)
    with pytest.raises(ValueError, match="gpt-4"):
        options.set("model", "gpt-4")
    with pytest.raises(KeyError, match="colour"):
        options.set("colour", "red")
    assert options.values == before


def test_the_first_model_is_opened_with_the_settings_as_they_are() -> None:
    settings = BOTH._replace(engine_url="http://a:1", engine_key="k", port=9000)
    assert model_of(settings, "gpt-oss-20b") == settings
    demo = Settings(demo=True, model="x:y")
    assert model_of(demo, "nano") == demo


def test_a_first_model_that_is_a_120b_by_its_file_is_named_so() -> None:
    settings = Settings(model_path="/m/gpt-oss-120b.gguf")
    assert model_of(settings, "gpt-oss-120b") == settings._replace(model="gpt-oss-120b")


FIRST = Settings(
    engine_url="http://a:1", engine_key="k", model_path="/a.gguf", model_dir="/m", port=9000
)


@pytest.mark.parametrize("first", [FIRST, Settings(demo=True), Settings(script="a.txt")])
@pytest.mark.parametrize(
    ("larger", "model_id", "model", "model_path"),
    [
        (VLLM, VLLM, VLLM, ""),
        ("lmstudio", "lmstudio", "lmstudio:", ""),
        ("~/big.gguf", "gpt-oss-120b", "gpt-oss-120b", "~/big.gguf"),
    ],
)
def test_the_120b_is_opened_with_nothing_of_the_first_model(
    first: Settings, larger: str, model_id: str, model: str, model_path: str
) -> None:
    settings = first._replace(model_120b=larger, context=8192)
    assert model_of(settings, model_id) == Settings(
        model=model, model_path=model_path, model_120b=larger, context=8192
    )


def test_a_model_that_is_not_on_offer_cannot_be_opened() -> None:
    with pytest.raises(KeyError):
        model_of(PLAIN, "gpt-oss-120b")


@pytest.mark.parametrize(
    ("model", "is_file"),
    [
        ("/m/a", True),
        ("~/a", True),
        ("./a:b", True),
        ("m/a.GGUF", True),
        ("openai_chat:/m/a.gguf", False),
        ("ollama:qwen3:4b", False),
        ("lmstudio", False),
    ],
)
def test_a_model_is_named_by_its_file_or_by_a_selector(model: str, is_file: bool) -> None:
    assert names_file(model) is is_file


@pytest.mark.parametrize(
    ("settings", "variables", "offers"),
    [
        (PLAIN, {}, False),
        (PLAIN, {"EXA_API_KEY": ""}, False),
        (PLAIN, {"EXA_API_KEY": "k"}, True),
        (PLAIN, {"YDC_API_KEY": "k"}, True),
        (Settings(browser_searxng="http://localhost:8888"), {}, True),
        (Settings(browser_allowed_hosts="docs.python.org"), {}, True),
        (Settings(browser_allow_private=True), {}, False),
        (Settings(browser="on"), {}, True),
        (Settings(browser="off", browser_searxng="http://a"), {"EXA_API_KEY": "k"}, False),
    ],
)
def test_the_browser_is_offered_where_it_was_asked_for_or_set_up(
    settings: Settings, variables: dict[str, str], offers: bool
) -> None:
    assert offers_browser(settings, variables) is offers
