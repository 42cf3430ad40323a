"""What a session is called: the first words of its first prompt, or a small model's for it."""

from __future__ import annotations

from acp_agent.agent.voice import Voice
from acp_agent.conversation import ModelRequest, UserMessage
from acp_agent.plain import one_line

LONGEST = 60  # characters
TOKENS = 24
ASK = (
    "You name conversations. Answer with a title of three to five words for what the user wants, in"
    " the user's language, and with nothing else."
)
READ = 2000  # characters of the prompt


def title_of(words: str) -> str:
    """Return the first words of a prompt, as a title."""
    line = one_line(words, READ)
    if len(line) <= LONGEST:
        return line
    return line[:LONGEST].rpartition(" ")[0].rstrip() + "…"


async def ask_title(voice: Voice, words: str) -> str:
    """Return the title that a model gives, "" if that is none. Raises BackendError."""
    request = ModelRequest(
        [UserMessage(words[:READ])],
        ASK,
        effort="low",
        max_tokens=TOKENS,
        temperature=voice.temperature,
    )
    step = await voice.model.complete(request)
    said = "".join(message.text for message in step.messages if message.channel == "final")
    title = one_line(said, READ).strip("\"'“”«»*#. ").removeprefix("Title:").strip()
    return title if 0 < len(title) <= LONGEST else ""
