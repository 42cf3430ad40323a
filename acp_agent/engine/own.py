"""The engines that we started and that live, by what they left in the runtime directory."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from acp_agent.backends.endpoint import Endpoint
from acp_agent.engine.home import EngineHome, EngineState, engine_homes
from acp_agent.paths import state_dir

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Own:
    """An engine that we started, and that lives."""

    home: EngineHome
    state: EngineState

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.state.url, self.state.key)

    @property
    def port(self) -> int:
        return urlsplit(self.state.url).port or 0

    @contextmanager
    def used(self) -> Generator[None]:
        lease = self.home.lock_soon("users", shared=True)
        try:
            yield
        finally:
            if lease is not None:
                lease.release()


def own_engines() -> list[Own]:
    """Return our engines that live, those started last first."""
    found = [
        Own(home, state)
        for home, state, is_alive in engine_homes()
        if is_alive and state.url and not state.failure
    ]
    return sorted(found, key=lambda own: -own.state.started)


def owned(endpoint: Endpoint) -> Own | None:
    """Return the engine of ours that answers at this address, if one does."""
    address = urlsplit(endpoint.url)
    here = (own for own in own_engines() if own.port == address.port)
    return next(here, None) if address.hostname in LOOPBACK else None


def with_key(endpoint: Endpoint) -> Endpoint:
    """Return the address with its key, where the user gave none and the engine there is ours."""
    own = None if endpoint.key else owned(endpoint)
    return Endpoint(endpoint.url, own.state.key) if own else endpoint


def warnings_of(endpoint: Endpoint) -> tuple[str, ...]:
    """Return what the user should know of the engine there, if it is ours."""
    own = owned(endpoint)
    return own.state.warnings if own else ()


def listed(engines: Iterable[Own]) -> str:
    """Return the engines in one line for people."""
    return ", ".join(f"{Path(own.state.model).name} at {own.state.url}" for own in engines)


def log_of(own: Own) -> Path:
    """Return the file that the engine writes its log to."""
    return Path(own.state.log or state_dir() / f"{own.home.path.name}.log")
