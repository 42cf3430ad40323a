"""Reads the text format of `acp-agent serve --script FILE`: what a scripted model says, and when.

    # Prompts that contain these words are answered by the steps below.
    on "add a test":
      think I look at the file first.
      call read_file {"path": "app.py"}

      preamble Now I write the test.
      call apply_patch patch:
        *** Begin Patch
        *** Add File: test_app.py
        +assert True
        *** End Patch

      say The test is in test_app.py.

    otherwise:
      say Hello!

Each `call` and each `say` ends a step: one call of the model. The next step is played when the
model is asked again, with the tool's result. Steps in front of the first `on` are for all other
prompts, as those below `otherwise:` are.

Text may go on in lines that are indented deeper than their command. The commands:

    think TEXT              reasoning
    preamble TEXT           words for the user before a call
    say TEXT                the answer
    begin TEXT              an answer that breaks off: limit, drop, fail or overflow must follow
    call NAME JSON          a tool call (`functions.` is added to a bare name, except for python)
    call NAME ARGUMENT:     the same, with the indented lines as the one argument's text
    call NAME               the same, with the indented lines as they are (JSON or not)
    raw TEXT                Harmony with its control tokens, from after `<|start|>assistant`;
                            ends the step if it ends with <|call|> or <|return|>
    delay SECONDS           seconds between tokens from here on
    wait SECONDS            a pause
    load SECONDS            the engine loads its model first
    limit                   the length limit ends the step here
    drop                    the connection to the engine breaks here
    fail TEXT               the engine fails here with these words
    overflow                the engine's context is full here
    overflow TOKENS         the same, if the prompt has more tokens; else what stands before it in
                            the step is passed over, and what follows is said
    again                   begin anew with the first step (last line of an answer)

Lines whose first mark is # are comments, except inside a text.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from acp_agent.backends.script import (
    Answer,
    Begin,
    Delay,
    Drop,
    Fail,
    Invoke,
    Item,
    Limit,
    Load,
    Overflow,
    Preamble,
    Raw,
    Say,
    Think,
    Wait,
    ends_step,
)
from acp_agent.errors import ConfigError

TEXTS: dict[str, Callable[[str], Item]] = {
    "think": Think,
    "preamble": Preamble,
    "say": Say,
    "begin": Begin,
    "raw": Raw,
    "fail": Fail,
}
SECONDS: dict[str, Callable[[float], Item]] = {"delay": Delay, "wait": Wait, "load": Load}
BARE: dict[str, Item] = {"limit": Limit(), "drop": Drop()}
HEADS = ("on", "otherwise:")
COMMANDS = (*TEXTS, "call", *SECONDS, *BARE, "overflow", "again")


@dataclass(frozen=True, slots=True)
class _Line:
    """A command with the text behind it and the lines below it."""

    number: int
    command: str
    text: str
    body: str


def read_script(path: Path) -> list[Answer]:
    """Return the answers in a file. Raises ConfigError, which names the line."""
    try:
        return parse_script(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the script {path}: {error}") from None


def parse_script(source: str, name: str = "script") -> list[Answer]:
    """Return the answers in `source`. Raises ConfigError, which names the line."""
    try:
        blocks: list[tuple[_Line | None, list[_Line]]] = [(None, [])]
        for line in _lines(source):
            if line.command in HEADS:
                blocks.append((line, []))
            else:
                blocks[-1][1].append(line)
        if len(blocks) > 1 and not blocks[0][1]:
            del blocks[0]
        answers: list[Answer] = []
        for head, lines in blocks:
            answer = _answer(head, lines)
            if any(answer.pattern == other.pattern for other in answers):
                raise _BadLine(head.number if head else 1, "there is an answer for this already")
            answers.append(answer)
    except _BadLine as error:
        raise ConfigError(f"{name}:{error.number}: {error}") from None
    return answers


class _BadLine(Exception):
    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number


def _lines(source: str) -> list[_Line]:
    found: list[_Line] = []
    raw = source.expandtabs(4).splitlines()
    at = 0
    while at < len(raw):
        number, line = at + 1, raw[at]
        at += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        indent = _indent(line)
        command, _, text = line.strip().partition(" ")
        body: list[str] = []
        if command not in HEADS:
            while at < len(raw) and (not raw[at].strip() or _indent(raw[at]) > indent):
                body.append(raw[at])
                at += 1
        below = textwrap.dedent("\n".join(body)).strip("\n")
        found.append(_Line(number, command, text.strip(), below))
    return found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _answer(head: _Line | None, lines: Sequence[_Line]) -> Answer:
    pattern = None if head is None else _pattern(head)
    again = bool(lines) and lines[-1].command == "again"
    steps: list[list[Item]] = [[]]
    for line in lines[:-1] if again else lines:
        item = _item(line)
        steps[-1].append(item)
        if ends_step(item):
            steps.append([])
    if steps.pop():
        raise _BadLine(lines[-1].number, "the answer breaks off; end it with say or call")
    if not steps:
        number = 1 if head is None else head.number
        raise _BadLine(number, f"there are no steps; known commands: {', '.join(COMMANDS)}")
    return Answer(tuple(map(tuple, steps)), pattern, again)


def _pattern(line: _Line) -> str | None:
    if line.command == "otherwise:":
        return None
    found = re.fullmatch(r'"(.+)":', line.text)
    if not found:
        raise _BadLine(line.number, 'write it as on "words of the prompt":')
    return found[1]


def _item(line: _Line) -> Item:
    text = "\n".join(part for part in (line.text, line.body) if part)
    if line.command == "call":
        return _call(line)
    if make := TEXTS.get(line.command):
        if not text:
            raise _BadLine(line.number, f"{line.command} needs a text")
        return make(text)
    if make := SECONDS.get(line.command):
        if not re.fullmatch(r"\d+(\.\d+)?|\.\d+", text):
            raise _BadLine(line.number, f"{line.command} needs a number of seconds, not {text!r}")
        return make(float(text))
    if line.command == "overflow":
        if not re.fullmatch(r"\d*", text):
            raise _BadLine(line.number, f"overflow needs a number of tokens, not {text!r}")
        return Overflow(int(text or 0))
    if line.command == "again":
        raise _BadLine(line.number, "nothing can follow again")
    if line.command not in BARE:
        known = ", ".join(COMMANDS)
        raise _BadLine(line.number, f"unknown command {line.command!r}; known: {known}")
    if text:
        raise _BadLine(line.number, f"{line.command} takes no text, not {text!r}")
    return BARE[line.command]


def _call(line: _Line) -> Invoke:
    name, _, rest = line.text.partition(" ")
    if not re.fullmatch(r"[\w.-]+", name):
        raise _BadLine(line.number, f"call needs the name of a tool, not {name!r}")
    if argument := re.fullmatch(r"(\w+):", rest.strip()):
        return Invoke(name, json.dumps({argument[1]: line.body}, ensure_ascii=False))
    if not rest:
        return Invoke(name, line.body or "{}")
    arguments = f"{rest}\n{line.body}".strip()
    try:
        json.loads(arguments)
    except ValueError as error:
        hint = "put what is no JSON on purpose into indented lines"
        raise _BadLine(line.number, f"the arguments are not JSON ({error}); {hint}") from None
    return Invoke(name, arguments)
