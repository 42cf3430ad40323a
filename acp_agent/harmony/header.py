"""The header of one assistant message: its channel and recipient, from tokens and to tokens.

Reading never fails: what deviates from the trained form is repaired, and each repair is named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from acp_agent.conversation import Channel
from acp_agent.harmony.vocab import CHANNEL, CONSTRAIN, FIRST_SPECIAL, MESSAGE, Vocabulary

_NAME = r"[\w.\-]+"
_CHANNELS = "analysis|commentary|final"
_TRAINED = re.compile(
    rf"(?: to=({_NAME}))?<\|channel\|>({_CHANNELS})(?: to=({_NAME}))?"
    r"(?: ?<\|constrain\|>(\w+)| (json|code))?",
    re.ASCII,
)
# A header that lacks its <|message|>: whatever it has of the usual parts; the text comes after.
_UNENDED = re.compile(
    rf"\s*(?:assistant\b)?\s*(?:to={_NAME})?\s*(?:<\|channel\|>\s*(?:{_CHANNELS})?)?"
    rf"\s*(?:to={_NAME})?\s*(?:<\|constrain\|>\s*(?:json|code)?)?\s*",
    re.ASCII,
)
_RECIPIENT = re.compile(rf"(?:to=|\b(?=functions\.))({_NAME})", re.ASCII)
_MARKER = re.compile(r"<\|(\w+)\|>", re.ASCII)
_CHANNEL = re.compile(_CHANNELS)
_TYPES = ("json", "code")
_NOBODY = ("assistant", "user", "all")  # recipients that are no tools
_OTHER_ROLES = ("user", "system", "developer", "tool")


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says.

    `role` is empty for the assistant's own messages; `repairs` is empty if it had the trained form.
    """

    channel: Channel
    recipient: str | None = None
    content_type: str = ""
    role: str = ""
    repairs: tuple[str, ...] = ()

    def tokens(self, vocabulary: Vocabulary) -> list[int]:
        """Return the header as gpt-oss writes it, from after `<|start|>assistant`."""
        to = f" to={self.recipient}" if self.recipient else ""
        ids = [CHANNEL, *vocabulary.encode_text(f"{self.channel}{to}")]
        if self.content_type == "json":
            ids += [*vocabulary.encode_text(" "), CONSTRAIN, *vocabulary.encode_text("json")]
        elif self.content_type:
            ids += vocabulary.encode_text(f" {self.content_type}")
        return [*ids, MESSAGE]


def read_header(vocabulary: Vocabulary, ids: Sequence[int], *, own_role: bool) -> Header:
    """Read the ids between role and `<|message|>`.

    `own_role` says that `<|start|>assistant` stands before them; else they begin with a role.
    """
    text = vocabulary.decode(ids)
    spelled = text.count("<|") != sum(token >= FIRST_SPECIAL for token in ids)
    if own_role and not spelled:
        trained = _trained(text)
        if trained:
            return trained
    header = _repaired(text, own_role=own_role)
    extra = ("control tokens spelled as text",) if spelled else ()
    return replace(header, repairs=(header.repairs + extra) or ("an unusual header",))


def read_unended(
    vocabulary: Vocabulary, ids: Sequence[int], *, own_role: bool
) -> tuple[Header, str]:
    """Read a message that ended before any `<|message|>`: its header, and the text after that."""
    text = vocabulary.decode(ids)
    found = None if _other_role(text, own_role=own_role) else _UNENDED.match(text)
    end = found.end() if found else len(text)
    header = _repaired(text[:end], own_role=own_role)
    return replace(header, repairs=(*header.repairs, "no <|message|>")), text[end:]


def _trained(text: str) -> Header | None:
    found = _TRAINED.fullmatch(text)
    if found is None:
        return None
    first, channel, second, constrained, plain = found.groups()
    recipient = second if first is None else first
    if (first and second) or recipient in _NOBODY or (recipient and channel == "final"):
        return None
    return Header(_channel(channel), recipient, constrained or plain or "")


def _repaired(text: str, *, own_role: bool) -> Header:
    found = _RECIPIENT.findall(text)
    names = [name for name in found if name not in _NOBODY]
    channels, words = _words(_RECIPIENT.sub(" ", text))
    recipient = names[0] if names else None
    channel = channels[-1] if channels else "commentary" if recipient else "final"
    stray = " ".join(word for word in words if word not in _TYPES)
    problems = {
        "no known channel": not channels,
        "more than one channel": len(channels) > 1,
        "a recipient that is no tool": len(names) < len(found),
        "more than one recipient": len(set(names)) > 1,
        "a call on channel final": bool(recipient) and channel == "final",
        f"stray words in the header: {_short(stray)}": bool(stray),
    }
    return Header(
        "commentary" if recipient and channel == "final" else _channel(channel),
        recipient,
        next((word for word in words if word in _TYPES), ""),
        _other_role(text, own_role=own_role),
        tuple(problem for problem, present in problems.items() if present),
    )


def _words(text: str) -> tuple[list[str], list[str]]:
    """Return the known channels, in order, and all other words but the assistant's role."""
    role, *rest = _MARKER.split(text)
    words = role.strip().removeprefix("assistant").split()
    channels: list[str] = []
    for marker, part in zip(rest[::2], rest[1::2], strict=True):
        found = _CHANNEL.search(part) if marker == "channel" else None
        if found:
            channels.append(found.group())
            words += part[: found.start()].split() + part[found.end() :].split()
        else:
            words += part.split()
    if not channels:  # `assistantcommentary`, and the like
        channels = [word for word in words if _CHANNEL.fullmatch(word)]
        words = [word for word in words if word not in channels]
    return channels, words


def _other_role(text: str, *, own_role: bool) -> str:
    """Return who speaks, if the model wrote a message in the name of someone else."""
    words = [] if own_role else _MARKER.split(text)[0].split()
    if not words or words[0] == "assistant":
        return ""
    answers = "to=assistant" in words[1:]  # `functions.x to=assistant`
    return words[0] if answers or words[0] in _OTHER_ROLES else ""


def _channel(name: str) -> Channel:
    return cast(Channel, name)  # only ever a match of _CHANNELS, or a literal of them


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
