"""The tool `python`, which gpt-oss was trained with: code in a kept interpreter in a sandbox.

Code that cannot leave its sandbox needs no permission. It needs one to change the workspace, which
is asked for once it has tried that, and one that says so to run where there is no sandbox.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from acp_agent.conversation import ToolSpec
from acp_agent.errors import ToolFailed
from acp_agent.events import Emit, Image, Text, ToolCallUpdated, ToolContent, ToolKind
from acp_agent.fence import fenced
from acp_agent.sandbox.bare import open_bare
from acp_agent.sandbox.base import Limits, Policy
from acp_agent.sandbox.disk_guard import Floor
from acp_agent.sandbox.interpreter import Done, Figure, Piece
from acp_agent.sandbox.policy import own, submodules
from acp_agent.tools.base import Permission, Prepared, ToolResult
from acp_agent.tools.denials import ASK_TO_WRITE, READ_ONLY, python_denial
from acp_agent.tools.python_code import code_of
from acp_agent.tools.python_result import losses, result_of, title_of
from acp_agent.tools.python_session import OpenSandbox, PythonSession
from acp_agent.tools.raw_body import RawBody
from acp_agent.tools.spec import tool_spec
from acp_agent.tools.telling import Telling
from acp_agent.tools.workspace import Workspace

WRITES = "It may change files of the workspace."
_TRAINED_TIMEOUT = "120.0 seconds"
# Backends without Harmony's raw bodies send JSON; both are understood.
_PARAMETERS = {
    "type": "object",
    "properties": {"code": {"type": "string"}},
    "required": ["code"],
}


@dataclass(frozen=True, slots=True)
class PythonRules:
    """What python may do: `timeout` in seconds; the two functions are asked before each call.

    `writable`: whether the workspace is; `askable`: whether the user may be asked to let it be.
    """

    timeout: float = 120.0
    writable: Callable[[], bool] = lambda: False
    askable: Callable[[], bool] = lambda: False
    network: bool = False
    limits: Limits = field(default_factory=Limits)
    hidden: tuple[Path, ...] = ()
    floor: Floor = field(default_factory=Floor)


async def _no_trouble() -> str:
    return ""


def python_spec(timeout: float = 120.0) -> ToolSpec:
    """Return what the model is told: the words it was trained with, and its time limit."""
    words = tool_spec("python", RawBody).description
    seconds = f"{float(timeout)} seconds"
    return ToolSpec("python", words.replace(_TRAINED_TIMEOUT, seconds), _PARAMETERS)


class PythonTool:
    """`open_sandbox` makes the sandbox, None if there is no way to; `trouble` says why it fails.

    `environ` is the environment of code that runs without a sandbox, and of no other.
    """

    name = "python"
    kind: ToolKind = "execute"
    arguments = RawBody

    def __init__(
        self,
        workspace: Workspace,
        open_sandbox: OpenSandbox | None,
        *,
        trouble: Callable[[], Awaitable[str]] = _no_trouble,
        rules: PythonRules | None = None,
        environ: Mapping[str, str] = os.environ,
        python: str = "python3",
    ) -> None:
        self._workspace = workspace
        self._open_sandbox = open_sandbox
        self._find_trouble = trouble
        self._trouble: str | None = None if open_sandbox else "there is none on this machine"
        self._rules = rules or PythonRules()
        self._environ = environ
        self._session = PythonSession(workspace.cwd, python)
        self._wants_to_write = False
        self._is_asked = False  # and the user has not said yes so far

    @property
    def spec(self) -> ToolSpec:
        return python_spec(self._rules.timeout)

    async def prepare(self, call_id: str, arguments: BaseModel) -> Prepared:
        code = code_of(RawBody.model_validate(arguments).body)
        if not code.strip():
            raise ToolFailed("the code is empty; the body of the call must be Python code")
        place = await self._place()
        title = title_of(code)
        shown = (Text(fenced(code, "python")),)
        if place.warning:
            title = f"without a sandbox: {title}"
            shown = (Text(place.warning), *shown)
        elif place.policy.writable:
            shown = (*shown, Text(WRITES))

        async def run(emit: Emit) -> ToolResult:
            self._is_asked = False
            return await self._run(call_id, code, place, _Shown(title, shown), emit)

        return Prepared(
            title=title,
            kind=self.kind,
            run=run,
            raw_input={"code": code},
            content=shown,
            permission=Permission(self.name, place.scope, beyond=bool(place.warning))
            if place.scope
            else None,
        )

    async def close(self) -> None:
        """End the interpreter and its sandbox. The session is over."""
        await self._session.close()

    async def _place(self) -> _Place:
        """Find out where the next call runs."""
        if self._trouble is None:
            self._trouble = await self._find_trouble()
        rules, roots = self._rules, self._workspace.roots
        if self._is_asked:  # and it did not run: the user said no
            self._wants_to_write = self._is_asked = False
        asks = self._wants_to_write and rules.askable()
        self._is_asked = asks
        writable = rules.writable() or asks
        policy = Policy(
            writable=roots if writable else (),
            readable=() if writable else roots,
            protected=tuple(
                path for root in roots for path in (root / ".git", *submodules(root), *own(root))
            ),
            hidden=rules.hidden,
            network=rules.network,
            limits=rules.limits,
        )
        if self._open_sandbox is not None and not self._trouble:
            return _Place(self._open_sandbox, policy, {}, "python" if writable else "")
        warning = f"This code runs without a sandbox, with all your rights: {self._trouble}."
        bare = dict(self._environ)
        return _Place(open_bare, policy, bare, "python", warning)

    async def _run(
        self, call_id: str, code: str, place: _Place, shown: _Shown, emit: Emit
    ) -> ToolResult:
        telling = Telling(call_id, str(self._workspace.cwd), emit)
        figures: list[Image] = []

        def take(piece: Piece) -> None:
            match piece:
                case bytes():
                    telling.feed(piece)
                case Figure(data):
                    figures.append(Image(data, "image/png"))
                case Done():
                    pass

        ran = await telling.during(
            self._session.run(
                code,
                take,
                open_sandbox=place.open_sandbox,
                policy=place.policy,
                env=place.env,
                timeout=self._rules.timeout,
                floor=self._rules.floor,
            )
        )
        telling.feed(b"", final=True)
        written, confined = telling.text, not place.warning
        writable = bool(place.policy.writable)
        denied = python_denial(written, writable=writable) if ran.failed and confined else ""
        if denied == READ_ONLY and self._rules.askable():
            self._wants_to_write, denied = True, ASK_TO_WRITE
        # A live terminal is all that some editors show of a call.
        told = "".join(f"{note}\n" for note in (*losses(ran), denied) if note)
        telling.feed(f"\n{told}".encode() if told else b"")
        await telling.tell(exit_code=int(ran.failed), ended=True)
        if ran.lost or ran.anew:
            await emit(ToolCallUpdated(call_id, title=f"{shown.title} (interpreter reset)"))
        return result_of(written, ran, figures, shown.content, denied)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a call runs; `scope` is the permission that it needs, "" for none."""

    open_sandbox: OpenSandbox
    policy: Policy
    env: Mapping[str, str]
    scope: str
    warning: str = ""


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the user sees of a call before it runs."""

    title: str
    content: tuple[ToolContent, ...]
