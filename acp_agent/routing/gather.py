"""Prompt, resources and session to `Facts`: pure, and the same for the same input."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from acp_agent.routing import detect
from acp_agent.routing.facts import Facts, Resource, SessionFacts
from acp_agent.routing.phrases import normalise
from acp_agent.routing.rubric import Rubric, Signal

CHARS_PER_TOKEN = 3.5  # of source and prose alike; for resources whose text is not at hand


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was understood of a prompt."""

    asked: str
    signals: tuple[Signal, ...]
    tasks: int


def gather(
    prompt: str,
    resources: Sequence[Resource] = (),
    *,
    rubric: Rubric,
    count_tokens: Callable[[str], int],
    session: SessionFacts,
) -> Facts:
    """Return the facts of one prompt. `count_tokens` is called once, with the whole prompt."""
    reading = _read(prompt, rubric)
    prompt_tokens = count_tokens(prompt)
    resource_tokens = sum(map(_tokens, resources))
    answer_tokens = _answer_tokens(reading, rubric)
    links = sum(1 for r in resources if r.tokens is None and r.chars is None)
    named = _named_files(reading, resources, rubric)
    needed = sum(signal.files for signal in reading.signals)
    return Facts(
        prompt_tokens=prompt_tokens,
        resources=len(resources),
        resource_tokens=resource_tokens,
        history_tokens=session.history_tokens,
        tool_calls=links
        + len(named)
        + detect.urls(reading.asked)
        + sum(signal.tool_calls for signal in reading.signals),
        files=len(resources) + len(named) + needed,
        steps=max(reading.tasks, detect.steps(reading.asked)),
        code=any(signal.code for signal in reading.signals),
        code_blocks=detect.code_blocks(prompt),
        error_text=detect.names_error(reading.asked),
        answer_tokens=answer_tokens,
        depth=max((signal.depth for signal in reading.signals), default=0),
        explicit=_explicit(reading.signals),
        fm_window=session.fm_window,
        fm_room=session.fm_window
        - rubric.reserve
        - prompt_tokens
        - resource_tokens
        - answer_tokens,
        fm_available=session.fm_available,
        gptoss_available=session.gptoss_available,
        last_decision=session.last_decision,
        unrecognised=all(signal.form for signal in reading.signals),
        signals=tuple(signal.name for signal in reading.signals),
    )


def _read(prompt: str, rubric: Rubric) -> _Reading:
    asked = detect.without_quotations(detect.spoken(prompt))
    head = detect.head(asked)
    if head != asked and any(s.payload for s in _tasks(head, rubric)):
        asked = head
    clauses = [_tasks(clause, rubric) for clause in _clauses(asked, rubric)]
    tasks = {signal.name for clause in clauses for signal in clause}
    text = normalise(asked)
    heard = [
        s for s in rubric.signals if s.name in tasks or (not s.task and s.phrases.search(text))
    ]
    return _Reading(asked, tuple(heard), max(1, sum(1 for clause in clauses if clause)))


def _clauses(text: str, rubric: Rubric) -> Iterable[str]:
    return (clause for clause in rubric.clause_ends.split(normalise(text)) if clause.strip())


def _tasks(clause: str, rubric: Rubric) -> list[Signal]:
    """Return the task that is asked for first; where two end together, the one nearer the end.

    `write a title for the function` asks for a title, `write a function that finds the title` for
    a function. In languages whose verb comes last both end with the verb.
    """
    text = normalise(clause)
    found = [(m, s) for s in rubric.signals if s.task and (m := s.phrases.search(text))]
    leading = [m.span() for m, s in found if s.first]
    found = [
        (m, s)
        for m, s in found
        if s.first or not any(m.start() < end and start < m.end() for start, end in leading)
    ]
    if not found:
        return []
    return [min(found, key=lambda pair: (pair[0].end(), -pair[0].start()))[1]]


def _tokens(resource: Resource) -> int:
    if resource.tokens is not None:
        return resource.tokens
    return math.ceil((resource.chars or 0) / CHARS_PER_TOKEN)


def _named_files(reading: _Reading, resources: Sequence[Resource], rubric: Rubric) -> list[str]:
    """Return the files that must be read: named, not attached, not merely asked about."""
    attached = {resource.uri.rstrip("/").rpartition("/")[2] for resource in resources}
    general = any(signal.general for signal in reading.signals)
    return [
        path
        for path in detect.paths(reading.asked)
        if path.casefold() not in rubric.not_files
        and path.rpartition("/")[2] not in attached
        and ("/" in path or not general)
    ]


def _answer_tokens(reading: _Reading, rubric: Rubric) -> int:
    """Return the length that was asked for in figures, else the usual one of what was asked."""
    text = normalise(reading.asked)
    figures = [
        _number(match.group("n"), rubric) * length.tokens
        for length in rubric.lengths
        for match in length.pattern.finditer(text)
    ]
    if figures:
        return math.ceil(max(figures))
    usual = [signal.answer_tokens for signal in reading.signals if signal.answer_tokens]
    most = min((s.at_most for s in reading.signals if s.at_most), default=0)
    wanted = max(usual, default=rubric.usual_answer)
    return min(wanted, most) if most else wanted


def _number(word: str, rubric: Rubric) -> int:
    digits = "".join(letter for letter in word if letter.isdigit())
    # Whoever asks for more than a million words gets as far as the window goes.
    return min(int(digits[:7]), 1_000_000) if digits else rubric.numbers[word]


def _explicit(signals: Sequence[Signal]) -> Literal["", "gptoss", "fm"]:
    """Return whom the last of the explicit signals names: later ones take back earlier ones."""
    asked: Literal["", "gptoss", "fm", "nobody"] = ""
    for signal in signals:
        asked = signal.explicit or asked
    return "" if asked == "nobody" else asked
