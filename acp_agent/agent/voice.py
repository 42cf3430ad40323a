"""Who answers: a model, and how it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from acp_agent.events import Emit
from acp_agent.ports import LocalModelBackend


@dataclass(frozen=True, slots=True)
class Voice:
    """A model, and how it is used.

    `label` is put before the first words of every answer; it names weights that are not gpt-oss.
    """

    model: LocalModelBackend
    label: str = ""
    max_tokens: int | None = None
    temperature: float | None = None


class SmallModel(Protocol):
    """The model that answers light prompts in mode `fm`; it may have to be fetched first."""

    async def open(self, emit: Emit) -> Voice:
        """Return it, and say through `emit` what the user has to wait for.

        Raises:
            BackendError: It cannot be had.

        """
        ...

    async def warm(self) -> Voice | None:
        """Return it, loaded, while the user types; None if it has to be fetched for that.

        Raises:
            BackendError: It cannot be had.

        """
        ...
