"""What is peculiar to each server that speaks OpenAI's Chat Completions; values only.

Shapes and quirks as their authors and auditors describe them; docs/backends.md says which were
checked against the real thing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class ChatProfile:
    """How to speak to a server.

    `tools`: given as such, written into the prompt, or never given. `context_size` stands where
    the server names none. `limits`: it honours `max_tokens`. `effort`: it is told how hard to
    think. `reasoning_field` carries back the reasoning of the running turn, where the server takes
    it. `markers`: it lets template markers through. `guided`: how it constrains an answer.
    `sizes_path` names a list of context sizes. `model` is the only one that it has. `ours`: it is
    an engine that we start, so the user has neither its address nor its key to look after.
    """

    name: str
    tools: Literal["native", "prompted", "none"] = "native"
    context_size: int = 4096
    limits: bool = True
    effort: bool = False
    reasoning_field: str = ""
    markers: bool = False
    guided: Literal["json_schema", "route", "none"] = "json_schema"
    sizes_path: str = ""
    key_variable: str = ""
    model: str = ""
    ours: bool = False


OPENAI = ChatProfile(
    "openai_chat", effort=True, reasoning_field="reasoning_content", key_variable="OPENAI_API_KEY"
)
LM_STUDIO = ChatProfile(
    "lmstudio",
    effort=True,
    reasoning_field="reasoning",
    sizes_path="/api/v1/models",
    key_variable="LM_API_TOKEN",
)
# Any GGUF behind a llama-server; gpt-oss there is better had by its token ids.
LLAMA_CPP = ChatProfile(
    "llamacpp",
    effort=True,
    reasoning_field="reasoning_content",
    key_variable="LLAMACPP_API_KEY",
)
# The same on the engine that comes with this package.
OUR_ENGINE = replace(LLAMA_CPP, name="llama.cpp", key_variable="", ours=True)
# On the port of Ollama: the model tells the two apart.
APFEL = ChatProfile("apfel", model="apple-foundationmodel", key_variable="APFEL_TOKEN")
# macOS 27's own server never fills `tool_calls`, and gives up on a forced choice.
FM_SERVE = ChatProfile("fm_serve", tools="none", limits=False, markers=True, model="system")
# It forgets tools and limits; each request is a session of its own.
FOUNDATION_BRIDGE = ChatProfile("foundation_bridge", tools="prompted", limits=False, guided="route")
