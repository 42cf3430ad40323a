"""The events of one streamed answer, each read into parts, up to what ends the answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol, TypeVar

from acp_agent.backends.sse import ServerEvent
from acp_agent.errors import StreamDropped
from acp_agent.ports import EngineLoading

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Reader(Protocol[T_co]):
    """Knows what the events of one kind of server say."""

    @property
    def is_done(self) -> bool:
        """Whether the server has said that the answer is over."""
        ...

    def read(self, event: ServerEvent) -> Sequence[T_co]:
        """Return the parts that the event brings. Raises BackendError."""
        ...

    def close(self) -> Sequence[T_co]:
        """Return what is left when no more events come; it may be the end. Raises BackendError."""
        ...


async def read_parts(
    events: AsyncGenerator[EngineLoading | ServerEvent], reader: Reader[T]
) -> AsyncGenerator[EngineLoading | T]:
    """Give the parts of an answer. Raises BackendError, StreamDropped if it has no end."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, EngineLoading):
                yield event
                continue
            for part in reader.read(event):
                yield part
            if reader.is_done:
                return
    for part in reader.close():
        yield part
    if not reader.is_done:
        raise StreamDropped("the server ended its answer without saying that it was done")
