"""Rubric files: laying one's own over the shipped one, and what a broken one is told."""

from __future__ import annotations

import logging
import tomllib
from pathlib import Path

import pytest

from acp_agent.errors import ConfigError
from acp_agent.routing.decide import decide
from acp_agent.routing.facts import Facts, SessionFacts
from acp_agent.routing.gather import gather
from acp_agent.routing.load import SHIPPED, check, default_rubric, load_rubric


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


def test_the_shipped_rubric_obeys_its_schema() -> None:
    check(tomllib.loads(SHIPPED.read_text(encoding="utf-8")))


def test_without_a_file_the_shipped_rubric_is_used() -> None:
    assert load_rubric() is default_rubric()


def test_a_file_needs_only_what_it_changes(file: Path) -> None:
    file.write_text(
        'threshold = 500\n[rules.tools]\nscore = 7\n[words.change]\nnl = ["repareer"]\n'
    )
    mine, shipped = load_rubric(file), default_rubric()
    assert mine.threshold == 500
    assert [rule.score for rule in mine.rules if rule.name == "tools"] == [7]
    assert [r.name for r in mine.rules] == [r.name for r in shipped.rules]
    facts = gather("Repareer het", rubric=mine, count_tokens=len, session=SessionFacts())
    assert facts.signals == ("change",)


def test_a_file_may_add_signals_and_rules(file: Path) -> None:
    file.write_text(
        '[signals.poem]\nphrases.en = ["sonnet*"]\n'
        '[rules.poem]\nwhen = { signals = ["poem"] }\ndecides = "delegate"\nbecause = "it rhymes"\n'
    )
    mine = load_rubric(file)
    facts = gather("Two sonnets!", rubric=mine, count_tokens=len, session=SessionFacts())
    assert decide(facts, mine).reason == "It rhymes, so GPT-OSS answers"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("threshold = ", "is not TOML: Invalid value (at end of document)"),
        ("treshold = 3", "line 1: treshold: unknown key; known: version, threshold"),
        ("\n\nthreshold = 'high'", "line 3: threshold: 'high' is not of type 'integer'"),
        ("version = 2", "line 1: version: 1 was expected"),
        ("[rules.code]\nscore = 'x'", "line 2: rules.code.score: 'x' is not of type 'integer'"),
        ("[rules.code]\nscroe = 3", "line 2: rules.code.scroe: unknown key; known: when, because"),
        ("[rules.code]\ndecides = 'both'", "line 2: rules.code.decides: 'both' is not one of"),
        ("[rules.new]\nscore = 3", "line 1: rules.new: 'when' is missing"),
        ("[rules.new]\nwhen = { code = true }", "line 1: rules.new: 'because' is missing"),
        ("rules.code.when = { cod = true }", "line 1: rules.code.when.cod: there is no fact 'cod'"),
        ("[rules.code]\nwhen = { code = 3 }", "rules.code.when.code: 'code' is true or false"),
        ("[rules.code]\nwhen = { depth = true }", "'depth' is a number"),
        ("[rules.code]\nwhen = { depth = { min = 3, max = 1 } }", "min 3 is more than max 1"),
        ("[rules.code]\nwhen = { signals = ['x'] }", "there is no signal 'x'; known: "),
        ("[signals.x]\ntask = true", "line 1: signals.x: 'phrases' is missing"),
        ("[signals.x]\nphrases.en = ['{mak} it']", "line 2: signals.x.phrases.en: there is no set"),
        ("[signals.x]\nphrases.en = ['?!']", "signals.x.phrases.en: '?!' has no words in it"),
        ("[signals.x]\nphrases.en = ['(a|b']", "the parentheses of '(a|b' do not match"),
        ("[signals.x]\nphrases.en = ['a)(b']", "the parentheses of 'a)(b' do not match"),
        ("[signals.x]\nphrases.en = ['a|b']", "the choice in 'a|b' needs parentheses around it"),
        ("[signals.x]\nphrases.en = 'hi'", "signals.x.phrases.en: 'hi' is not of type 'array'"),
        ("[lengths.x]\nen = ['y']", "line 1: lengths.x: 'tokens' is missing"),
        ("[numbers.en]\n'a lot' = 9", "line 2: numbers.en.a lot: 'a lot' is not one word"),
        ("words = 3", "line 1: words: 3 is not of type 'object'"),
    ],
)
def test_a_broken_file_is_named_with_line_and_key(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_rubric(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_missing_file_and_one_that_is_no_text_are_named(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the rubric .*mine\.toml: .*No such file"):
        load_rubric(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"the rubric .*mine\.toml is not UTF-8"):
        load_rubric(file)
    with pytest.raises(ConfigError, match="is no path"):
        load_rubric(Path("\0"))


def test_the_shipped_rubric_stands_in_only_if_the_user_says_so(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text("threshold = 'x'")
    with caplog.at_level(logging.WARNING):
        assert load_rubric(file, default_if_broken=True) is default_rubric()
    assert "line 1: threshold" in caplog.text
    assert "going by the shipped rubric" in caplog.text


def test_every_fact_can_be_asked_about(file: Path) -> None:
    tests = {
        int: "{ min = 0 }",
        bool: "true",
        str: '"x"',
        tuple: '["code"]',
    }
    conditions = [
        f"{name} = {tests[type(getattr(Facts(), name))]}" for name in Facts.__dataclass_fields__
    ]
    file.write_text(f"[rules.all]\nbecause = 'x'\nscore = 1\nwhen = {{ {', '.join(conditions)} }}")
    assert load_rubric(file).rules[-1].when.keys() == Facts.__dataclass_fields__.keys()
