"""The conversation of one session, always well formed: every call has an answer, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from acp_agent.agent.recorder import NoRecord, Recorder
from acp_agent.conversation import Call, Entry, ModelStep, ToolMessage, UserMessage

SUMMARY = "[What was said and done before, summed up]\n"  # the head of a message that is no prompt


class History:
    """A list of entries; what a model has read and answered is only rewritten by `replace`.

    Every change is told to `recorder`.
    """

    def __init__(self, recorder: Recorder | None = None, entries: Sequence[Entry] = ()) -> None:
        """Begin with `entries`, which are recorded already."""
        self._entries = list(entries)
        self._recorder = recorder or NoRecord()

    @property
    def entries(self) -> Sequence[Entry]:
        return self._entries

    def add_user(self, message: UserMessage) -> None:
        self.close_open_calls()
        self._add(message)

    def forget_unanswered(self, *, all_of_them: bool = False) -> None:
        """Drop the last message if no model has begun to answer it: it may be sent again.

        With `all_of_them`, so are those before it that were cancelled before any answer. A summary
        stays: it stands for answers.
        """
        while self._entries and _is_prompt(self._entries[-1]):
            self._drop()
            if not all_of_them:
                break

    def shorten(self, cut: Callable[[UserMessage], UserMessage]) -> None:
        """Replace the last message, which no model has read, by a shorter one."""
        if self._entries and isinstance(self._entries[-1], UserMessage):
            shorter = cut(self._entries[-1])
            self._drop()
            self._add(shorter)

    def add_step(self, step: ModelStep) -> None:
        """Keep what the model generated, also when it was cut; an empty step leaves no trace."""
        if step.messages or step.calls:
            self._add(step)

    def forget_step(self, step: ModelStep) -> bool:
        """Drop `step` if it was kept last: it is generated anew. Tell whether it was."""
        was_last = bool(self._entries) and self._entries[-1] is step
        if was_last:
            self._drop()
        return was_last

    def forget_answer(self) -> None:
        """Drop what a model said after the last user message: another one answers instead."""
        while self._entries and isinstance(self._entries[-1], ModelStep):
            self._drop()

    def answer(self, call: Call, text: str) -> None:
        self._add(ToolMessage(call.recipient, text, call.channel))

    def remark(self, recipient: str, text: str) -> None:
        """Tell the model something about a call of its that never became one."""
        self._add(ToolMessage(recipient, text))

    def replace(self, entries: Sequence[Entry]) -> None:
        """Go on from these instead; the conversation got too long."""
        self._recorder.replaced(entries)
        self._entries = list(entries)

    def open_calls(self) -> tuple[Call, ...]:
        """Return the calls of the last step that have no answer yet."""
        answered = 0
        for entry in reversed(self._entries):
            match entry:
                case ToolMessage():
                    answered += 1
                case ModelStep(calls=calls):
                    return calls[answered:]
                case UserMessage():
                    break
        return ()

    def close_open_calls(self) -> None:
        """Answer what a cancelled or broken turn left open."""
        for call in self.open_calls():
            self.answer(call, "This call was stopped before it finished.")

    def _add(self, entry: Entry) -> None:
        self._recorder.added(entry)
        self._entries.append(entry)

    def _drop(self) -> None:
        self._recorder.dropped(1)
        self._entries.pop()


def _is_prompt(entry: Entry) -> bool:
    return isinstance(entry, UserMessage) and not entry.words.startswith(SUMMARY)
