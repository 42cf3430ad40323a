"""Decisions: which rules fire, which of them settle it, and what the reason says."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from acp_agent.routing.decide import Decision, Fired, decide
from acp_agent.routing.facts import Facts
from acp_agent.routing.load import default_rubric

RUBRIC = default_rubric()
LIGHT = Facts(prompt_tokens=3, answer_tokens=25, fm_room=3400, signals=("summary",))
HEAVY = Facts(prompt_tokens=3, answer_tokens=300, fm_room=3100, code=True, signals=("code",))


def test_a_light_prompt_is_answered_inline_and_the_reason_says_why() -> None:
    assert decide(LIGHT, RUBRIC) == Decision(
        "inline",
        "It asks for a short piece of text, so the small model answers (score -30, threshold 50)",
        (Fired("light_task", -30, "it asks for a short piece of text"),),
        -30,
        LIGHT,
    )


def test_a_heavy_prompt_is_delegated_with_every_rule_that_fired() -> None:
    decision = decide(HEAVY, RUBRIC)
    assert decision.decision == "delegate"
    assert [(rule.name, rule.score) for rule in decision.rules] == [
        ("code", 60),
        ("long_answer", 60),
    ]
    assert decision.score == 120
    assert "it asks for a long answer" in decision.reason


def test_a_prompt_that_nothing_speaks_for_is_answered_inline() -> None:
    decision = decide(Facts(fm_room=3000, answer_tokens=90), RUBRIC)
    assert (decision.decision, decision.rules) == ("inline", ())
    assert decision.reason.startswith("Nothing in it needs GPT-OSS, so the small model answers")


@pytest.mark.parametrize(
    ("facts", "decision", "rule"),
    [
        (replace(LIGHT, fm_available=False), "delegate", "fm_unavailable"),
        (replace(HEAVY, gptoss_available=False), "inline", "gptoss_unavailable"),
        (replace(LIGHT, explicit="gptoss"), "delegate", "explicit_gptoss"),
        (replace(HEAVY, explicit="fm"), "inline", "explicit_fm"),
        (replace(LIGHT, fm_room=-1), "delegate", "window"),
        (replace(LIGHT, fm_room=-1, explicit="fm"), "delegate", "window"),
        (replace(LIGHT, fm_available=False, gptoss_available=False), "delegate", "fm_unavailable"),
    ],
)
def test_some_facts_settle_it_whatever_the_score(facts: Facts, decision: str, rule: str) -> None:
    found = decide(facts, RUBRIC)
    assert found.decision == decision
    assert next(fired.name for fired in found.rules if fired.decides) == rule


def test_an_absent_model_is_named_first_in_the_reason() -> None:
    for facts, name in (
        (replace(LIGHT, fm_available=False), "fm_unavailable: "),
        (replace(HEAVY, gptoss_available=False), "gptoss_unavailable: "),
    ):
        assert decide(facts, RUBRIC).reason.startswith(name)


def test_a_window_that_is_just_full_still_holds() -> None:
    assert decide(replace(LIGHT, fm_room=0), RUBRIC).decision == "inline"


def test_yes_goes_on_with_whoever_answered_last() -> None:
    said = Facts(signals=("follow_up",), answer_tokens=90, fm_room=3000)
    assert decide(replace(said, last_decision="delegate"), RUBRIC).decision == "delegate"
    assert decide(replace(said, last_decision="inline"), RUBRIC).decision == "inline"


def test_a_decision_as_json_holds_all_facts_and_marks_rules_that_decide() -> None:
    facts = replace(LIGHT, explicit="gptoss")
    found = decide(facts, RUBRIC)
    assert found.as_json() == {
        "decision": "delegate",
        "reason": found.reason,
        "rules": [
            {"name": "explicit_gptoss", "score": 0, "decides": "delegate"},
            {"name": "light_task", "score": -30},
        ],
        "score": -30,
        "facts": {**asdict(facts), "signals": ["summary"]},
    }


def test_what_is_not_recognised_is_delegated() -> None:
    decision = decide(Facts(fm_room=3000, answer_tokens=90, unrecognised=True), RUBRIC)
    assert decision.decision == "delegate"
    assert decision.reason.startswith("Nothing in it shows that it is light, so GPT-OSS answers")
