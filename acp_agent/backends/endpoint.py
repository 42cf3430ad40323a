"""Where an engine answers, and with which key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from acp_agent.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address such as `http://127.0.0.1:8080`; the key never shows in a log.

    Raises:
        ConfigError: No request could be made to this address, or with this key.

    """

    url: str
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        try:
            address = urlsplit(self.url)
            usable = address.scheme in ("http", "https") and address.hostname and address.port != 0
            usable = usable and _is_host(address.hostname or "")
        except ValueError:
            usable = False
        if "@" in self.url:
            # It would stand in every error; whose text is not repeated here either.
            raise ConfigError(
                "an engine's address holds a user or a password; give its key instead"
            )
        if not usable or not self.url.isascii() or not self.url.isprintable():
            usable = False
        if not usable or any(mark in self.url for mark in " ?#"):
            raise ConfigError(
                f"{self.url!r} is no address of an engine; it looks like http://127.0.0.1:8080"
            )
        if not (self.key.isascii() and self.key.isprintable()):
            raise ConfigError(f"the key for {self.url} holds characters that no key can hold")

    def at(self, path: str) -> str:
        """Return the full address of `path`, which begins with a slash."""
        return self.url.rstrip("/") + path


def _is_host(name: str) -> bool:
    """Tell whether a name of figures is an address: 192.168.1.300 is none."""
    figures = name.replace(".", "")
    if not figures.isdecimal():
        return True
    numbers = name.split(".")
    return len(numbers) == 4 and all(int(number) < 256 for number in numbers)


Locate = Callable[[], Awaitable[Endpoint]]
"""Finds the engine, and starts it where that is our business; awaited again when it has gone."""


def fixed(endpoint: Endpoint) -> Locate:
    """Return a `Locate` for an engine that stays where it is."""

    async def locate() -> Endpoint:
        return endpoint

    return locate
