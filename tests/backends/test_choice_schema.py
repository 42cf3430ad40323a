"""The schema that a server constrains an answer with."""

from __future__ import annotations

from typing import Any

import pytest

from acp_agent.backends.choice_schema import Choice, read_choice
from acp_agent.errors import EngineFailed


def test_references_are_written_out_and_titles_of_free_strings_left_out() -> None:
    schema: dict[str, Any] = {
        "title": "Decision",
        "type": "object",
        "properties": {
            "decision": {"$ref": "#/$defs/Where"},
            "reason": {"type": "string", "title": "Reason"},
            "again": {"type": "array", "items": {"$ref": "#/$defs/Where"}},
        },
        "$defs": {"Where": {"type": "string", "title": "Where", "enum": ["a", "b"]}},
    }
    where = {"type": "string", "title": "Where", "enum": ["a", "b"]}
    assert Choice(schema).schema == {
        "title": "Decision",
        "type": "object",
        "properties": {
            "decision": where,
            "reason": {"type": "string"},
            "again": {"type": "array", "items": where},
        },
    }


def test_a_choice_of_strings_gets_its_type_which_apfel_would_miss() -> None:
    schema: dict[str, Any] = {"properties": {"a": {"enum": ["x", "y"]}, "b": {"enum": [1, 2]}}}
    assert Choice(schema).schema == {
        "properties": {"a": {"type": "string", "enum": ["x", "y"]}, "b": {"enum": [1, 2]}}
    }


@pytest.mark.parametrize(
    "text", ['{"a": "x", "b": "z"}', '{"a": "z"}', '{"b": "x"}', '{"a": null, "b": "x"}']
)
def test_each_property_has_one_of_its_values_and_none_that_is_required_lacks(text: str) -> None:
    one_of = {"enum": ["x", "y"]}
    choice = Choice({"properties": {"a": one_of, "b": one_of}, "required": ["a"]})
    assert read_choice(choice, '{"a": "x"}') == {"a": "x"}
    with pytest.raises(EngineFailed, match=r"the model chose .* of x, y"):
        read_choice(choice, text)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "refers to itself"),
        (
            {
                "$ref": "#/$defs/a",
                "$defs": {
                    "a": {"items": {"$ref": "#/$defs/b"}},
                    "b": {"not": {"$ref": "#/$defs/a"}},
                },
            },
            "refers to itself",
        ),
        ({"$ref": "#/$defs/none"}, "which it does not hold"),
        ({"properties": {"a": {"$ref": "#"}}}, "which it does not hold"),
        ({"$ref": "https://example.org/schema"}, "which it does not hold"),
    ],
)
def test_a_schema_that_could_hang_a_server_is_refused(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Choice(schema)


def test_a_choice_is_read_from_among_other_words() -> None:
    assert read_choice(Choice({"type": "object"}), 'Sure: ```json\n{"a": 1}\n```') == {"a": 1}
