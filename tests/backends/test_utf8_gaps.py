"""The ids that llama.cpp leaves out are found again: its rule is played on real tokenizations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from hypothesis import example, given, settings
from hypothesis import strategies as st

from acp_agent.backends.utf8_gaps import LONGEST_EVENT, Gaps
from acp_agent.harmony.vocab import load_vocabulary

EMOJI = "👩‍👩‍👧 🫠 日本 ñ𒀀! हिन्दी ไทย € 🏴󠁧󠁢󠁥󠁮󠁧󠁿 𝔘𝔫𝔦"
TEXTS = st.text(st.characters(codec="utf-8")) | st.text(EMOJI)


@cache
def gaps() -> Gaps:
    return Gaps.of(load_vocabulary())


def ends_inside_a_character(text: bytes) -> bool:
    """Decide as the server does, by the last four bytes."""
    for back, byte in enumerate(reversed(text[-4:]), 1):
        if byte & 0xE0 == 0xC0 and back < 2:
            return True
        if byte & 0xF0 == 0xE0 and back < 3:
            return True
        if byte & 0xF8 == 0xF0 and back < 4:
            return True
    return False


def events(ids: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """Give the server's events: their text, and the ids of which it names the last."""
    unsent: list[int] = []
    for token in ids:
        unsent.append(token)
        text = load_vocabulary().bytes_of(unsent)
        if not ends_inside_a_character(text):
            yield text.decode(), unsent
            unsent = []


@settings(deadline=None)  # the first example loads the vocabulary
@given(TEXTS)
@example("\U0005f940")  # two splits of three tokens, of which the tokenizer takes one
def test_every_gap_in_a_tokenized_text_is_filled_exactly(text: str) -> None:
    for content, ids in events(load_vocabulary().encode_text(text)):
        if len(ids) > 1 and load_vocabulary().encode_text(content) == ids:
            assert gaps().fill(content, ids[-1], len(ids)) == tuple(ids)


@settings(deadline=None)  # the first example loads the vocabulary
@given(TEXTS)
def test_a_gap_that_depends_on_its_neighbours_is_filled_with_the_same_text(text: str) -> None:
    for content, ids in events(load_vocabulary().encode_text(text)):
        if len(ids) > 1:
            filled = gaps().fill(content, ids[-1], len(ids))
            assert filled is not None
            assert load_vocabulary().bytes_of(filled) == content.encode()


@settings(deadline=None)  # the first example loads the vocabulary
@given(TEXTS, st.integers(0, 201_088), st.integers(1, 300))
def test_what_is_filled_in_spells_the_content(content: str, last: int, count: int) -> None:
    ids = gaps().fill(content, last, count)
    if ids is not None:
        assert len(ids) == count
        assert ids[-1] == last
        assert load_vocabulary().bytes_of(ids) == content.encode()


def test_an_id_that_is_a_whole_character_ends_no_gap() -> None:
    assert gaps().fill("€ a", load_vocabulary().encode_text(" a")[0], 2) is None


def test_a_content_too_long_for_a_gap_is_not_searched() -> None:
    [*_, last] = load_vocabulary().encode_text("🫠")
    assert gaps().fill("🫠" * LONGEST_EVENT, last, 3 * LONGEST_EVENT) is None


def test_without_a_vocabulary_nothing_is_filled() -> None:
    assert Gaps({}, lambda _: ()).fill("🫠", 254, 4) is None
