"""The small language in which a rubric spells words and phrases, made into regular expressions.

Words are compared without case and accents. In a phrase, `fix*` is a word that begins so, `(a|b c)`
is one of these, `{make}` is any word of that set, `..` is a gap of up to six words (sixteen
characters in Chinese and Japanese), and `^` is the beginning of a clause, with or without the
words of the set `polite` before it. Everything else that is no letter stands for any punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

UNSPACED = frozenset({"zh", "ja"})
CJK = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
GAP = r"(?:[^\w\n!?]{1,4}\w+){0,6}?[^\w\n!?]{1,4}"
NOTHING = "(?!)"
UNSPACED_GAP = r"[^\n!?。]{0,16}?"

_BORDER = re.compile(rf"(?<=[{CJK}])(?=[^\W{CJK}])|(?<=[^\W{CJK}])(?=[{CJK}])")
_TOKEN = re.compile(r"\{\w+\}|\s*\.\.\s*|[\^()|]|[\w*]+|\s+|[^\w\s*]")
_WORD = re.compile(r"[\w*]+\Z")
_CHINESE = re.compile(f"[{CJK}]")

# Languages by script, so that a prompt in Latin letters does not pay for Chinese phrases.
SCRIPTS = {"zh": "chinese", "ja": "chinese", "ru": "cyrillic", "uk": "cyrillic", "bg": "cyrillic"}
_LETTERS = {
    "chinese": _CHINESE,
    "cyrillic": re.compile(r"[\u0400-\u04ff]"),
    "": re.compile(rf"[^\W{CJK}\u0400-\u04ff]"),
}

Words = Mapping[str, Mapping[str, Sequence[str]]]


class PhraseError(ValueError):
    """A phrase cannot be understood; the text says why."""


def normalise(text: str) -> str:
    """Return `text` without case and accents, Latin words set apart from Chinese characters."""
    text = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(letter for letter in text if not unicodedata.combining(letter))
    return _BORDER.sub(" ", bare)


def phrase_pattern(phrase: str, words: Words, language: str) -> str:
    """Return the regular expression of one phrase.

    Raises:
        PhraseError: It has no words, names an unknown set, or its parentheses do not match.

    """
    tokens = _TOKEN.findall(normalise(phrase).strip())
    if not any(_WORD.match(token) or token[0] == "{" for token in tokens):
        raise PhraseError(f"{phrase!r} has no words in it")
    _check_parentheses(phrase, tokens)
    return "".join(_pattern(token, words, language) for token in tokens)


def _check_parentheses(phrase: str, tokens: Sequence[str]) -> None:
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth < 0:
            break
    if depth:
        raise PhraseError(f"the parentheses of {phrase!r} do not match")
    if "|" in tokens and "(" not in tokens:
        raise PhraseError(f"the choice in {phrase!r} needs parentheses around it")


def words_pattern(spelled: Sequence[str], words: Words, language: str) -> str:
    """Return a pattern of any of the phrases `spelled`, the longest first."""
    longest_first = sorted(spelled, key=len, reverse=True)
    return "(?:" + "|".join(phrase_pattern(word, words, language) for word in longest_first) + ")"


def _pattern(token: str, words: Words, language: str) -> str:
    match token[0], token.strip():
        case _, "..":
            return UNSPACED_GAP if language in UNSPACED else GAP
        case "^", _:
            polite = words.get("polite", {}).get(language, ())
            please = rf"(?:{words_pattern(polite, {}, language)}\W+)*" if polite else ""
            # Only the last mark of a run begins a clause, or each would be tried, and all after it.
            return rf"(?:\A|(?<=[.!?;,:\n。、])(?![.!?;,:\n。、]))[^\w.!?;,:\n。、]*{please}"
        case "(", _:
            return "(?:"
        case (")" | "|") as sign, _:
            return sign
        case "{", name:
            return _set(name[1:-1], words, language)
        case _, "":
            return r"\W+"
        case _, word if _WORD.match(word):
            return _word(word)
        case _:
            return r"\W*"


def _set(name: str, words: Words, language: str) -> str:
    if name not in words:
        raise PhraseError(f"there is no set of words {name!r}; known: {', '.join(sorted(words))}")
    found = [*words[name].get(language, ()), *words[name].get("any", ())]
    # A set that has no words in this language matches nothing.
    return words_pattern(found, {}, language) if found else NOTHING


def _word(word: str) -> str:
    before = "" if _CHINESE.match(word[0]) or word[0] == "*" else r"(?<!\w)"
    after = "" if _CHINESE.match(word[-1]) or word[-1] == "*" else r"(?!\w)"
    return before + word.replace("*", r"\w*") + after


class Phrases:
    """Many phrases to look for at once; those of a script are compiled when it is first met."""

    def __init__(self, patterns: Mapping[str, Sequence[str]]) -> None:
        """Take patterns by language."""
        self._patterns: dict[str, list[str]] = {}
        for language, found in patterns.items():
            # A pattern that names a set without words in its language cannot match.
            usable = [pattern for pattern in found if NOTHING not in pattern]
            self._patterns.setdefault(SCRIPTS.get(language, ""), []).extend(usable)
        self._compiled: dict[str, re.Pattern[str]] = {}

    def search(self, text: str) -> re.Match[str] | None:
        """Return the match in normalised `text` that ends first."""
        found = [m for p in map(self._pattern, _scripts(text)) if (m := p.search(text))]
        return min(found, key=lambda match: (match.end(), -match.start()), default=None)

    def _pattern(self, script: str) -> re.Pattern[str]:
        if script not in self._compiled:
            distinct = dict.fromkeys(self._patterns.get(script, ()))
            self._compiled[script] = re.compile("|".join(distinct) or NOTHING)
        return self._compiled[script]


def _scripts(text: str) -> list[str]:
    return [script for script, letters in _LETTERS.items() if letters.search(text)]
