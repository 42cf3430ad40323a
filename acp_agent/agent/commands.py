"""The slash commands of a session: answered by the session itself, inside a turn, by no model."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

from acp_agent.agent.command_list import COMMANDS
from acp_agent.agent.compaction import Compactor
from acp_agent.agent.options import SessionOptions
from acp_agent.agent.tally import Tally
from acp_agent.events import Emit, UsageUpdated
from acp_agent.tools.base import Toolbox

FORMS = ("md", "html", "jsonl")
Export = Callable[[str], Awaitable[str]]
"""Writes the conversation in one of `FORMS` and returns where. Raises AgentError."""


def parse(words: str) -> tuple[str, str] | None:
    """Return name and argument of a command; None of anything else."""
    if not words.startswith("/") or words[1:2].isspace():
        return None
    name, argument, *_ = *words[1:].split(None, 1), "", ""
    name = name.lower()
    return (name, argument.strip()) if name in [command.name for command in COMMANDS] else None


def help_text() -> str:
    """Return the list of commands."""
    return "\n".join(
        f"- `/{c.name}{f' [{c.hint}]' if c.hint else ''}` {c.description}" for c in COMMANDS
    )


class Commands:
    """Answers the commands of one session; `facts` are what else it can say of itself."""

    def __init__(
        self,
        options: SessionOptions,
        toolbox: Toolbox,
        tally: Tally,
        compactor: Compactor,
        facts: Mapping[str, str],
        export: Export | None = None,
    ) -> None:
        self._options = options
        self._toolbox = toolbox
        self._tally = tally
        self._compactor = compactor
        self._facts = facts
        self._export_to = export

    async def answer(self, name: str, argument: str, emit: Emit) -> str:
        """Return the answer to a command, as Markdown. Raises BackendError."""
        match name:
            case "compact":
                return await self._compact(argument, emit)
            case "status":
                return self._status()
            case "usage":
                return self._usage()
            case "tools":
                return self._tools()
            case "routing":
                return self._routing()
            case "diff":
                return self._diff()
            case "export":
                return await self._export(argument)
            case _:
                return help_text()

    async def _compact(self, focus: str, emit: Emit) -> str:
        made = await self._compactor.compact(emit, focus)
        if made.before == made.after:
            return "There is nothing to sum up yet."
        if self._tally.window:
            await emit(UsageUpdated(made.after, self._tally.window))
        return f"The conversation has {made.after:,} tokens now; it had {made.before:,}."

    def _status(self) -> str:
        tally = self._tally
        values = {option.name: self._options[option.id] for option in self._options.options}
        context = f"{tally.used:,} of {tally.size:,} tokens" if tally.size else ""
        return listed({**values, "Context": context, **self._facts})

    def _usage(self) -> str:
        tally = self._tally
        if not tally.calls:
            return "No model has been called in this session yet."
        return listed(
            {
                "Model calls": f"{tally.calls:,}",
                "Read": f"{tally.prompt_tokens:,} tokens"
                f"{_rate(tally.prompt_tokens, tally.prompt_ms)}",
                "Taken from the cache": f"{tally.cached_tokens:,} tokens",
                "Written": f"{tally.predicted_tokens:,} tokens"
                f"{_rate(tally.predicted_tokens, tally.predicted_ms)}",
                "Context": f"{tally.used:,} of {tally.size:,} tokens" if tally.size else "",
            }
        )

    def _tools(self) -> str:
        lines = [f"- `{tool.name}` {_sentence(tool.description)}" for tool in self._toolbox.specs]
        return "\n".join(lines) or "The model has no tools."

    def _routing(self) -> str:
        if not self._tally.decisions:
            return "Nothing was routed in this session: every prompt went to the chosen model."
        return "\n".join(
            f"- {decision.get('decision')}: {decision.get('reason')}"
            for decision in self._tally.decisions
        )

    def _diff(self) -> str:
        lines = list(self._tally.diff())
        if not lines:
            return "No file was changed in this session by an edit (commands may have)."
        fence = "`" * max(
            3, 1 + max((len(run) for run in re.findall("`+", "\n".join(lines))), default=0)
        )
        return "\n".join([f"{fence}diff", *lines, fence])

    async def _export(self, form: str) -> str:
        if self._export_to is None:
            return "This session is not recorded, so there is nothing to export."
        if form and form not in FORMS:
            return f"There is no form {form!r}; write /export followed by {', '.join(FORMS)}."
        return f"Written to {await self._export_to(form or FORMS[0])}"


def listed(rows: Mapping[str, str]) -> str:
    """Return names and values as a Markdown list; what is empty is left out."""
    return "\n".join(f"- {name}: {value}" for name, value in rows.items() if value)


def _rate(tokens: int, milliseconds: float) -> str:
    return f", {1000 * tokens / milliseconds:,.0f} a second" if milliseconds > 0 else ""


def _sentence(text: str) -> str:
    line = " ".join(text.split())
    return line.partition(". ")[0][:160].rstrip(".")
