"""The header guard: a GBNF grammar under which gpt-oss cannot write a malformed header.

`<[id]>` matches a token, not its spelling (llama.cpp, grammars/README.md, "Tokens"). Bodies are
free; their second alternative is for tokens that hold a part of a character, which llama.cpp
matches by characters only. Generation may end wherever the grammar is complete: in a final message
or in a call.
"""

from __future__ import annotations

from collections.abc import Sequence

from acp_agent.harmony.names import recipient
from acp_agent.harmony.vocab import CHANNEL, CONSTRAIN, END, MESSAGE, START

_RULES = f"""\
analysis ::= <[{CHANNEL}]> "analysis" <[{MESSAGE}]> body next
preamble ::= <[{CHANNEL}]> "commentary" <[{MESSAGE}]> body next
final ::= <[{CHANNEL}]> "final" <[{MESSAGE}]> body
next ::= <[{END}]> <[{START}]> "assistant"
body ::= (!<[{END}]> | [\\x80-\\U0010FFFF])*
"""
_CALL_RULES = f"""\
call ::= address type? <[{MESSAGE}]> body
address ::= " to=" tool <[{CHANNEL}]> channel | <[{CHANNEL}]> channel " to=" tool
channel ::= "commentary" | "analysis"
type ::= " "? <[{CONSTRAIN}]> "json" | " json" | " code"
"""


def header_guard(tool_names: Sequence[str]) -> str:
    """Return the grammar for a model call that may use these tools, which may be none."""
    if not tool_names:
        return f"root ::= (analysis | preamble)* final\n{_RULES}"
    names = " | ".join(_quoted(recipient(name)) for name in tool_names)
    return (
        f"root ::= (analysis | preamble)* (call | final)\n{_RULES}{_CALL_RULES}tool ::= {names}\n"
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
