"""Which engine a user means who looks at one that runs: ours, or another's."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from acp_agent.backends.endpoint import Endpoint
from acp_agent.config import Settings
from acp_agent.engine.home import engine_homes
from acp_agent.engine.locate import USUAL, weights
from acp_agent.engine.obituary import cause
from acp_agent.engine.own import Own, listed, own_engines, owned, with_key
from acp_agent.engine.probe import answers
from acp_agent.errors import EngineUnavailable
from acp_agent.paths import user_path

NONE_RUNS = "no engine runs; start one with `acp-agent engine start`"


@dataclass(frozen=True, slots=True)
class Running:
    """Where an engine answers; `own` is None for one that we have not started."""

    endpoint: Endpoint
    own: Own | None = None

    def used(self) -> AbstractContextManager[None]:
        """Keep one of ours from ending for want of users."""
        return self.own.used() if self.own else nullcontext()


def at(endpoint: Endpoint) -> Running:
    """Return what runs at this address."""
    return Running(with_key(endpoint), owned(endpoint))


async def find_running(settings: Settings) -> Running:
    """Return the engine that the user means: by address, by port, by weights, else the likeliest.

    Raises:
        EngineUnavailable: There is none.

    """
    if settings.engine_url and not settings.demo:
        return at(Endpoint(settings.engine_url, settings.engine_key))
    found = matching(settings)
    if found:
        return Running(found[0].endpoint, found[0])
    if not settings.demo:
        usual = f"http://localhost:{settings.port}" if settings.port else USUAL
        endpoint = Endpoint(usual, settings.engine_key)
        if await answers(endpoint):
            return Running(endpoint)
    others = own_engines()
    if others:
        raise EngineUnavailable(f"no such engine runs; there is {listed(others)}")
    raise EngineUnavailable(f"{NONE_RUNS}{_last_words()}")


def matching(settings: Settings) -> list[Own]:
    """Return our engines that these settings can mean, the likeliest first."""
    found = own_engines()
    if settings.demo:
        return [own for own in found if Path(own.state.model).match("nano-*.gguf")]
    if settings.port:
        found = [own for own in found if own.port == settings.port]
    if settings.model_path:
        path = user_path(settings.model_path).resolve()
        return [own for own in found if Path(own.state.model) == path]
    usual = weights(settings)
    preferred = usual.resolve() if usual else None
    return sorted(found, key=lambda own: Path(own.state.model) != preferred)


def _last_words() -> str:
    """Say why an engine has ended that did not mean to, if one has left that."""
    left = [state for _, state, is_alive in engine_homes() if not is_alive]
    if not left:
        return ""
    last = max(left, key=lambda state: state.started)
    return f" (the last one failed: {cause(last)}; `acp-agent engine logs` shows its log)"
