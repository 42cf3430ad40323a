"""A rubric's TOML table, already of the right shape, to a `Rubric` with its patterns compiled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

from acp_agent.routing.facts import Facts
from acp_agent.routing.phrases import (
    PhraseError,
    Phrases,
    Words,
    normalise,
    phrase_pattern,
    words_pattern,
)
from acp_agent.routing.rubric import Condition, Length, Range, Rubric, Rule, Signal

CLAUSE_END = r"[!?;\n。！？；]|\.(?=\s|\Z)"
FACTS: dict[str, type] = {field.name: type(getattr(Facts(), field.name)) for field in fields(Facts)}


class RubricError(Exception):
    """Something is wrong at `key`, the path of the entry in the file."""

    def __init__(self, key: tuple[str, ...], text: str) -> None:
        super().__init__(text)
        self.key = key


def build_rubric(table: Mapping[str, Any]) -> Rubric:
    """Return the rubric that `table` describes.

    Raises:
        RubricError: A phrase or a rule names what does not exist.

    """
    words: Words = table["words"]
    languages = sorted({language for found in words.values() for language in found} - {"any"})
    numbers = _numbers(table["numbers"])
    signals = tuple(_signal(n, t, words, languages) for n, t in table["signals"].items())
    known = {signal.name for signal in signals}
    then = [word for found in words.get("then", {}).values() for word in found]
    return Rubric(
        threshold=table["threshold"],
        doubt=table["doubt"],
        reserve=table["reserve"],
        usual_answer=table["usual_answer"],
        signals=signals,
        lengths=tuple(_length(n, t, numbers) for n, t in table["lengths"].items()),
        numbers=numbers,
        clause_ends=re.compile(
            f"{CLAUSE_END}|{words_pattern(then, {}, '')}" if then else CLAUSE_END
        ),
        not_files=frozenset(name.casefold() for name in table["not_files"]),
        rules=tuple(_rule(name, rule, known) for name, rule in table["rules"].items()),
    )


def _numbers(table: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for language, found in table.items():
        for word, number in found.items():
            if not re.fullmatch(r"\w+", normalise(word)):
                raise RubricError(("numbers", language, word), f"{word!r} is not one word")
            numbers[normalise(word)] = number
    return numbers


def _signal(name: str, table: Mapping[str, Any], words: Words, languages: Sequence[str]) -> Signal:
    patterns: dict[str, list[str]] = {}
    for where, phrases in _needed(table, "phrases", ("signals", name)).items():
        key = ("signals", name, "phrases", where)
        for language in languages if where == "each" else [where]:
            found = [_pattern(phrase, words, language, key) for phrase in phrases]
            patterns.setdefault(language, []).extend(found)
    values = {key: value for key, value in table.items() if key != "phrases"}
    return Signal(name, Phrases(patterns), **values)


def _pattern(phrase: str, words: Words, language: str, key: tuple[str, ...]) -> str:
    try:
        return phrase_pattern(phrase, words, language)
    except PhraseError as error:
        raise RubricError(key, str(error)) from None


def _length(name: str, table: Mapping[str, Any], numbers: Mapping[str, int]) -> Length:
    tokens = _needed(table, "tokens", ("lengths", name))
    names = [word for key, found in table.items() if key != "tokens" for word in found]
    units = words_pattern(names, {}, "")
    spelled = words_pattern(list(numbers), {}, "")
    number = rf"(?P<n>(?<![\w.,])\d{{1,20}}(?:[.,]\d{{3}}){{0,2}}|{spelled})"
    return Length(name, re.compile(rf"{number}(?:\W{{1,3}}\w{{1,20}})?\W{{0,3}}{units}"), tokens)


def _rule(name: str, table: Mapping[str, Any], signals: set[str]) -> Rule:
    when = {
        fact: _condition(wanted, ("rules", name, "when", fact), signals)
        for fact, wanted in _needed(table, "when", ("rules", name)).items()
    }
    because = _needed(table, "because", ("rules", name))
    return Rule(name, when, because, table.get("score", 0), table.get("decides"))


def _needed(table: Mapping[str, Any], name: str, key: tuple[str, ...]) -> Any:
    if name not in table:
        raise RubricError(key, f"{name!r} is missing")
    return table[name]


def _condition(wanted: Any, key: tuple[str, ...], signals: set[str]) -> Condition:
    fact = key[-1]
    kind = FACTS.get(fact)
    if kind is None:
        raise RubricError(key, f"there is no fact {fact!r}; known: {', '.join(FACTS)}")
    match wanted:
        case dict() if kind is int:
            return _range(cast("dict[str, float]", wanted), key)
        case list() if kind in (str, tuple):
            names = tuple(cast("list[str]", wanted))
            unknown = [name for name in names if kind is tuple and name not in signals]
            if unknown:
                known = ", ".join(sorted(signals))
                raise RubricError(key, f"there is no signal {unknown[0]!r}; known: {known}")
            return names
        case bool() | str() if type(wanted) is kind:
            return wanted
        case int() if type(wanted) is kind:
            return Range(wanted, wanted)
        case _:
            raise RubricError(key, f"{fact!r} is {_KINDS[kind]}, not {wanted!r}")


def _range(limits: Mapping[str, float], key: tuple[str, ...]) -> Range:
    low, high = limits.get("min", float("-inf")), limits.get("max", float("inf"))
    if low > high:
        raise RubricError(key, f"min {low} is more than max {high}")
    return Range(low, high)


_KINDS: dict[type, str] = {
    int: "a number (or { min = …, max = … })",
    bool: "true or false",
    str: "a word in quotes",
    tuple: "a list of signals",
}
