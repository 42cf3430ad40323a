"""The MCP servers that a client passes with a session, as values; what they hold is never shown.

Arguments, environment, headers and addresses carry keys. `repr` leaves them out, so that neither a
log line nor a traceback can hold one. This is read before the first answer: it imports nothing.
"""

from __future__ import annotations

from typing import NamedTuple


class StdioServer(NamedTuple):
    """A program to start; `env` is laid over the little that it inherits."""

    name: str
    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"StdioServer({self.name!r}, {self.command!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may repeat."""
        return tuple(value for _, value in self.env)


class HttpServer(NamedTuple):
    """An address to ask; `sse` is the older of the two ways to do that."""

    name: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    sse: bool = False

    def __repr__(self) -> str:
        return f"HttpServer({self.name!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may repeat: of `Bearer KEY` also the key alone."""
        values = [value for _, value in self.headers]
        parts = [value.rpartition(" ")[2] for value in values]
        return (self.url, self.url.partition("?")[2], *values, *parts)


ServerConfig = StdioServer | HttpServer
