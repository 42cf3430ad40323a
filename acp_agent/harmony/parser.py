"""The output of gpt-oss, token ids, read as they come: parts to show, and at any moment the step.

Pure and total: whatever ids arrive, nothing is raised, and what was wrong is named in `repairs`.
A call counts only when it ended in `<|call|>`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from acp_agent.conversation import ModelStep
from acp_agent.harmony.body import OpenBody, Piece
from acp_agent.harmony.header import Header, read_header, read_unended
from acp_agent.harmony.vocab import (
    CALL,
    CHANNEL,
    END,
    ENDOFTEXT,
    FIRST_SPECIAL,
    MESSAGE,
    RETURN,
    SIZE,
    START,
    Vocabulary,
)
from acp_agent.ports import CallOpened, TextPart, ThoughtPart

Part = ThoughtPart | TextPart | CallOpened


class Parser:
    """Reads one model call; feed it ids in chunks of any size."""

    def __init__(self, vocabulary: Vocabulary, new_call_id: Callable[[], str]) -> None:
        self._vocabulary = vocabulary
        self._new_call_id = new_call_id
        self._assistant = vocabulary.encode_text("assistant")[0]
        self._pieces: list[Piece] = []
        self._parts: list[Part] = []
        self._repairs: dict[str, None] = {}  # in order, each once
        # The prompt ends in an open header. Between messages there is neither.
        self._open: _OpenHeader | OpenBody | None = _OpenHeader(own_role=True)

    def feed(self, ids: Iterable[int]) -> list[Part]:
        """Take more ids and return what there is to show of them."""
        run: list[int] = []
        for token in ids:
            if 0 <= token < FIRST_SPECIAL and isinstance(self._open, OpenBody):
                run.append(token)
                continue
            self._say(run)
            run = []
            self._take(token)
        self._say(run)
        parts, self._parts = self._parts, []
        return parts

    def finish(self) -> list[Part]:
        """Take the engine's word that the model was done: a text without terminator is whole."""
        if isinstance(self._open, OpenBody) and not self._open.header.recipient:
            self._note("a message without a terminator")
            self._end(END)
        parts, self._parts = self._parts, []
        return parts

    def pieces(self) -> list[Piece]:
        """Return the messages one by one; one that is still open is closed as incomplete."""
        match self._open:
            case OpenBody(header=Header(role="")) as body:
                return [*self._pieces, body.piece(self._vocabulary, None)]
            case _:
                return list(self._pieces)

    def step(self) -> ModelStep:
        """Return all that was read, an open message closed, an open header left out."""
        pieces = self.pieces()
        tokens: list[int] = []
        for piece in pieces:
            tokens += [START, self._assistant, *piece.tokens]
        return ModelStep(
            messages=tuple(piece.message for piece in pieces),
            calls=tuple(piece.call for piece in pieces if piece.call),
            tokens=tuple(tokens[2:]),
            repairs=(*self._repairs, *self._cut()),
        )

    def _take(self, token: int) -> None:
        """Take a control token, or any token outside a body."""
        if not 0 <= token < SIZE:
            self._note("ids outside the vocabulary were dropped")
        elif token in (END, RETURN, CALL, ENDOFTEXT):
            self._end(token)
        elif token == START:
            self._start()
        elif isinstance(self._open, OpenBody):
            self._take_in_body(self._open, token)
        else:
            self._take_in_header(token)

    def _take_in_header(self, token: int) -> None:
        header = self._open
        if not isinstance(header, _OpenHeader):
            self._note("no <|start|> before a message")
            header = self._open = _OpenHeader(own_role=token >= FIRST_SPECIAL)
        if token == MESSAGE:
            read = read_header(self._vocabulary, header.ids, own_role=header.own_role)
            self._begin(read, header.ids)
        elif token == self._assistant and not header.ids and not header.own_role:
            header.own_role = True
        else:
            header.ids.append(token)

    def _take_in_body(self, body: OpenBody, token: int) -> None:
        if token == CHANNEL:
            self._note("<|channel|> inside a message")
            self._close(body, END)
            self._open = _OpenHeader(own_role=True, ids=[token])
        else:
            self._note("control tokens inside a message were dropped")

    def _start(self) -> None:
        if isinstance(self._open, OpenBody):
            self._note("<|start|> inside a message")
            self._close(self._open, END)
        elif self._open is not None and self._open.ids:
            self._note("<|start|> inside a header")
        self._open = _OpenHeader(own_role=False)

    def _end(self, token: int) -> None:
        if isinstance(self._open, _OpenHeader) and self._open.ids:
            header = self._open
            read, text = read_unended(self._vocabulary, header.ids, own_role=header.own_role)
            self._begin(read, header.ids)
            self._say(self._vocabulary.encode_text(text))
        if isinstance(self._open, OpenBody):
            self._close(self._open, token)
        else:
            self._note("a terminator without a message")
            self._open = None

    def _begin(self, header: Header, header_ids: list[int]) -> None:
        """Open the body of a message."""
        dropped = (f"a message in the name of {header.role!r} was dropped",)
        for repair in dropped if header.role else header.repairs:
            self._note(repair)
        call_id = ""
        if header.recipient and not header.role:
            call_id = self._new_call_id()
            self._parts.append(CallOpened(call_id, header.recipient))
        self._open = OpenBody(header, header_ids, len(self._pieces), call_id)

    def _say(self, ids: list[int]) -> None:
        if ids and isinstance(self._open, OpenBody):
            self._show(self._open, self._open.add(ids, self._vocabulary.bytes_of(ids)))

    def _close(self, body: OpenBody, terminator: int) -> None:
        self._open = None
        if body.header.role:
            return
        recipient = body.header.recipient
        if recipient and terminator != CALL:
            self._note(f"a call to {recipient!r} that did not end in <|call|>")
        elif not recipient and terminator in (CALL, ENDOFTEXT):
            self._note("a message that ended in the wrong terminator")
        self._show(body, body.unfinished())
        self._pieces.append(body.piece(self._vocabulary, terminator))

    def _show(self, body: OpenBody, text: str) -> None:
        header = body.header
        if text and not header.recipient and not header.role:
            kind = ThoughtPart if header.channel == "analysis" else TextPart
            self._parts.append(kind(body.index, text))

    def _cut(self) -> list[str]:
        match self._open:
            case _OpenHeader(ids=[_, *_]):
                return ["a header was cut off"]
            case OpenBody(header=Header(role="", recipient=str(recipient))):
                return [f"a call to {recipient!r} was cut off"]
            case OpenBody():
                return ["a message was cut off"]
            case _:
                return []

    def _note(self, repair: str) -> None:
        self._repairs[repair] = None


@dataclass(slots=True)
class _OpenHeader:
    """A header under way; `own_role`: `<|start|>assistant` is behind us."""

    own_role: bool
    ids: list[int] = field(default_factory=list[int])
