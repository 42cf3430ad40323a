"""What a user chooses per session: mode, model, reasoning effort, approvals.

Kept free of heavy imports: `session/new` is answered from here before the event loop exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Choice(NamedTuple):
    """One value of an option, as a picker shows it."""

    value: str
    name: str
    description: str = ""


class Option(NamedTuple):
    """A selector: `id` and `category` are ACP's."""

    id: str
    category: str
    name: str
    description: str
    choices: tuple[Choice, ...]


EFFORTS = (
    Choice("low", "Low", "answers at once"),
    Choice("medium", "Medium", "thinks a little first"),
    Choice("high", "High", "thinks hard, answers late"),
)
APPROVALS = (
    Choice("ask", "Ask", "asks before every change and every command"),
    Choice("auto-edit", "Edit freely", "changes files in the workspace, asks before commands"),
    Choice("read-only", "Read only", "changes nothing and runs nothing"),
    Choice("full", "Never ask", "changes files and runs commands without asking"),
)
MODES = (
    Choice("gptoss_20b", "GPT-OSS", "prompts go to GPT-OSS"),
    Choice("gptoss_120b", "GPT-OSS 120B", "prompts go to the larger GPT-OSS"),
    Choice("fm", "FM", "a small model answers light prompts, GPT-OSS the rest"),
)


def values(choices: tuple[Choice, ...]) -> tuple[str, ...]:
    """Return what can be chosen."""
    return tuple(choice.value for choice in choices)


class SessionOptions:
    """The options of one session and their present values.

    `homes` gives for each model the mode in which it answers. These modes and the model follow each
    other; a mode that is no model's home goes with every model.
    """

    def __init__(
        self,
        options: tuple[Option, ...],
        values: dict[str, str],
        homes: Mapping[str, str] | None = None,
    ) -> None:
        self.options = options
        self.values = values
        self._homes = homes or {}

    def set(self, option_id: str, value: str) -> None:
        """Choose `value`. Raises KeyError (unknown option) or ValueError (unknown value)."""
        option = next((o for o in self.options if o.id == option_id), None)
        if option is None:
            raise KeyError(option_id)
        if value not in values(option.choices):
            raise ValueError(value)
        self.values[option_id] = value
        self._follow(option_id)

    def _follow(self, chosen: str) -> None:
        at_home = [model for model, mode in self._homes.items() if mode == self.values["mode"]]
        if not at_home or self.values["model"] in at_home:
            return
        if chosen == "model":
            self.values["mode"] = self._homes[self.values["model"]]
        else:
            self.values["model"] = at_home[0]

    def __getitem__(self, option_id: str) -> str:
        return self.values[option_id]


def session_options(
    models: tuple[Choice, ...],
    *,
    mode: str,
    effort: str,
    approvals: str,
    modes: tuple[Choice, ...] = MODES[:1],
    homes: Mapping[str, str] | None = None,
) -> SessionOptions:
    """Return a new session's options; the order is the order of importance in a client."""
    options = SessionOptions(
        (
            Option("mode", "mode", "Mode", "who answers", modes),
            Option("model", "model", "Model", "which GPT-OSS answers, or is delegated to", models),
            Option("effort", "thought_level", "Reasoning effort", "how long it thinks", EFFORTS),
            Option("approvals", "custom", "Approvals", "what it may do unasked", APPROVALS),
        ),
        {"mode": mode, "model": models[0].value, "effort": effort, "approvals": approvals},
        homes,
    )
    options.set("mode", mode)
    return options
