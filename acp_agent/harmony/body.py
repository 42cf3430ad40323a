"""The body of one assistant message: its tokens as text, and the finished message."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from acp_agent.conversation import Call, Message
from acp_agent.harmony.header import Header
from acp_agent.harmony.vocab import CALL, END, MESSAGE, RETURN, Vocabulary


@dataclass(frozen=True, slots=True)
class Piece:
    """One message and its tokens, from after `<|start|>assistant` to the terminator."""

    message: Message
    tokens: tuple[int, ...]
    call: Call | None = None


class OpenBody:
    """A body under way; `index` is the message's number in its step."""

    def __init__(self, header: Header, header_ids: list[int], index: int, call_id: str) -> None:
        self.header = header
        self.index = index
        self._header_ids = header_ids
        self._call_id = call_id
        self._ids: list[int] = []
        self._text: list[str] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, ids: Sequence[int], data: bytes) -> str:
        """Take `ids`, which spell `data`; return the characters that are complete now."""
        self._ids += ids
        text = self._decoder.decode(data)
        self._text.append(text)
        return text

    def unfinished(self) -> str:
        """Return what the bytes of an unfinished character read as, if there are any."""
        return self._decoder.getstate()[0].decode("utf-8", "replace")

    def piece(self, vocabulary: Vocabulary, terminator: int | None) -> Piece:
        """Return the message; `terminator` is None where the generation ended inside it.

        The tokens are the generated ones, except for a header that had to be repaired and a
        terminator that does not fit.
        """
        header = self.header
        text = "".join(self._text) + self.unfinished()
        call, last = None, END
        if header.recipient is None:
            complete = terminator is not None
            last = RETURN if terminator == RETURN else END
        else:
            complete = terminator == CALL
            if complete:
                call, last = Call(self._call_id, header.recipient, text, header.channel), CALL
        start = header.tokens(vocabulary) if header.repairs else [*self._header_ids, MESSAGE]
        message = Message(header.channel, text, header.recipient, complete)
        return Piece(message, (*start, *self._ids, last), call)
