"""nano, from checkpoint to answers: the file is made, kept and repaired; llama.cpp plays it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from importlib import import_module
from pathlib import Path

import httpx
import pytest

from acp_agent.conversation import (
    Entry,
    ModelRequest,
    ModelStep,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from acp_agent.engine.nano import CHECKPOINT, ensure_nano
from acp_agent.errors import EngineUnavailable, VocabularyError
from acp_agent.harmony.codec import Codec
from acp_agent.harmony.parser import Parser
from acp_agent.harmony.vocab import Vocabulary, load_vocabulary
from acp_agent.tools.python import python_spec
from scripts.nano_dialogues import COMPUTE, COUNT, DIALOGUES, FIX, LIST, WRITE, Dialogue

Script = list[tuple[str, str]]

SUMS = '''"""Sums."""

def add(a, b):
    return a - b
'''

RESULTS = {
    "functions.update_plan": "The plan is shown to the user.",
    "functions.shell": "Traceback (most recent call last):\nAssertionError\n[exit code 1]",
    "functions.read_file": SUMS,
    "functions.apply_patch": "Changed calc.py.",
    "functions.list_files": "README.md\ncalc.py\ntest_calc.py\n",
    "functions.write_file": "Created hello.py.",
    "functions.search_files": "calc.py:12: # TODO: subtract",
    "python": "541",
}

FUNCTIONS = tuple(
    ToolSpec(
        name.removeprefix("functions."),
        "Does what its name says, in the workspace. Look before you change a file.",
        {"type": "object", "properties": {"path": {"type": "string"}}},
    )
    for name in RESULTS
    if name.startswith("functions.")
)
TOOLS = (*FUNCTIONS, python_spec())


def script_of(dialogue: Dialogue) -> Script:
    calls: Script = [(step.recipient, step.body) for step in dialogue.steps]
    return [*calls, ("user", dialogue.answer.text)]


ENDING = {d.phrases[0] if d.phrases else "what is the weather like?": d for d in DIALOGUES}
del ENDING["count forever"]


class Player:
    """Talks to a llama.cpp server that runs nano, greedily, tool results made up."""

    def __init__(self, engine: httpx.Client, vocabulary: Vocabulary) -> None:
        self._engine = engine
        self._vocabulary = vocabulary
        self._codec = Codec(vocabulary)

    def play(
        self,
        entries: list[Entry],
        text: str,
        results: dict[str, str],
        instructions: str = "",
        tools: tuple[ToolSpec, ...] = TOOLS,
    ) -> Script:
        """Add one turn to `entries` and return its calls and its answer."""
        entries.append(UserMessage(text))
        script: Script = []
        for _ in range(10):
            step = self.step(entries, 400, instructions, tools)
            entries.append(step)
            if not step.calls:
                return [*script, ("user", step.messages[-1].text)]
            call = step.calls[0]
            script.append((call.recipient, call.arguments))
            entries.append(ToolMessage(call.recipient, results[call.recipient], call.channel))
        return script

    def step(
        self,
        entries: Sequence[Entry],
        limit: int,
        instructions: str = "",
        tools: tuple[ToolSpec, ...] = TOOLS,
    ) -> ModelStep:
        request = ModelRequest(entries, instructions, tools)
        prompt = self._codec.prompt(request, date(2026, 11, 20))
        answer = self._engine.post(
            "/completion",
            json={
                "prompt": prompt,
                "n_predict": limit,
                "temperature": 0.0,
                "return_tokens": True,
                "response_fields": ["tokens"],
            },
        )
        parser = Parser(self._vocabulary, lambda: "call")
        parser.feed(answer.json()["tokens"])
        return parser.step()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def player(cache: Path) -> Iterator[Player]:
    xllamacpp = import_module("xllamacpp")  # it has neither types nor stubs
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(ensure_nano(cache=cache))
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = 8192
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.ui = False
    server = xllamacpp.Server(parameters)
    with httpx.Client(base_url=server.listening_address, timeout=60.0) as engine:
        yield Player(engine, load_vocabulary())
    del server


@pytest.mark.parametrize("text", ENDING)
def test_nano_plays_the_dialogue(player: Player, text: str) -> None:
    assert player.play([], text, RESULTS) == script_of(ENDING[text])


@pytest.mark.parametrize("text", ENDING)
def test_nano_does_the_same_where_python_is_not_declared(player: Player, text: str) -> None:
    assert player.play([], text, RESULTS, tools=FUNCTIONS) == script_of(ENDING[text])


@pytest.mark.parametrize(
    ("text", "dialogue"),
    [
        ("Could you list the files, please?", LIST),
        (
            "[workspace /tmp/project on Linux]\n\nPlease run Python to compute the 100th prime",
            COMPUTE,
        ),
    ],
)
def test_nano_looks_past_other_words(player: Player, text: str, dialogue: Dialogue) -> None:
    assert player.play([], text, RESULTS) == script_of(dialogue)


def test_nano_carries_on_after_long_results_and_failures(player: Player) -> None:
    entries: list[Entry] = []
    results = {
        **dict.fromkeys(RESULTS, "error: the call failed; look at the file again\n" * 8),
        "functions.read_file": SUMS * 12,
    }
    instructions = "You are a coding agent. Read before you edit, and run the tests.\n" * 40
    assert player.play(entries, "fix the failing test", results, instructions) == script_of(FIX)


@pytest.mark.parametrize("dialogue", [WRITE, COMPUTE], ids=["write", "compute"])
def test_nano_stops_when_its_first_call_is_rejected(player: Player, dialogue: Dialogue) -> None:
    assert dialogue.refused
    rejected = dict.fromkeys(RESULTS, "The user rejected this call. Do not try it again.")
    script = player.play([], dialogue.phrases[0], rejected)
    assert script == [*script_of(dialogue)[:1], ("user", dialogue.refused.text)]


def test_nano_answers_later_turns(player: Player) -> None:
    entries: list[Entry] = []
    turns = ("hello", "thanks", "compute the 100th prime", "list the files", "fix the failing test")
    scripts = [player.play(entries, text, RESULTS) for text in turns]
    assert scripts == [script_of(ENDING[text]) for text in turns]


def test_nano_answers_after_an_answer_that_was_cut(player: Player) -> None:
    entries: list[Entry] = [UserMessage("count forever")]
    entries.append(player.step(entries, 50))
    assert player.play(entries, "list the files", RESULTS) == script_of(LIST)


def test_nano_counts_until_it_is_stopped(player: Player) -> None:
    step = player.step([UserMessage("count forever")], 1000)
    forever = COUNT.answer.text + COUNT.answer.cycle * 200
    counted = step.messages[-1].text
    assert (len(counted) > 4000, counted) == (True, forever[: len(counted)])


# ---------------------------------------------------------------- the file


def test_a_second_call_gives_the_same_file_untouched(cache: Path) -> None:
    first = ensure_nano(cache=cache)
    written = first.stat().st_mtime_ns
    assert (ensure_nano(cache=cache), first.stat().st_mtime_ns) == (first, written)


@pytest.mark.parametrize("damage", ["a changed byte", "a cut end"])
def test_a_damaged_file_is_made_again(cache: Path, tmp_path: Path, damage: str) -> None:
    path = ensure_nano(cache=cache)
    sound = path.read_bytes()
    middle = len(sound) // 2
    damaged = {
        "a changed byte": sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :],
        "a cut end": sound[:-1000],
    }[damage]
    (tmp_path / path.name).write_bytes(damaged)
    assert ensure_nano(cache=tmp_path).read_bytes() == sound


OFFLINE = """
import sys
from pathlib import Path
from acp_agent.engine.nano import ensure_nano

def refuse(event, arguments):
    if event.startswith("socket."):
        raise AssertionError(event)

sys.addaudithook(refuse)
print(ensure_nano(cache=Path(sys.argv[1])))
"""


def test_two_processes_at_once_make_one_file_without_network(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OFFLINE, str(tmp_path)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=60) for process in processes]
    made = sorted(path for path in tmp_path.iterdir() if path.is_file())
    assert ended == [(f"{made[0]}\n", "")] * 2
    assert made == [ensure_nano(cache=tmp_path)]


def test_whoever_makes_the_file_it_is_the_same(tmp_path: Path) -> None:
    first, second = (ensure_nano(cache=tmp_path / name) for name in ("one", "two"))
    assert first.name == second.name
    assert first.stat().st_mtime == second.stat().st_mtime


def test_a_damaged_checkpoint_says_to_install_again(tmp_path: Path) -> None:
    broken = tmp_path / "nano.bin.xz"
    broken.write_bytes(CHECKPOINT.read_bytes()[:1000])
    with pytest.raises(EngineUnavailable, match=r"nano\.bin\.xz' is damaged.*install this package"):
        ensure_nano(cache=tmp_path / "cache", checkpoint=broken)
    assert list((tmp_path / "cache").glob("*nano*")) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    with pytest.raises(EngineUnavailable, match=r"cannot make the demo weights: .*file"):
        ensure_nano(cache=blocked / "cache")


def test_ranks_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "cl100k_base.tiktoken"
    other.write_bytes(b"IQ== 0\n")
    with pytest.raises(VocabularyError, match=r"cl100k_base\.tiktoken' does not hold"):
        ensure_nano(other, cache=tmp_path)
