"""A session on a scripted engine, with the real tools and a user who answers from a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest

from acp_agent.agent.gptoss import Means
from acp_agent.agent.options import Choice, SessionOptions, session_options
from acp_agent.agent.orchestrator import Fm
from acp_agent.agent.permissions import Permissions
from acp_agent.agent.recorder import Recorder
from acp_agent.agent.rewriting import NewRewriter, Unchanged
from acp_agent.agent.session import Past, Session
from acp_agent.agent.setup import Setup
from acp_agent.agent.turn import Limits
from acp_agent.agent.voice import Voice
from acp_agent.backends.script import Step
from acp_agent.backends.scripted import ScriptedEngine
from acp_agent.conversation import UserMessage
from acp_agent.events import Event, StopReason, TextDelta, ThoughtDelta, ToolCallUpdated
from acp_agent.harmony.model import HarmonyModel
from acp_agent.harmony.vocab import load_vocabulary
from acp_agent.ports import EditorTerminal, PermissionOption
from acp_agent.routing.load import load_rubric
from acp_agent.routing.log import DecisionLog
from acp_agent.routing.router import Router
from acp_agent.tools.base import Toolbox
from acp_agent.tools.toolbox import make_tools
from acp_agent.tools.workspace import Workspace
from tests.agent.small import Small, SmallAtHand

E = TypeVar("E", bound=Event)


class AnsweringEditor:
    """An editor whose user answers from a list; it offers nothing else."""

    can_read_files = False
    can_write_files = False
    has_terminals = False
    has_panes = False

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)
        self.questions: list[list[str]] = []
        self.asked = anyio.Event()

    async def request_permission(
        self, call: ToolCallUpdated, options: Sequence[PermissionOption]
    ) -> str | None:
        self.questions.append([option.name for option in options])
        self.asked.set()
        if not self.answers:
            await anyio.sleep_forever()
        return self.answers.pop(0)

    async def read_text_file(self, path: str) -> str:
        raise AssertionError(path)

    async def write_text_file(self, path: str, content: str) -> None:
        raise AssertionError(path)

    def open_terminal(
        self, command: str, args: Sequence[str], cwd: str, env: Mapping[str, str], output_limit: int
    ) -> AbstractAsyncContextManager[EditorTerminal]:
        raise AssertionError(command)

    async def extension(self, method: str, params: dict[str, object]) -> object:
        raise AssertionError(method)


@dataclass
class Stage:
    """A session, and all that it said and was asked."""

    session: Session
    engine: ScriptedEngine
    editor: AnsweringEditor
    cwd: Path
    options: SessionOptions
    events: list[Event] = field(default_factory=list[Event])
    spoke: anyio.Event = field(default_factory=anyio.Event)

    async def emit(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, TextDelta):
            self.spoke.set()

    async def prompt(self, text: str = "go") -> StopReason:
        with anyio.fail_after(10):
            return await self.session.prompt(UserMessage(text), self.emit)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def text(self) -> str:
        return "".join(event.text for event in self.of(TextDelta))

    def thought(self) -> str:
        return "".join(event.text for event in self.of(ThoughtDelta))

    def statuses(self) -> list[str]:
        """Every status that the calls went through, in order."""
        return [e.status for e in self.of(ToolCallUpdated) if e.status is not None]

    def prompt_text(self, number: int = -1) -> str:
        """Return what the model was asked, decoded."""
        return load_vocabulary().decode(self.engine.requests[number].prompt)


MakeStage = Callable[..., Stage]


@pytest.fixture
def stage(tmp_path: Path, home: Path) -> MakeStage:
    cwd = tmp_path / "project"
    cwd.mkdir()

    def make(
        *steps: Step,
        answers: Sequence[str | None] = (),
        approvals: str = "ask",
        limits: Limits | None = None,
        label: str = "",
        toolbox: Toolbox | None = None,
        again: bool = False,
        engine: ScriptedEngine | None = None,
        editor: AnsweringEditor | None = None,
        fm: Fm | None = None,
        rewrite: NewRewriter = Unchanged,
        setup: Setup | None = None,
        recorder: Recorder | None = None,
        past: Past | None = None,
    ) -> Stage:
        engine = engine or ScriptedEngine.of(*steps, again=again)
        editor = editor or AnsweringEditor(*answers)
        voice = Voice(HarmonyModel(engine), label=label)
        options = session_options(
            (Choice("m", "m"),), mode="gptoss_20b", effort="low", approvals=approvals
        )
        if fm is not None:
            options.values["mode"] = "fm"
        session = Session(
            "s",
            options,
            Means(
                lambda _: voice,
                toolbox or make_tools(Workspace(cwd, (), editor), editor, command_timeout=10),
                Permissions(editor),
                "Help.",
                limits or Limits(),
                rewrite,
                (lambda: setup) if setup else None,
            ),
            fm=fm,
            workspace_root=str(cwd),
            recorder=recorder,
            past=past,
        )
        return Stage(session, engine, editor, cwd, options)

    return make


@pytest.fixture
def play(stage: MakeStage, tmp_path: Path) -> MakeStage:
    """Make a session in mode `fm`, whose GPT-OSS plays `steps`."""

    def make(
        small: Small | str | SmallAtHand,
        *steps: Step,
        missing: str = "",
        rubric: str = "",
        **more: Any,
    ) -> Stage:
        looks: list[str] = more.pop("looks", [])

        async def gptoss_missing(model: str) -> str:
            looks.append(model)
            return missing

        file = tmp_path / "rubric.toml"
        file.write_text(rubric)
        router = Router(
            lambda: load_rubric(file if rubric else None),
            lambda: lambda text: len(load_vocabulary().encode_text(text)),
            DecisionLog(tmp_path / "routing.jsonl"),
        )
        label, may_ask = more.pop("small_label", ""), more.pop("may_ask", True)
        at_hand = small
        if not isinstance(at_hand, SmallAtHand):
            at_hand = SmallAtHand(at_hand, label, may_ask=may_ask)
        return stage(*steps, fm=Fm(at_hand, router, gptoss_missing), **more)

    return make
