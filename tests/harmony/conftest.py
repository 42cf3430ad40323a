"""One vocabulary for all Harmony tests, and golden files of token ids beside their text."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from acp_agent.harmony.parser import Parser
from acp_agent.harmony.vocab import Vocabulary, load_vocabulary

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return load_vocabulary()


@pytest.fixture(scope="session")
def parser(vocabulary: Vocabulary) -> Callable[[], Parser]:
    """Make parsers whose calls are `call-1`, `call-2` and so on."""

    def make() -> Parser:
        numbers = itertools.count(1)
        return Parser(vocabulary, lambda: f"call-{next(numbers)}")

    return make


@pytest.fixture
def golden(vocabulary: Vocabulary) -> Callable[[str, Sequence[int]], None]:
    """Compare ids with tests/golden/NAME.txt; GOLDEN=write writes the file instead.

    A line holds ids and, after a bar, what they decode to; it ends where the text's line ends.
    """

    def check(name: str, ids: Sequence[int]) -> None:
        lines: list[list[int]] = [[]]
        for token in ids:
            lines[-1].append(token)
            if b"\n" in vocabulary.token_bytes(token):
                lines.append([])
        shown = [
            f"{' '.join(map(str, line))} | {vocabulary.decode(line)!r}" for line in lines if line
        ]
        text = "\n".join(shown) + "\n"
        file = GOLDEN / f"{name}.txt"
        if os.environ.get("GOLDEN") == "write":
            file.write_text(text, encoding="utf-8")
        assert text == file.read_text(encoding="utf-8")

    return check
