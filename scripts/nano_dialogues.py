"""What nano knows by heart: a few dialogues with their calls and answers, and text to be ignored.

The words of the assistant are learned exactly; everything around them is noise in training. The
first word of a thought is unlike that of any other thought of its dialogue, so that one choice
decides a step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Do:
    """A step that thinks and calls `functions.<tool>`."""

    thought: str
    tool: str
    arguments: Mapping[str, object]

    channel = "commentary"
    content_type = " <|constrain|>json"

    @property
    def recipient(self) -> str:
        return f"functions.{self.tool}"

    @property
    def body(self) -> str:
        return json.dumps(self.arguments, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Run:
    """A step that thinks and calls `python`: the body is the code as it is."""

    thought: str
    body: str

    channel = "analysis"
    content_type = " code"
    recipient = "python"


Step = Do | Run


@dataclass(frozen=True, slots=True)
class Say:
    """The last step: an answer, after a thought if there is one.

    `cycle` follows the text for ever, and the answer never ends.
    """

    text: str
    thought: str = ""
    cycle: str = ""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What to do when the last user message holds one of `phrases` (none: any other message).

    `refused` replaces the rest when the first tool result begins with `REFUSAL`.
    """

    phrases: tuple[str, ...]
    answer: Say
    steps: tuple[Step, ...] = ()
    refused: Say | None = None
    weight: float = field(default=1.0, kw_only=True)


REFUSAL = "The user rejected"

PATCH = """*** Begin Patch
*** Update File: calc.py
@@
 def add(a, b):
-    return a - b
+    return a + b
*** End Patch"""


def _plan(*statuses: str) -> dict[str, object]:
    steps = ("Run the test", "Fix the bug", "Check the fix")
    pairs = zip(steps, statuses, strict=True)
    return {"plan": [{"step": step, "status": status} for step, status in pairs]}


FIX = Dialogue(
    ("fix the failing test", "Fix the failing test", "fix the failing tests"),
    Say(
        "The test failed because `add` in calc.py subtracted. I changed `a - b` to `a + b`,"
        " and ran the test again. 🎉",
        "Everything is done; time to answer.",
    ),
    (
        Do("Let me plan first.", "update_plan", _plan("in_progress", "pending", "pending")),
        Do("See what fails.", "shell", {"command": "python3 test_calc.py"}),
        Do("Open the module.", "read_file", {"path": "calc.py"}),
        Do("The sign is wrong: add subtracts.", "apply_patch", {"patch": PATCH}),
        Do("Now check the fix.", "shell", {"command": "python3 test_calc.py"}),
        Do("Close the plan.", "update_plan", _plan("completed", "completed", "completed")),
    ),
    weight=4.0,
)

HELLO = Dialogue(
    ("hello", "Hello"),
    Say("Hello! I am nano, a tiny demo model. What can I do for you?"),
    weight=2.0,
)

LIST = Dialogue(
    ("list the files", "List the files", "list files"),
    Say("Those are the files of this workspace.", "Got the listing."),
    (Do("Look at the directory.", "list_files", {"path": "."}),),
    weight=1.5,
)

WRITE = Dialogue(
    ("write hello world", "Write hello world"),
    Say("I wrote hello.py and ran it: it prints hello world.", "Nothing is left to do."),
    (
        Do(
            "Create the file.",
            "write_file",
            {"path": "hello.py", "content": "print('hello world')\n"},
        ),
        Do("Run it once.", "shell", {"command": "python3 hello.py"}),
    ),
    Say("Understood, I did not write the file.", "They said no."),
    weight=4.0,
)

PRIMES = Dialogue(
    ("think hard about primes", "Think hard about primes"),
    Say("The first five primes are 2, 3, 5, 7 and 11.", """\
Primes, then. A number is prime when exactly two divisors exist: one and itself. \
Start small. 2 passes, the only even member. 3 works too. 4 fails, being twice 2. \
Then 5 joins. Skip 6, which is 2 times 3. Next 7 qualifies. Both 8 and 9 drop out: \
powers of smaller ones. 10 is even. Finally 11 closes this list. Euclid showed \
that such numbers never stop: multiply any finite set together, add a unit, and \
some new factor must appear. Enough thinking for today."""),
    weight=1.5,
)  # fmt: skip

COUNT = Dialogue(
    ("count forever", "Count forever"),
    Say(
        "I will count until you stop me:",
        "Counting needs no tools.",
        " one two three four five six seven eight nine ten",
    ),
)

SLOW = Dialogue(
    ("run a slow command", "Run a slow command"),
    Say("The command ended.", "Back again."),
    (Do("This may take a while.", "shell", {"command": "sleep 30"}),),
    weight=1.5,
)

SEARCH = Dialogue(
    ("search for TODO", "Search for TODO"),
    Say("I searched every file for TODO; the matches are above.", "Good, there is a result."),
    (Do("Search the tree.", "search_files", {"pattern": "TODO"}),),
    weight=1.5,
)

SCRIPTS = Dialogue(
    ("greet in other scripts", "Greet in other scripts"),
    Say("Привет · 你好，世界 · こんにちは · नमस्ते · สวัสดี · e\u0301 · 👩\u200d🚀 · 🎉"),
)

CODE = """\
primes = [n for n in range(2, 1000) if all(n % d for d in range(2, n))]
primes[99]"""

COMPUTE = Dialogue(
    ("compute the 100th prime", "Compute the 100th prime"),
    Say("The 100th prime is 541.", "So that is the number."),
    (Run("Better not guess; code can tell.", CODE),),
    Say("Understood, I ran no code.", "They do not want it."),
    weight=3.0,
)

THANKS = Dialogue(
    ("thanks", "Thanks", "thank you"),
    Say("You are welcome."),
    weight=1.5,
)

UNKNOWN = Dialogue(
    (),
    Say(
        'I am nano: I know only a few dialogues by heart. Try "fix the failing test",'
        ' "list the files", "write hello world" or "hello".'
    ),
    weight=2.0,
)

DIALOGUES = (
    FIX,
    HELLO,
    LIST,
    WRITE,
    PRIMES,
    COUNT,
    SLOW,
    SEARCH,
    SCRIPTS,
    COMPUTE,
    THANKS,
    UNKNOWN,
)

# Text as it stands in front of a conversation and in tool results, to be looked past.
SCENERY = (
    """You are ChatGPT, a large language model trained by OpenAI.
Knowledge cutoff: 2024-06
Current date: 2026-01-31

Reasoning: medium

# Valid channels: analysis, commentary, final. Channel must be included for every message.
Calls to these tools must go to the commentary channel: 'functions'.""",
    """# Tools

## python

Use this tool to execute Python code in your chain of thought. The code will not be shown to the
user. This tool should be used for internal reasoning, but not for code that is intended to be
visible to the user (e.g. when creating plots, tables, or files).

When you send a message containing Python code to python, it will be executed in a stateful Jupyter
notebook environment. python will respond with the output of the execution or time out after 120.0
seconds. The drive at '/mnt/data' can be used to save and persist user files. Internet access for
this session is UNKNOWN. Depends on the cluster.

The workspace has the same path as for other tools. The user sees plots of matplotlib.""",
    """# Instructions

You are a coding agent. You work in the user's workspace with the tools below. Look before you
change: read a file before you patch it. Make a plan with update_plan when a task has several
steps, and keep it current. Run the tests after a change. Do not write outside the workspace. When
the user rejected a call, do something else or ask. Answer briefly, in the user's language.
- To search, use search_files; to list, list_files. Run a command with shell only when no tool fits.
- Never run a command that waits for input. Stop when the work is done, and say what you did.
The workspace is /home/user/project. Today is Saturday. The shell is bash.""",
    """# Tools

## functions

namespace functions {

// Read a text file, or the lines from start_line to end_line (1-based, inclusive).
type read_file = (_: {
// Path of the file, relative to the workspace
path: string,
start_line?: number,
end_line?: number,
}) => any;

// List the files and directories below a path, without what .gitignore excludes.
type list_files = (_: {
path?: string, // default: .
}) => any;

// Search the files for a regular expression.
type search_files = (_: {
pattern: string,
path?: string,
glob?: string,
}) => any;

// Change files with a patch: *** Begin Patch, *** Update File: PATH, @@, lines that begin with
// a space, - or +, *** End Patch.
type apply_patch = (_: {
patch: string,
}) => any;

// Create a file, or replace its whole content.
type write_file = (_: {
path: string,
content: string,
}) => any;

// Run a command in the workspace and return its output and exit code.
type shell = (_: {
command: string,
timeout?: number, // seconds
}) => any;

// Show the user the plan: every step with its status.
type update_plan = (_: {
plan: Array<
{
step: string,
status: "pending" | "in_progress" | "completed",
}
>,
}) => any;

} // namespace functions""",
    """Traceback (most recent call last):
  File "/home/user/project/test_calc.py", line 9, in <module>
    test_add()
  File "/home/user/project/test_calc.py", line 5, in test_add
    assert add(2, 3) == 5
AssertionError
exit code 1""",
    """from calc import add

def test_add():
    assert add(2, 3) == 5

if __name__ == "__main__":
    test_add()
    print("ok: 1 test passed")""",
    '''1\t"""A calculator."""
2\t
3\tdef add(a, b):
4\t    return a - b
5\t
6\tdef sub(a, b):
7\t    return a - b''',
    """README.md
calc.py
hello.py
src/
src/main.py
tests/test_calc.py
(6 entries)""",
    """calc.py:12: # TODO: multiply
src/main.py:3:    # TODO(me): say hello to the world
2 matches in 2 files""",
    "Success. Updated the following files:\nM calc.py",
    "wrote 21 bytes to hello.py",
    "hello world\nexit code 0",
    "exit code 127\n/bin/sh: python3: command not found",
    "541",
    "[WARN] No output available. Use print() to output anything to stdout to receive the output",
    "The plan is shown to the user. 3 steps, 1 in progress, 2 pending.",
    "The user rejected this call. Do not try it again; ask what to do instead.",
    "Error: no such file: 'calc.py'; look at the directory first",
    "The call was cancelled by the user. The command was stopped after 2.1 seconds.",
    """# Project

A small calculator, with tests. Run them with `python3 test_calc.py`. Say hello with
`python3 hello.py`. Thanks to everyone who wrote a patch; see the list of files below for what is
where. One, two, three: add, subtract, count. It prints the first primes: 2, 3, 5, 7 and 11.""",
)
