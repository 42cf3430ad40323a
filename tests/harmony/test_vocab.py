"""The vocabulary: text and ids, control tokens, one load in a process, no network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acp_agent.harmony import vocab
from acp_agent.harmony.vocab import FIRST_SPECIAL, SIZE, Vocabulary

LOAD = """
import json, os, socket, sys, threading

def refuse(*_):
    raise AssertionError("the network was used")

socket.socket.connect = refuse
from acp_agent.harmony.vocab import load_vocabulary
light = [name for name in ("openai_harmony", "pydantic") if name in sys.modules]
found = []
threads = [threading.Thread(target=lambda: found.append(load_vocabulary())) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps([
    len(found), len(set(map(id, found))), light, os.environ.get("TIKTOKEN_ENCODINGS_BASE"),
    found[0].encode_text("hello world"),
]))
"""


def test_a_process_loads_it_once_offline_and_leaves_no_trace(tmp_path: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == [4, 1, [], None, [24912, 2375]]
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()] == [
        "acp-agent/vocabulary/o200k_base.tiktoken"
    ]


def test_the_control_tokens_are_what_their_names_say(vocabulary: Vocabulary) -> None:
    names = ("ENDOFTEXT", "RETURN", "CONSTRAIN", "CHANNEL", "START", "END", "MESSAGE", "CALL")
    spelled = {name: vocabulary.decode([getattr(vocab, name)]) for name in names}
    assert spelled == {name: f"<|{name.lower()}|>" for name in names}


def test_a_spelled_control_token_is_text_unless_trusted(vocabulary: Vocabulary) -> None:
    assert vocabulary.encode_text("<|end|>") == [27, 91, 419, 91, 29]
    assert vocabulary.encode_trusted("<|end|>") == [vocab.END]


def test_a_lone_surrogate_is_replaced(vocabulary: Vocabulary) -> None:
    assert vocabulary.decode(vocabulary.encode_text("a\ud83db")) == "a\ufffdb"


@given(st.text())
def test_text_survives_the_round_trip(vocabulary: Vocabulary, text: str) -> None:
    ids = vocabulary.encode_text(text)
    assert vocabulary.decode(ids) == text
    assert all(token < FIRST_SPECIAL for token in ids)


@given(st.lists(st.integers()))
def test_any_ids_decode(vocabulary: Vocabulary, ids: list[int]) -> None:
    known = [token for token in ids if 0 <= token < SIZE]
    assert vocabulary.decode(ids) == vocabulary.decode(known)


def test_the_fragments_are_the_tokens_that_alone_are_no_text(vocabulary: Vocabulary) -> None:
    fragments = vocabulary.fragments()
    assert len(fragments) == 1562
    assert all(vocabulary.token_bytes(token) == piece for piece, token in fragments.items())
    assert all("\ufffd" in vocabulary.decode([token]) for token in fragments.values())


@pytest.mark.parametrize("run", ["=" * 1_000_000, " " * 1_000_000, "é" * 100_000])
def test_a_run_without_a_break_is_encoded_and_survives(vocabulary: Vocabulary, run: str) -> None:
    text = f"before {run} after"
    assert vocabulary.decode(vocabulary.encode_text(text)) == text


def test_text_with_ordinary_words_is_encoded_in_one_piece(vocabulary: Vocabulary) -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    whole = vocabulary.encoding.encode(text, disallowed_special=())
    assert vocabulary.encode_text(text) == whole
