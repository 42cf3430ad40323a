"""What a scripted model says, as values, and the Harmony tokens that say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from acp_agent.harmony.vocab import Vocabulary

BUILT_IN = ("python", "browser")  # tools that gpt-oss calls outside the `functions` namespace


@dataclass(frozen=True, slots=True)
class Think:
    """Reasoning, on the channel `analysis`."""

    text: str


@dataclass(frozen=True, slots=True)
class Preamble:
    """Text for the user in front of a call, on the channel `commentary`."""

    text: str


@dataclass(frozen=True, slots=True)
class Say:
    """The answer, on the channel `final`; it ends the step."""

    text: str


@dataclass(frozen=True, slots=True)
class Begin:
    """The start of an answer that is never finished; `Limit`, `Drop` or `Fail` follows."""

    text: str


@dataclass(frozen=True, slots=True)
class Invoke:
    """A tool call; it ends the step. `arguments` go out as they are."""

    name: str
    arguments: str

    @property
    def recipient(self) -> str:
        """The full name: `read_file` becomes `functions.read_file`."""
        return self.name if "." in self.name or self.name in BUILT_IN else f"functions.{self.name}"


@dataclass(frozen=True, slots=True)
class Raw:
    """Harmony as it stands, with control tokens; at first, what follows `<|start|>assistant`."""

    text: str


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds between the tokens that follow."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """A pause, once."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """The engine says that it loads its model, and does so for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Limit:
    """The generation stops for length here."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection to the engine ends here."""


@dataclass(frozen=True, slots=True)
class Overflow:
    """The engine says that its context is full.

    With `tokens` it holds so many, and to a prompt that fits only what follows is said. Without,
    it is full with what it has read and said so far, whatever that is.
    """

    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Fail:
    """The engine fails with these words."""

    text: str


Spoken = Think | Preamble | Say | Begin | Invoke | Raw
Item = Spoken | Delay | Wait | Load | Limit | Drop | Overflow | Fail

Step = Sequence[Item]
"""One model call: what it says and does in this order, up to an item that `ends_step`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The steps that answer prompts containing `pattern`; None stands for all other prompts.

    With `again`, the first step follows the last.
    """

    steps: Sequence[Step]
    pattern: str | None = None
    again: bool = False


def ends_step(item: Item) -> bool:
    """Tell whether nothing can follow `item` in one model call."""
    if isinstance(item, Raw):
        return item.text.endswith(("<|call|>", "<|return|>", "<|endoftext|>"))
    if isinstance(item, Overflow):
        return not item.tokens
    return isinstance(item, Say | Invoke | Limit | Drop | Fail)


def tokens(vocabulary: Vocabulary, item: Spoken, *, first: bool) -> list[int]:
    """Return the ids of one message, which may be the `first` of its step."""
    head, body, end = _parts(item)
    start = "" if first or isinstance(item, Raw) else "<|start|>assistant"
    return [
        *vocabulary.encode_trusted(start + head),
        *vocabulary.encode_text(body),
        *vocabulary.encode_trusted(end),
    ]


def _parts(item: Spoken) -> tuple[str, str, str]:
    """Return header, body and terminator; only the body is text that nobody may trust."""
    match item:
        case Think(text):
            return "<|channel|>analysis<|message|>", text, "<|end|>"
        case Preamble(text):
            return "<|channel|>commentary<|message|>", text, "<|end|>"
        case Say(text):
            return "<|channel|>final<|message|>", text, "<|return|>"
        case Begin(text):
            return "<|channel|>final<|message|>", text, ""
        case Invoke(name="python", arguments=arguments):
            return "<|channel|>analysis to=python code<|message|>", arguments, "<|call|>"
        case Invoke(arguments=arguments):
            channel = f"<|channel|>commentary to={item.recipient} <|constrain|>json<|message|>"
            return channel, arguments, "<|call|>"
        case Raw(text):
            return text, "", ""
        case _:
            assert_never(item)
