"""A rubric as values: what to recognise in a prompt, and what each fact weighs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from acp_agent.routing.facts import Answerer
from acp_agent.routing.phrases import Phrases


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that a prompt can say, and what follows from it for the facts.

    Of the signals that are a `task`, only the first one of a clause counts; one that goes `first`
    wins over those whose words it shares. After one that takes a `payload`, what follows a colon or
    an empty line is material, not instruction. One that is `general` asks what something is: files
    it names by their bare names need not be read. A `form` says how, not what: with nothing else, a
    prompt stays unrecognised.
    """

    name: str
    phrases: Phrases
    task: bool = False
    first: bool = False
    payload: bool = False
    code: bool = False
    tool_calls: int = 0
    files: int = 0
    depth: int = 0
    answer_tokens: int = 0
    at_most: int = 0
    general: bool = False
    form: bool = False
    explicit: Literal["", "gptoss", "fm", "nobody"] = ""


@dataclass(frozen=True, slots=True)
class Length:
    """A unit in which an answer's length is asked for; the number is the pattern's group `n`."""

    name: str
    pattern: re.Pattern[str]
    tokens: float


@dataclass(frozen=True, slots=True)
class Range:
    """A number between `low` and `high`, both included."""

    low: float
    high: float


Condition = Range | bool | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """Adds `score` when all of `when` holds; one that `decides` settles it whatever the score."""

    name: str
    when: Mapping[str, Condition]
    because: str
    score: int = 0
    decides: Answerer | None = None


@dataclass(frozen=True, slots=True)
class Rubric:
    """What `gather` and `decide` go by. `reserve`: tokens of the window that are not planned.

    `doubt`: how close to the threshold a score is doubtful, so that the small model is asked.
    """

    threshold: int
    doubt: int
    reserve: int
    usual_answer: int
    signals: tuple[Signal, ...]
    lengths: tuple[Length, ...]
    numbers: Mapping[str, int]
    clause_ends: re.Pattern[str]
    not_files: frozenset[str]
    rules: tuple[Rule, ...]
