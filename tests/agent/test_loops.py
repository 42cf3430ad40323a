"""A text that repeats itself, and texts that only look so."""

from __future__ import annotations

import pytest

from acp_agent.agent.loops import is_looping


@pytest.mark.parametrize(
    "text",
    [
        "I can help. " + "I'm a little robot. " * 3,
        "Überführer: Guten Morgen\n\n" * 3,
        "404: HTTP 404R: HTTP 404R: HTTP 404R: HTTP 404R: HTTP 404R: ",
    ],
)
def test_the_same_three_times_is_a_loop(text: str) -> None:
    assert is_looping(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ha ha ha ha ha ha ha ha ha ha ha ha ha ha",
        "| a | b |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        "One is fast. Two is fast. Three is fast.",
        "I'm a little robot. I'm a little robot. And so on.",
    ],
)
def test_what_only_looks_like_one_is_none(text: str) -> None:
    assert not is_looping(text)
