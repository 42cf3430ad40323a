"""Who answers: a model, and how it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from acp_agent.events import Emit
from acp_agent.ports import Chooser, LocalModelBackend


@dataclass(frozen=True, slots=True)
class Voice:
    """A model, and how it is used.

    `label` is put before the first words of every answer; it names weights that are not gpt-oss. A
    small model that `may_ask` can leave a prompt to GPT-OSS by itself.
    """

    model: LocalModelBackend
    label: str = ""
    max_tokens: int | None = None
    temperature: float | None = None
    may_ask: bool = True

    @property
    def chooser(self) -> Chooser | None:
        """What it can be asked by whether it leaves a prompt to GPT-OSS."""
        return self.model.chooser if self.may_ask else None

    @property
    def has_tool(self) -> bool:
        """Whether it is given a tool with every prompt to leave it to GPT-OSS."""
        return self.may_ask and self.model.chooser is None


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

    def stalled(self, why: str) -> None:
        """Remember that it kept a prompt waiting: it counts as away for a while."""
        ...
