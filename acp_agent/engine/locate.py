"""Which engine to use: one that runs, or which weights to start one with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from acp_agent.backends.endpoint import Endpoint
from acp_agent.config import Settings
from acp_agent.engine.models import (
    arriving_model,
    damaged_model,
    find_model,
    installed_model,
    model_directories,
)
from acp_agent.engine.own import with_key
from acp_agent.engine.probe import answers
from acp_agent.errors import EngineUnavailable, NoModel

USUAL = "http://localhost:8000"


@dataclass(frozen=True, slots=True)
class Remote:
    """An engine that runs already; it is used as it is and never stopped, though it be ours."""

    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Local:
    """Weights on the disk, to start an engine of our own with."""

    model: Path


@dataclass(frozen=True, slots=True)
class Nano:
    """The demo weights that come with this package."""


Found = Remote | Local | Nano


def weights(settings: Settings) -> Path | None:
    """Return the user's own gpt-oss weights, which hold the vocabulary too; None without any."""
    if settings.demo or settings.script:
        return None
    if settings.model_path:
        return Path(settings.model_path).expanduser()
    return _on_disk(settings)


def _on_disk(settings: Settings) -> Path | None:
    installed = None if settings.model_dir else installed_model(settings.model)
    return installed or find_model(model_directories(settings.model_dir))


async def find_engine(settings: Settings) -> Found:
    """Return the engine to use.

    What the user named comes first (demo, address, file, directory), then an engine at the usual
    address, then installed weights, then some in the usual directories.

    Raises:
        EngineUnavailable: What was named is not there.
        NoModel: Nothing was named and there is none; the text says what to do.

    """
    if settings.demo:
        return Nano()
    if settings.engine_url:
        return Remote(with_key(Endpoint(settings.engine_url, settings.engine_key)))
    if settings.model_path:
        path = Path(settings.model_path).expanduser()
        if not path.is_file():
            raise EngineUnavailable(f"there is no model file {str(path)!r}")
        return Local(path)
    usual = Endpoint(USUAL, settings.engine_key)
    if not settings.model_dir and await answers(usual):
        return Remote(with_key(usual))
    model = _on_disk(settings)
    if model is None:
        # What is installed is not looked at beside a directory that the user named.
        raise EngineUnavailable(_what_to_do(settings)) if settings.model_dir else _missing(settings)
    return Local(model)


def _missing(settings: Settings) -> NoModel:
    arriving = arriving_model()
    if arriving is None:
        return NoModel(_what_to_do(settings))
    name, progress = arriving
    return NoModel(f"{name} is being installed by another process: {progress:.0%}", progress)


def _what_to_do(settings: Settings) -> str:
    damaged = "" if settings.model_dir else damaged_model()
    if damaged:
        return f"no gpt-oss model is ready: {damaged}"
    directories = model_directories(settings.model_dir)
    places = [*map(str, directories), *([] if settings.model_dir else [f"and at {USUAL}"])]
    return (
        "no gpt-oss model was found: set GPT_OSS_GGUF_MODEL_PATH to a gpt-oss GGUF file, or"
        " GPT_OSS_URL to a running llama.cpp server, or install one with:"
        " acp-agent models install gpt-oss-20b (looked for gpt-oss-*.gguf in"
        f" {', '.join(places)})"
    )
