"""The tool `shell`: one command, in a terminal of the editor or in a process group of our own."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, cast

import anyio
from pydantic import BaseModel, BeforeValidator, Field

from acp_agent.conversation import ToolSpec
from acp_agent.errors import ToolFailed
from acp_agent.events import Emit, Terminal, Text, ToolCallUpdated, ToolKind
from acp_agent.fence import fenced
from acp_agent.ports import Editor
from acp_agent.sandbox.commands import CommandSandbox
from acp_agent.sandbox.confined import Confined
from acp_agent.sandbox.disk_guard import Floor, nearly_full
from acp_agent.tools.apply_patch import prepare_patch
from acp_agent.tools.base import Permission, Prepared, ToolResult
from acp_agent.tools.command_scope import scope
from acp_agent.tools.denials import HINT, denial, put_back
from acp_agent.tools.environment import own_environment
from acp_agent.tools.live import Ended, run_live
from acp_agent.tools.output import capped
from acp_agent.tools.patch_in_shell import patch_in, unwrapped
from acp_agent.tools.spec import tool_spec
from acp_agent.tools.workspace import Workspace

MAX_TIMEOUT = 3600.0
TITLE = 120
TERMINAL_LIMIT = 100_000

# A pager would wait for keys, and colours cost tokens.
PLAIN = {"TERM": "dumb", "PAGER": "cat", "GIT_PAGER": "cat", "NO_COLOR": "1"}
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SHELLS = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/opt/homebrew/bin/bash")


def _joined(command: object) -> object:
    """Accept the argument list that `container.exec` takes."""
    words = cast("list[object]", command) if isinstance(command, list) else []
    texts = [word for word in words if isinstance(word, str)]
    return unwrapped(texts) if texts and len(texts) == len(words) else cast("object", command)


class ShellArguments(BaseModel):
    """`timeout` in seconds; `unsandboxed` runs without the sandbox, and always asks."""

    command: Annotated[str, BeforeValidator(_joined)]
    workdir: str | None = None
    timeout: Annotated[float, Field(gt=0, description="seconds")] | None = None
    unsandboxed: Annotated[bool, Field(description="asks the user")] | None = None


class Shell:
    """`timeout` is the time limit, in seconds, of commands that do not ask for another.

    Commands run in the `sandbox`, where there is one. Asking is another matter: also what the user
    has allowed runs in it, unless it was to run outside.
    """

    name = "shell"
    kind: ToolKind = "execute"
    arguments = ShellArguments

    def __init__(
        self,
        workspace: Workspace,
        editor: Editor | None,
        *,
        timeout: float,
        environ: Mapping[str, str] = os.environ,
        sandbox: CommandSandbox | None = None,
    ) -> None:
        self._workspace = workspace
        self._editor = editor
        self._timeout = timeout
        self._environ = environ
        self._sandbox = sandbox

    @property
    def spec(self) -> ToolSpec:
        return tool_spec(self.name, self.arguments)

    async def prepare(self, call_id: str, arguments: BaseModel) -> Prepared:
        asked = ShellArguments.model_validate(arguments)
        raw_input = asked.model_dump(exclude_none=True)
        cwd = self._directory(asked.workdir)
        patch = patch_in(asked.command)
        if patch is not None:
            base = str(cwd / patch.directory)
            return await prepare_patch(self._workspace, patch.patch, raw_input, base)
        command = asked.command.strip()
        if not command or "\0" in command:
            raise ToolFailed("the command is empty" if not command else "the command holds a NUL")
        timeout = min(asked.timeout or self._timeout, MAX_TIMEOUT)
        confined, beyond = await self._place(outside=bool(asked.unsandboxed))
        first = command.partition("\n")[0]
        short = command if len(command) <= TITLE and first == command else f"{first[:TITLE]} …"
        # The user is asked about what runs, so all of it is shown.
        shown = () if short == command else (Text(fenced(command, "sh")),)
        run = partial(self._run, confined, call_id, command, cwd, timeout, shown)
        return Prepared(
            title=f"{short} (outside the sandbox)" if beyond else short,
            kind=self.kind,
            run=run,
            raw_input=raw_input,
            content=shown,
            permission=Permission(self.name, self._scope(command, cwd), beyond=beyond),
        )

    async def _place(self, *, outside: bool) -> tuple[Confined | None, bool]:
        """Return the sandbox to run in, and whether running without is beyond what is usual."""
        if self._sandbox is None:
            return None, False
        try:
            confined = await self._sandbox.confined()
        except ToolFailed as error:
            if outside:
                return None, True
            raise ToolFailed(f"{error}; {HINT}") from None
        return (None, confined is not None) if outside else (confined, False)

    def _directory(self, workdir: str | None) -> Path:
        path = self._workspace.resolve(workdir or ".")
        if not path.is_dir():
            raise ToolFailed(f"workdir {workdir!r} is no directory")
        return path

    def _scope(self, command: str, cwd: Path) -> str:
        """In another directory `make test` or `./check` is another command."""
        if cwd == self._workspace.resolve("."):
            return scope(command)
        return f"{scope(command)} (in {cwd})"

    def _environment(self) -> dict[str, str]:
        return own_environment(self._environ) | PLAIN

    async def _run(
        self,
        confined: Confined | None,
        call_id: str,
        command: str,
        cwd: Path,
        timeout: float,
        shown: tuple[Text, ...],
        emit: Emit,
    ) -> ToolResult:
        argv, env = _argv(command), self._environment()
        in_terminal = self._editor is not None and self._editor.has_terminals
        with nullcontext(list[Path]()) if confined is None else confined.guarded() as restored:
            if confined is not None:
                argv = confined.in_terminal(argv, cwd) if in_terminal else confined.wrap(argv, cwd)
                env = confined.environment(env)
            if self._editor is not None and in_terminal:
                own = PLAIN if confined is None else confined.environment(PLAIN)
                ended = await _in_terminal(
                    self._editor, call_id, argv, str(cwd), own, timeout, shown, emit
                )
            else:
                unwanted = () if confined is None else confined.unwanted()
                disks = (cwd, Path(tempfile.gettempdir()))
                guard = None if confined is None else partial(nearly_full, disks, Floor())
                ended = await run_live(
                    call_id, argv, str(cwd), env, timeout, emit, unwanted=unwanted, guard=guard
                )
        remarks = [put_back(restored)] if restored else []
        if confined is not None and self._sandbox is not None and ended.exit_code != 0:
            remarks.append(denial(ended.output, network=self._sandbox.network))
        return _result(ended, timeout, remarks, shown)


async def _in_terminal(
    editor: Editor,
    call_id: str,
    argv: Sequence[str],
    cwd: str,
    env: Mapping[str, str],
    timeout: float,
    above: Sequence[Text],
    emit: Emit,
) -> Ended:
    program, *args = argv
    own = {name: value for name, value in env.items() if name != "TERM"}
    async with editor.open_terminal(program, args, cwd, own, TERMINAL_LIMIT) as terminal:
        shown = Terminal(terminal.terminal_id)
        await emit(ToolCallUpdated(call_id, content=(*above, shown)))
        with anyio.move_on_after(timeout) as limit:
            await terminal.wait()
        if limit.cancelled_caught:
            await terminal.kill()
        result = await terminal.result()
    cut = "[… the beginning left out …]\n" if result.truncated else ""
    output = cut + capped(result.output)
    return Ended(output, result.exit_code, result.signal, limit.cancelled_caught, shown)


def _argv(command: str) -> list[str]:
    shell = next((path for path in _SHELLS if Path(path).exists()), "/bin/sh")
    return [shell, "-c", command]


def _result(
    ended: Ended, timeout: float, remarks: Sequence[str], shown: tuple[Text, ...]
) -> ToolResult:
    if ended.timed_out:
        how = f"stopped after {timeout:g} s; pass a larger timeout if it needs more time"
    elif ended.signal is not None:
        how = f"ended by {ended.signal}"
    else:
        how = "exit code " + ("unknown" if ended.exit_code is None else str(ended.exit_code))
    output = _COLOUR.sub("", ended.output).replace("\r\n", "\n").rstrip("\n")
    said = f"{output}\n[{how}]" if output else f"[no output, {how}]"
    text = "\n".join(filter(None, (said, *remarks)))
    failed = ended.timed_out or ended.exit_code != 0
    # Otherwise what was told live stays.
    below = ended.terminal or (Text(fenced(text)) if failed else None)
    return ToolResult(
        text,
        failed=failed,
        raw_output={
            "output": ended.output,
            "exit_code": ended.exit_code,
            "signal": ended.signal,
            "timed_out": ended.timed_out,
        },
        content=None if below is None else (*shown, below),
    )
