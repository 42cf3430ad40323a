"""The turns of `agent_process`, chosen by the first word of the prompt."""

from __future__ import annotations

import anyio

from acp_agent.conversation import UserMessage
from acp_agent.events import Emit, StopReason, TextDelta
from acp_agent.ports import Editor
from acp_agent.protocol.sessions import OpenSession
from tests.protocol.harness import ScriptedSession


async def play(message: UserMessage, emit: Emit, editor: Editor) -> StopReason:
    match message.text.split()[:2]:
        case ["chunks", count]:
            for number in range(int(count)):
                await emit(TextDelta("m", f"hello tok{number} "))
        case ["wait", *_]:
            await emit(TextDelta("m", "waiting"))
            await anyio.sleep_forever()
        case ["flood", *_]:
            while True:
                await emit(TextDelta("m", "x" * 1000))
        case _:
            await emit(TextDelta("m", str(len(message.text))))
    return "end_turn"


async def factory(opened: OpenSession, editor: Editor) -> ScriptedSession:
    return ScriptedSession(opened, editor, play)
