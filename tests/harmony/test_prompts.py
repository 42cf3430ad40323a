"""The words of our own, and what they cost."""

from __future__ import annotations

from acp_agent.harmony.prompts import environment_note, instructions
from acp_agent.harmony.vocab import Vocabulary


def test_the_instructions_cost_little(vocabulary: Vocabulary) -> None:
    assert 0 < len(vocabulary.encode_text(instructions())) <= 350


def test_the_environment_note_names_the_workspace() -> None:
    assert (
        environment_note("/home/me/app", system="Linux") == "[workspace /home/me/app on Linux]\n\n"
    )
    assert (
        environment_note("/home/me/app", ("/home/me/lib", "/srv"), system="Darwin")
        == "[workspace /home/me/app, also /home/me/lib, /srv on Darwin]\n\n"
    )
