"""What a prompt meets on a machine without a model: three lines, and the offer to install one.

The user sees a call that asks before it fetches anything, and follows how far it is. Stopping it
keeps what has arrived.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import anyio

from acp_agent.agent.calls import TurnCancelled
from acp_agent.errors import AgentError
from acp_agent.events import Emit, Text, TextDelta, ToolCallStarted, ToolCallUpdated
from acp_agent.ports import Editor, PermissionOption

logger = logging.getLogger(__name__)

NAME = "install_model"
CLEAN_UP_SECONDS = 5
ANSWERS = (
    PermissionOption("install", "Accept the licence and install", "allow_once"),
    PermissionOption("later", "Not now", "reject_once"),
)
INSTALLED, REFUSED = "It is installed.", "Not installed: the user does not want it now."

Tell = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that can be installed; `trouble` says why it cannot be, "" if it can.

    `size` and `licence` are words for the user: `12.1 GB`, `Apache-2.0`; `terms` is the text that
    is accepted, after what there is to know of this machine; `command` what installs it from a
    terminal.
    """

    name: str
    size: str
    licence: str
    terms: str
    command: str
    trouble: str = ""


class Installer(Protocol):
    """What brings the model that is missing."""

    async def offer(self) -> Offer:
        """Say what would be installed; looks at this machine only."""
        ...

    async def install(self, tell: Tell) -> None:
        """Install it; the licence has been accepted. Raises AgentError."""
        ...


class Setup:
    """The offer to one user, and what comes of it."""

    def __init__(self, installer: Installer, editor: Editor) -> None:
        self._installer = installer
        self._editor = editor

    async def run(self, turn_id: str, emit: Emit) -> bool:
        """Say what is missing and offer it; tell whether it is there now. Raises AgentError."""
        offer = await self._installer.offer()
        await emit(TextDelta(f"{turn_id}.setup", _words(offer)))
        if offer.trouble:
            return False
        call_id = f"{turn_id}.install"
        title = f"Install {offer.name} ({offer.size})"
        await emit(ToolCallStarted(call_id, NAME, title, "other"))
        try:
            return await self._ask_and_install(call_id, title, offer, emit)
        except BaseException:
            with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
                await emit(ToolCallUpdated(call_id, status="failed"))
            raise

    async def _ask_and_install(self, call_id: str, title: str, offer: Offer, emit: Emit) -> bool:
        asked = ToolCallUpdated(call_id, title=title, content=(Text(offer.terms),))
        await emit(asked)
        answer = await self._editor.request_permission(asked, ANSWERS)
        logger.info("installing %s: %s", offer.name, answer or "cancelled")
        if answer is None:
            raise TurnCancelled
        if answer != "install":
            told = (Text(REFUSED),)
            await emit(ToolCallUpdated(call_id, status="failed", content=told))
            return False

        async def tell(words: str) -> None:
            await emit(ToolCallUpdated(call_id, content=(Text(words),)))

        await emit(ToolCallUpdated(call_id, status="in_progress"))
        try:
            await self._installer.install(tell)
        except AgentError as error:
            await emit(ToolCallUpdated(call_id, status="failed", content=(Text(str(error)),)))
            return False
        await emit(ToolCallUpdated(call_id, status="completed", content=(Text(INSTALLED),)))
        return True


def _words(offer: Offer) -> str:
    licence = f", licence {offer.licence}" if offer.licence else ""
    here = offer.trouble or (
        f"{offer.name} ({offer.size}{licence}) can be installed: answer the"
        f" question below, or run `{offer.command}` in a terminal."
    )
    return (
        "No gpt-oss model is ready on this machine.  \n"
        f"{here}  \n"
        "If you have one: set GPT_OSS_GGUF_MODEL_PATH to a GGUF file, or GPT_OSS_URL to a llama.cpp"
        " server that runs.\n"
    )
