"""What would fail at the first prompt, told at the start, where the user still sees it.

It looks at settings and files and asks no server. What a start may do without is imported late: a
selector costs 20 ms, a rubric 0.1 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from acp_agent.config import Settings, rubric_file, selects_provider
from acp_agent.errors import ConfigError
from acp_agent.offer import BRIDGE, SMOLLM2, fm_backend, names_file, session_options
from acp_agent.paths import user_path


def check(settings: Settings, variables: Mapping[str, str], at_hand: str) -> str:
    """Return what the user should know although serving can begin; mostly nothing.

    `at_hand` is the small model that the machine has already.

    Raises:
        ConfigError: It cannot; the text names the setting, or file and line.

    """
    if settings.script:
        from acp_agent.backends.script_text import read_script

        read_script(Path(settings.script))
    if selects_provider(settings):
        _check_selector(settings.model, variables)
    if settings.model_120b:
        _check_larger(settings.model_120b, variables)
    session_options(settings, variables, at_hand)
    small = fm_backend(settings, variables, at_hand)
    if small:
        _check_small(settings, small, variables)
        return _check_rubric(settings)
    return ""


def _check_small(settings: Settings, small: str, variables: Mapping[str, str]) -> None:
    if settings.fm_backend and small != SMOLLM2:
        from acp_agent.backends.select import Selector
        from acp_agent.engine.small import parse_small

        if isinstance(parse_small(small), Selector):
            _check_selector(small, variables, "fm.backend: ")
    elif small == BRIDGE:
        _check_address("FM_BRIDGE_URL", variables["FM_BRIDGE_URL"])


def _check_rubric(settings: Settings) -> str:
    rubric = rubric_file(settings)
    if rubric is None:
        return ""
    from acp_agent.routing.load import load_rubric

    try:
        load_rubric(rubric)
    except ConfigError as error:
        if not settings.routing_default_if_broken:
            raise
        return f"{error}; going by the shipped rubric"
    return ""


def _check_larger(model: str, variables: Mapping[str, str]) -> None:
    if not names_file(model):
        _check_selector(model, variables, "model_120b: ")
    elif not user_path(model).is_file():
        raise ConfigError(f"model_120b: there is no file {model!r}")


def _check_selector(text: str, variables: Mapping[str, str], setting: str = "") -> None:
    from acp_agent.backends.select import PROVIDERS, make_backend, parse_selector

    try:
        selector = parse_selector(text)
        provider = PROVIDERS[selector.provider]
        url = variables.get(provider.url_variable) or provider.url
        if url:
            # The backend would bring its HTTP client along: 50 ms before the first answer.
            name = provider.url_variable if variables.get(provider.url_variable) else ""
            key = variables.get(provider.key_variable, "")
            _check_address(name or selector.provider, url, key)
        else:
            make_backend(selector, variables)
    except ConfigError as error:
        raise ConfigError(f"{setting}{error}") from None


def _check_address(name: str, url: str, key: str = "") -> None:
    from acp_agent.backends.endpoint import Endpoint

    try:
        Endpoint(url, key)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None
