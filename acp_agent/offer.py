"""What a new session is offered: which modes and models there are, and who answers as FM.

It goes by the settings alone and asks nobody, for `session/new` waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from acp_agent.agent import options
from acp_agent.agent.options import MODES, Choice, SessionOptions
from acp_agent.config import Settings, selects_provider
from acp_agent.errors import ConfigError
from acp_agent.paths import user_path

SMOLLM2 = "smollm2"
BRIDGE = "foundation_bridge:"
LARGER = "gpt-oss-120b"
SEARCH_KEYS = ("YDC_API_KEY", "EXA_API_KEY")
ADVICE = {
    "gptoss_20b": "the only model is a 120B; name another by GPT_OSS_MODEL or GPT_OSS_MODEL_PATH,"
    " and the 120B by GPT_OSS_120B_MODEL",
    "gptoss_120b": "set GPT_OSS_120B_MODEL to a selector such as vllm:openai/gpt-oss-120b, or to a"
    " GGUF file",
}


class Model(NamedTuple):
    """A GPT-OSS to choose, the mode in which it answers, and the settings to open it with."""

    choice: Choice
    mode: str
    settings: Settings


def fm_backend(settings: Settings, variables: Mapping[str, str], at_hand: str) -> str:
    """Return what answers as FM: a selector, a GGUF file, or `smollm2`; "" without mode `fm`.

    `at_hand` is the small model that the machine has already, "" without any.
    """
    if settings.fm_backend:
        return settings.fm_backend
    if settings.demo:
        return SMOLLM2
    if variables.get("FM_BRIDGE_URL"):
        return BRIDGE
    return at_hand or (SMOLLM2 if settings.mode == "fm" else "")


def models(settings: Settings) -> tuple[Model, ...]:
    """Return the models to choose from, the one that answers by default first."""
    primary = _primary(settings)
    if not settings.model_120b:
        return (primary,)
    larger = _larger(settings)
    return (primary,) if larger.choice.value == primary.choice.value else (primary, larger)


def offers_browser(settings: Settings, variables: Mapping[str, str]) -> bool:
    """Tell whether the model gets the browser: when asked for, or when something is set up for it.

    What nobody set up sends nothing: without any setting there is no browser.
    """
    if settings.browser != "auto":
        return settings.browser == "on"
    keys = any(variables.get(key) for key in SEARCH_KEYS)
    return keys or bool(settings.browser_searxng or settings.browser_allowed_hosts)


def model_of(settings: Settings, model_id: str) -> Settings:
    """Return the settings with which the model of this id is opened. Raises KeyError."""
    return {model.choice.value: model.settings for model in models(settings)}[model_id]


def session_options(
    settings: Settings, variables: Mapping[str, str], at_hand: str
) -> SessionOptions:
    """Return a new session's options.

    Raises:
        ConfigError: The mode that the user asked for is not on offer; says what to set.

    """
    offered = models(settings)
    names = {model.mode for model in offered}
    if fm_backend(settings, variables, at_hand):
        names.add("fm")
    modes = tuple(mode for mode in MODES if mode.value in names)
    if settings.mode and settings.mode not in names:
        raise ConfigError(f"mode {settings.mode} is not on offer: {ADVICE[settings.mode]}")
    return options.session_options(
        tuple(model.choice for model in offered),
        mode=settings.mode or modes[0].value,
        effort=settings.effort,
        approvals=settings.approvals,
        modes=modes,
        homes={model.choice.value: model.mode for model in offered},
    )


def names_file(model: str) -> bool:
    """Tell whether a model is named by its file, and not by a selector."""
    is_path = model.startswith(("/", "~", "."))
    return is_path or (":" not in model and model.lower().endswith(".gguf"))


def _primary(settings: Settings) -> Model:
    name = settings.model
    if settings.demo:
        nano = Choice("nano", "nano (demo weights, not gpt-oss)", "knows a few dialogues by heart")
        return Model(nano, "gptoss_20b", settings)
    if settings.script:
        scripted = Choice("scripted", "scripted", "plays a script, no model")
        return Model(scripted, "gptoss_20b", settings)
    if not selects_provider(settings) and _is_larger(user_path(settings.model_path).name):
        # The file says what it holds; only a name that the user gave is better.
        name = LARGER if name == Settings().model else name
        return Model(Choice(name, name), "gptoss_120b", settings._replace(model=name))
    return Model(Choice(name, name), "gptoss_120b" if _is_larger(name) else "gptoss_20b", settings)


def _larger(settings: Settings) -> Model:
    model = settings.model_120b
    # Nothing that leads to the first model may lead to this one.
    bare = settings._replace(
        engine_url="", engine_key="", model_path="", model_dir="", port=0, demo=False, script=""
    )
    if names_file(model):
        choice = Choice(LARGER, LARGER, user_path(model).name)
        return Model(choice, "gptoss_120b", bare._replace(model=LARGER, model_path=model))
    selector = model if ":" in model else f"{model}:"
    return Model(Choice(model, model), "gptoss_120b", bare._replace(model=selector))


def _is_larger(name: str) -> bool:
    return "120b" in name.lower()
