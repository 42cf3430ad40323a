"""What a small model sees of a conversation: what the user saw of it, as much as its window holds.

Pure. Tools, reasoning and attachments of earlier turns are left out; the newest message stays,
cut in its middle if nothing else helps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from acp_agent.conversation import Entry, Message, ModelStep, UserMessage

LEFT_OUT = "\n[…]\n"
FRAMING = 8  # tokens that a chat template puts around a message


def estimated_tokens(text: str) -> int:
    """Return about how many tokens `text` has in a small vocabulary, rather too many than too few.

    A token is 3 characters of ASCII, or 1.5 bytes of anything else.
    """
    plain = len(text.encode("ascii", "ignore"))
    others = len(text.encode("utf-8", "surrogatepass")) - plain
    return math.ceil(plain / 3 + others / 1.5)


def seen(entries: Sequence[Entry]) -> list[UserMessage | ModelStep]:
    """Return what was said between the user and whoever answered, each in turn."""
    said: list[UserMessage | ModelStep] = []
    for entry in entries:
        before = said[-1] if said else None
        match entry:
            case UserMessage():
                message = replace(entry, note="")
                if isinstance(before, UserMessage):  # it was never answered
                    said.pop()
                    message = UserMessage(
                        f"{before.words}\n\n{message.words}",
                        before.attachments + message.attachments,
                    )
                said.append(message)
            case ModelStep():
                answer = _answer(entry)
                if isinstance(before, ModelStep) and answer:
                    said.pop()
                    answer = f"{_answer(before)}\n\n{answer}"
                if answer and said:
                    said.append(_said(answer))
            case _:
                pass
    return said


def fitted(entries: Sequence[Entry], room: int) -> list[UserMessage | ModelStep]:
    """Return the newest of what was `seen`, in at most `room` tokens.

    It begins with a message of the user's and ends with their newest, which is the last entry.
    """
    *earlier, newest = seen(entries)
    newest = cut(newest, room) if isinstance(newest, UserMessage) else newest
    return [*_kept(earlier, room, room - size(newest)), newest]


def ahead(entries: Sequence[Entry], room: int) -> list[UserMessage | ModelStep]:
    """Return what the next message will find before it: `fitted` without its newest."""
    return _kept(seen(entries), room, room)


def _kept(
    earlier: Sequence[UserMessage | ModelStep], room: int, left: int
) -> list[UserMessage | ModelStep]:
    """Return the newest of what was said before, in at most `left` of `room` tokens.

    It is left out by the quarter: a server has read what stands unchanged, and reads the rest anew.
    """
    brief = [replace(e, attachments=()) if isinstance(e, UserMessage) else e for e in earlier]
    over = sum(map(size, brief)) - left
    out = math.ceil(over / (room / 4)) * (room / 4) if over > 0 else 0
    while brief and (out > 0 or isinstance(brief[0], ModelStep)):
        out -= size(brief.pop(0))
    return brief


def _answer(step: ModelStep) -> str:
    return "".join(m.text for m in step.messages if m.channel == "final" and m.recipient is None)


def _said(text: str) -> ModelStep:
    return ModelStep((Message("final", text),))


def size(entry: UserMessage | ModelStep) -> int:
    """Return about how many tokens the entry has."""
    text = entry.text if isinstance(entry, UserMessage) else _answer(entry)
    return estimated_tokens(text) + FRAMING


def cut(message: UserMessage, room: int) -> UserMessage:
    """Return the message whole, or its beginning and its end: the question mostly stands first."""
    text, kept, found = message.text, len(message.text), message
    # Once is not always enough: what is kept may have more tokens to a character than the rest.
    while (tokens := size(found)) > room and kept > 0:
        kept = max(0, int(kept * (room - FRAMING) / tokens) - len(LEFT_OUT))
        head, tail = kept - kept // 3, kept // 3
        found = UserMessage(text[:head] + LEFT_OUT + text[len(text) - tail :])
    return found
