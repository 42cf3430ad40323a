"""The shape of the header guard; that llama.cpp takes it is shown with the real engine."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from acp_agent.harmony.grammar import header_guard


def test_it_names_the_tools_on_offer() -> None:
    assert header_guard(["read_file", "web-fetch", "python", "browser.search"]) == snapshot("""\
root ::= (analysis | preamble)* (call | final)
analysis ::= <[200005]> "analysis" <[200008]> body next
preamble ::= <[200005]> "commentary" <[200008]> body next
final ::= <[200005]> "final" <[200008]> body
next ::= <[200007]> <[200006]> "assistant"
body ::= (!<[200007]> | [\\x80-\\U0010FFFF])*
call ::= address type? <[200008]> body
address ::= " to=" tool <[200005]> channel | <[200005]> channel " to=" tool
channel ::= "commentary" | "analysis"
type ::= " "? <[200003]> "json" | " json" | " code"
tool ::= "functions.read_file" | "functions.web-fetch" | "python" | "browser.search"
""")


def test_without_tools_there_is_no_call() -> None:
    assert header_guard([]) == snapshot("""\
root ::= (analysis | preamble)* final
analysis ::= <[200005]> "analysis" <[200008]> body next
preamble ::= <[200005]> "commentary" <[200008]> body next
final ::= <[200005]> "final" <[200008]> body
next ::= <[200007]> <[200006]> "assistant"
body ::= (!<[200007]> | [\\x80-\\U0010FFFF])*
""")


@pytest.mark.parametrize("name", ['a"b', "a\\b"])
def test_a_name_cannot_leave_its_quotes(name: str) -> None:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    assert f'tool ::= "functions.{escaped}"\n' in header_guard([name])


def test_every_rule_that_is_used_is_defined() -> None:
    for names in ([], ["shell"]):
        lines = header_guard(names).splitlines()
        defined = {line.split(" ::= ")[0] for line in lines}
        used = {
            word.strip("()?*")
            for line in lines
            for word in line.split(" ::= ")[1].split()
            if word.strip("()?*").isalpha()
        }
        assert used == defined - {"root"}
