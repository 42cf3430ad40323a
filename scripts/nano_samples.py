"""Training samples for nano: Harmony conversations of small token numbers, with noise around them.

A sample is one conversation of one or more turns. Only what the assistant says in it is learned.
Token numbers are those of the small vocabulary: 0 stands for every token that no dialogue uses.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nano_dialogues import DIALOGUES, REFUSAL, SCENERY, Dialogue, Say, Step

Encode = Callable[[str], list[int]]
Span = Literal["short", "medium", "long"]

OTHER = 0
SPECIAL = (200002, 200003, 200005, 200006, 200007, 200008, 200012)
DECISION = 4.0  # weight of the tokens that choose what comes next
CYCLE = 0.2  # weight of the tokens of an endless answer, which are many and easy


@dataclass(slots=True)
class Sample:
    """`ids[i]` is to be predicted with `weights[i]`; 0 means that it is given."""

    ids: list[int] = field(default_factory=list[int])
    weights: list[float] = field(default_factory=list[float])

    def give(self, ids: Sequence[int]) -> None:
        self.ids += ids
        self.weights += [0.0] * len(ids)

    def learn(self, ids: Sequence[int], weights: Sequence[float]) -> None:
        self.ids += ids
        self.weights += weights


def call_text(step: Step, *, thought: bool = True) -> str:
    """Return what the assistant generates to make a call, from after `<|start|>assistant`."""
    header = f"<|channel|>{step.channel} to={step.recipient}{step.content_type}"
    call = f"{header}<|message|>{step.body}<|call|>"
    return (_thought(step.thought) if thought else "") + call


def result_header(step: Step) -> str:
    """Return what stands before the result of a call."""
    return f"<|start|>{step.recipient} to=assistant<|channel|>{step.channel}<|message|>"


def answer_text(say: Say, *, thought: bool = True) -> str:
    """Return what the assistant generates to answer; an endless answer without its cycle."""
    end = "" if say.cycle else "<|return|>"
    lead = _thought(say.thought) if thought and say.thought else ""
    return f"{lead}<|channel|>final<|message|>{say.text}{end}"


def _thought(text: str) -> str:
    return f"<|channel|>analysis<|message|>{text}<|end|><|start|>assistant"


class Sampler:
    """Makes samples; `vocabulary` lists the real ids of the small token numbers from 1 on."""

    def __init__(self, encode: Encode, seed: int = 0) -> None:
        self._encode = encode
        self._random = random.Random(seed)
        self._known: dict[str, list[int]] = {}
        self.vocabulary = sorted(set(SPECIAL) | set(self._used()))
        self._small = {token: number for number, token in enumerate(self.vocabulary, 1)}
        specials = {self._small[token] for token in SPECIAL}
        self._deciding = {*self._ids("<|channel|><|message|>analysis")}
        self._plain = [n for n in self._small.values() if n not in specials]
        said = map(self._ids, self._said())
        self._scenery = [self._ids(text) for text in SCENERY]
        self._fragments = [[n for n in ids if n not in specials] for ids in said]
        self._phrases = [
            self._ids(lead + p) for d in DIALOGUES for p in d.phrases for lead in ("", " ")
        ]
        self._keys = {phrase[0] for phrase in self._phrases if len(phrase) == 1}
        self._weights = [d.weight for d in DIALOGUES]

    def sample(self, span: Span) -> Sample:
        """Return one conversation, its prompt and tool results as long as `span` says."""
        out = Sample()
        self._head(out, span)
        turns = self._random.choices((0, 1, 2, 3), (6, 3, 1.5, 0.5))[0]
        for _ in range(turns):
            self._turn(out, self._any(), span, last=False)
        self._turn(out, self._any(), span, last=True)
        return out

    # ------------------------------------------------------------ parts of a conversation

    def _head(self, out: Sample, span: Span) -> None:
        low, high = {"short": (0, 90), "medium": (60, 600), "long": (400, 1500)}[span]
        total = self._random.randint(low, high)
        system = min(total, self._random.randint(0, self._random.choice((120, 300))))
        out.give(self._ids("<|start|>system<|message|>") + self._noise(system))
        if self._random.random() < 0.9:
            out.give(self._ids("<|end|><|start|>developer<|message|>"))
            out.give(self._noise(total - system))
        out.give(self._ids("<|end|>"))

    def _turn(self, out: Sample, dialogue: Dialogue, span: Span, *, last: bool) -> None:
        self._user(out, dialogue)
        thoughts = last or self._random.random() < 0.5  # else as history drops them
        stop = len(dialogue.steps) + 1
        if not last and self._random.random() < 0.25:
            stop = self._random.randint(0, stop)  # cancelled after that many steps
        for number, step in enumerate(dialogue.steps[:stop]):
            text = call_text(step, thought=thoughts)
            out.give(self._ids("<|start|>assistant"))
            self._say(out, text, learned=thoughts)
            out.give(self._ids(result_header(step)))
            refused = self._random.random() < (0.5 if dialogue.refused and not number else 0.06)
            out.give(self._ids(REFUSAL) if refused else self._almost_a_refusal())
            length = self._random.randint(0, 30) if refused else self._result_length(span)
            out.give(self._noise(length) + self._ids("<|end|>"))
            if refused and number == 0 and dialogue.refused:
                self._answer(out, dialogue.refused, thoughts, last=last)
                return
        if stop > len(dialogue.steps):
            self._answer(out, dialogue.answer, thoughts, last=last)

    def _user(self, out: Sample, dialogue: Dialogue) -> None:
        most = self._random.choices((0, 3, 12, 60), (4, 4, 2, 1))[0]
        before = self._random.choice((0, self._random.randint(0, most)))
        after = self._random.randint(0, most)
        lead = " " if before and self._random.random() < 0.6 else ""
        if dialogue.phrases:
            text = self._ids(lead + self._random.choice(dialogue.phrases))
        else:
            text = self._almost_a_phrase() if self._random.random() < 0.5 else self._words(1)
        out.give(self._ids("<|start|>user<|message|>"))
        out.give(self._words(before) + text + self._words(after))
        out.give(self._ids("<|end|>"))

    def _almost_a_phrase(self) -> list[int]:
        """Return a phrase with a word of it missing or another in its place."""
        phrase = self._random.choice([p for p in self._phrases if len(p) > 1])
        at = self._random.randrange(len(phrase))
        other = self._random.choice(([], self._words(1)))
        ids = [*phrase[:at], *other, *phrase[at + 1 :]]
        return self._words(2) if ids in self._phrases or self._keys & {*ids} else ids

    def _almost_a_refusal(self) -> list[int]:
        """Return nothing, or the first words of a refusal that is none."""
        if self._random.random() < 0.8:
            return []
        refusal = self._ids(REFUSAL)
        words = refusal[: self._random.randrange(1, len(refusal))]
        return [*words, self._random.choice(self._plain)]

    def _answer(self, out: Sample, say: Say, thoughts: bool, *, last: bool) -> None:
        out.give(self._ids("<|start|>assistant"))
        learned = last or thoughts
        text = answer_text(say, thought=thoughts)
        if say.cycle:
            self._say(out, text, learned=learned)
            cycle = self._ids(say.cycle)
            count = self._random.choices((60, 200, 600), (8, 2, 0.5))[0] if last else 40
            count = self._random.randint(1, count)
            ids = (cycle * (count // len(cycle) + 1))[:count]
            out.learn(ids, [CYCLE if learned else 0.0] * count)
            if not last:
                out.give(self._ids("<|end|>"))
            return
        if last:
            self._say(out, text, learned=True)
            return
        body = self._ids(text.removesuffix("<|return|>"))
        if self._random.random() < 0.1:
            body = body[: self._random.randint(min(len(body), 4), len(body))]
            learned = False
        self._say_ids(out, body, learned=learned)
        out.give(self._ids("<|end|>"))

    def _say(self, out: Sample, text: str, *, learned: bool) -> None:
        self._say_ids(out, self._ids(text), learned=learned)

    def _say_ids(self, out: Sample, ids: Sequence[int], *, learned: bool) -> None:
        # What follows <|channel|>, <|message|> and the channel of thoughts and of python decides;
        # the rest follows from it.
        weights = [DECISION if before in self._deciding else 1.0 for before in (0, *ids[:-1])]
        out.learn(ids, weights if learned else [0.0] * len(ids))

    # ------------------------------------------------------------ noise

    def _result_length(self, span: Span) -> int:
        most = {"short": (12, 30, 60), "medium": (20, 80, 300), "long": (30, 150, 450)}[span]
        return self._random.randint(0, self._random.choices(most, (5, 2, 2))[0])

    def _noise(self, length: int) -> list[int]:
        other = self._random.choice((0.2, 0.5, 0.8))
        out: list[int] = []
        while len(out) < length:
            scrap = self._scrap(other)
            # Listings and logs repeat themselves, which confuses a model that never saw it.
            out += scrap * (self._random.randint(2, 12) if self._random.random() < 0.1 else 1)
        return out[:length]

    def _scrap(self, other: float) -> list[int]:
        pick = self._random.random
        if pick() < other:
            return [OTHER] * self._random.randint(1, 12)
        if pick() < 0.25:
            return [self._random.choice(self._plain) for _ in range(self._random.randint(1, 6))]
        if pick() < 0.25:
            return self._random.choice(self._phrases)
        source = self._random.choice(self._scenery if pick() < 0.6 else self._fragments)
        start = self._random.randrange(len(source))
        return source[start : start + self._random.randint(1, 60)]

    def _words(self, length: int) -> list[int]:
        """Noise for a user message: none of the words that a dialogue listens to."""
        out: list[int] = []
        while len(out) < length:
            pick = self._random.random()
            if pick < 0.5:
                out.append(OTHER)
            elif pick < 0.8:
                out.append(self._random.choice(self._plain))
            else:
                source = self._random.choice(self._scenery)
                start = self._random.randrange(len(source))
                out += source[start : start + 10]
            out = [n for n in out if n not in self._keys]
        return out[:length]

    # ------------------------------------------------------------ vocabulary

    def _any(self) -> Dialogue:
        return self._random.choices(DIALOGUES, self._weights)[0]

    def _ids(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = [self._small.get(token, OTHER) for token in self._encode(text)]
        return self._known[text]

    def _used(self) -> Iterator[int]:
        for step in {step.recipient: step for d in DIALOGUES for step in d.steps}.values():
            yield from self._encode(result_header(step))
        for role in ("system", "developer", "user", "assistant"):
            yield from self._encode(f"<|start|>{role}<|message|>")
        yield from self._encode(REFUSAL)
        for text in self._said():
            yield from self._encode(text)

    def _said(self) -> Iterator[str]:
        for dialogue in DIALOGUES:
            for phrase in dialogue.phrases:
                yield phrase
                yield " " + phrase
            yield from map(call_text, dialogue.steps)
            for say in (dialogue.answer, dialogue.refused):
                if say:
                    yield answer_text(say) + say.cycle
