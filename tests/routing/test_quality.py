"""How well the shipped rubric decides, on prompts that it was not tuned on."""

from __future__ import annotations

import pytest

from acp_agent.routing.load import default_rubric
from tests.routing.labelled import Last, labelled, measure

LANGUAGES = {"en", "de", "fr", "es", "pt", "it", "zh", "ja", "ru"}


def test_the_set_is_large_and_half_of_it_is_held_out() -> None:
    dev, held_out = labelled("dev"), labelled("held_out")
    assert len(dev) + len(held_out) >= 240
    assert abs(len(dev) - len(held_out)) <= 10
    for split in (dev, held_out):
        assert {item["language"] for item in split} == LANGUAGES
        assert {item["label"] for item in split} == {"inline", "delegate"}


def test_no_prompt_is_in_both_halves() -> None:
    def key(item: dict[str, object]) -> str:
        return f"{item['prompt']} {item.get('resources')}"

    assert not {key(i) for i in labelled("dev")} & {key(i) for i in labelled("held_out")}


@pytest.mark.parametrize("last", ["", "inline", "delegate"])
def test_the_held_out_half_is_decided_within_the_targets(last: Last) -> None:
    result = measure(labelled("held_out"), default_rubric(), last)
    assert result.accuracy > 0.90
    assert result.missed < 0.05
    assert result.needless < 0.10


def test_the_other_half_is_decided_within_the_targets() -> None:
    result = measure(labelled("dev"), default_rubric())
    assert result.accuracy > 0.90
    assert result.missed < 0.05
    assert result.needless < 0.10
