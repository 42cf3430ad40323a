"""`acp-agent serve --setup`: what an editor runs in a terminal when the user wants a model."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

import anyio

from acp_agent.config import Settings, selects_provider
from acp_agent.engine.locate import Local, Nano, Remote, find_engine
from acp_agent.errors import EngineUnavailable, NoModel
from acp_agent.models.choose import missing_entry
from acp_agent.verbs.models import run_models


def run_setup(settings: Settings) -> int:
    """Install a model unless there is one; 0 if there is one then."""
    if selects_provider(settings):
        return _nothing(f"the model is {settings.model}, which another program serves")
    try:
        found = anyio.run(find_engine, settings)
    except NoModel:
        return _install(settings)
    except EngineUnavailable as error:
        print(f"acp-agent: {error}", file=sys.stderr)
        return 1
    match found:
        case Local(path):
            return _nothing(f"the model is there: {path}")
        case Remote(endpoint):
            return _nothing(f"the engine is the one at {endpoint.url}")
        case Nano():
            return _nothing("the demo weights answer, for --demo was asked for")


def bring_model(settings: Settings, *, can_ask: bool) -> int:
    """Have a model installed before a prompt that needs it; 0 if it can be sent then.

    Raises:
        NoModel: There is none, and nobody to ask.

    """
    try:
        anyio.run(find_engine, settings)
    except NoModel:
        if not can_ask:
            raise
    except EngineUnavailable:
        return 0  # the prompt meets it again, and says so
    else:
        return 0
    with redirect_stdout(sys.stderr):  # stdout is for the answer
        return run_setup(settings)


def _install(settings: Settings) -> int:
    name = missing_entry(settings).name
    print(f"No gpt-oss model is ready on this machine; this installs {name}.\n", file=sys.stderr)
    code = run_models(["install", name])
    if not code and settings.mode == "gptoss_120b" and "120b" not in settings.model:
        print(f"Set GPT_OSS_MODEL={name}: mode gptoss_120b is on offer then.", file=sys.stderr)
    return code


def _nothing(words: str) -> int:
    print(f"Nothing to set up: {words}.", file=sys.stderr)
    return 0
