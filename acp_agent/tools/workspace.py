"""The files that a session may touch: its directories, seen through the editor where it can.

A path of the model is resolved with all its links, and must then lie below one of the directories.
Addresses are spelled as the editor spelled the directory, because it knows its files by those.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread

from acp_agent.errors import ToolFailed
from acp_agent.ports import Editor
from acp_agent.tools import disk
from acp_agent.tools.text_file import TextFile, decode, encode, is_binary, text_of

READ_LIMIT = 20_000_000
EDIT_LIMIT = 2_000_000


class Workspace:
    """The directories of one session; the first is where relative paths begin."""

    def __init__(
        self, cwd: Path | str, roots: Sequence[Path | str] = (), editor: Editor | None = None
    ) -> None:
        self.cwd = Path(cwd)
        self.editor = editor
        self.roots = (self.cwd, *(Path(root) for root in roots))

    def resolve(self, path: str) -> Path:
        """Return the address of what `path` means, links followed. Raises ToolFailed if outside."""
        try:
            real = Path(os.path.realpath(self.cwd / Path(path).expanduser()))
        except (OSError, ValueError, RuntimeError) as error:
            raise ToolFailed(f"{path!r} is no usable path: {error}") from None
        return self._inside(real, path)

    def root_of(self, path: Path) -> Path:
        """Return the directory of the workspace that holds a resolved `path`."""
        return max((r for r in self.roots if path.is_relative_to(r)), key=lambda r: len(r.parts))

    def show(self, path: Path) -> str:
        """Return `path` as the model and the user read it: relative to the first directory."""
        return str(path.relative_to(self.cwd)) if path.is_relative_to(self.cwd) else str(path)

    async def read(self, path: Path, limit: int = READ_LIMIT) -> TextFile:
        """Return the text of a resolved `path`, unsaved changes in the editor included.

        Raises:
            FileNotFoundError: There is no such file.
            ToolFailed: It is too large, not text, or cannot be read.

        """
        name = self.show(path)
        try:
            data = await anyio.to_thread.run_sync(disk.read, self._confirmed(path), limit)
        except FileNotFoundError:
            data = None
        if data is not None and is_binary(data):
            return decode(data, name)
        shown = await self._shown_in_editor(path, on_disk=data is not None)
        if shown is not None:
            return shown
        if data is None:
            raise FileNotFoundError(name)
        return decode(data, name)

    async def write(self, path: Path, file: TextFile) -> None:
        """Replace or create the file at a resolved `path`. Raises ToolFailed."""
        self._confirmed(path)
        data = encode(file, self.show(path))
        if self.editor is None or not self.editor.can_write_files:
            await anyio.to_thread.run_sync(disk.write, path, data)
            return
        try:
            await anyio.to_thread.run_sync(lambda: path.parent.mkdir(parents=True, exist_ok=True))
        except OSError as error:
            raise disk.failure("write", path, error) from None
        await self.editor.write_text_file(str(path), file.text)

    async def delete(self, path: Path) -> None:
        """Remove the file at a resolved `path`. Raises ToolFailed."""
        await anyio.to_thread.run_sync(disk.delete, self._confirmed(path))

    async def _shown_in_editor(self, path: Path, *, on_disk: bool) -> TextFile | None:
        """Return the editor's text; None where the disk has to answer."""
        if self.editor is None or not self.editor.can_read_files:
            return None
        try:
            text = await self.editor.read_text_file(str(path))
        except (FileNotFoundError, ToolFailed):
            # Editors refuse files outside their project, and name a missing file in many ways.
            return None
        if not text and not on_disk:
            return None  # Zed opens an empty buffer for a file that is not there.
        bom = text.startswith("\ufeff")
        return TextFile(text_of(text.removeprefix("\ufeff")), bom)

    def _inside(self, real: Path, told: str) -> Path:
        if text_of(str(real)) != str(real):
            raise ToolFailed(f"{text_of(told)!r} is not named in UTF-8; rename it with the shell")
        for root in self.roots:
            base = Path(os.path.realpath(root))
            if real.is_relative_to(base):
                return root / real.relative_to(base)
        known = ", ".join(str(root) for root in self.roots)
        raise ToolFailed(f"{told!r} is outside the workspace ({known}); only files in it are open")

    def _confirmed(self, path: Path) -> Path:
        """Return `path` unless a link came into it since it was resolved."""
        if self._inside(Path(os.path.realpath(path)), str(path)) != path:
            raise ToolFailed(f"{str(path)!r} has become a link; resolve it again")
        return path
