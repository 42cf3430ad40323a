"""What a client does for an agent: files, permissions, terminals; and a plain local one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from acp_agent.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    RESOURCE_NOT_FOUND,
    RpcError,
)
from acp_agent.protocol.jsonrpc import Object
from acp_agent.protocol.schema import Fields

# Takes the tool call and the options as the agent sent them; gives an option id, or None to cancel.
Decide = Callable[[Object, Sequence[Object]], Awaitable[str | None]]


class Host(Protocol):
    """What the client does for the agent."""

    @property
    def capabilities(self) -> Object:
        """The `clientCapabilities` to declare."""
        ...

    async def request(self, method: str, params: Object) -> Object:
        """Answer a request of the agent. Raises RpcError."""
        ...


async def allow(call: Object, options: Sequence[Object]) -> str | None:
    """Say yes, this once."""
    return _option(options, "allow_once")


async def reject(call: Object, options: Sequence[Object]) -> str | None:
    """Say no, this once."""
    return _option(options, "reject_once")


@dataclass(frozen=True, slots=True)
class LocalHost:
    """Files under `root` as they are on disk, and permissions by policy; no terminals."""

    root: Path
    decide: Decide = reject
    files: bool = True

    @property
    def capabilities(self) -> Object:
        return {"fs": {"readTextFile": self.files, "writeTextFile": self.files}, "terminal": False}

    async def request(self, method: str, params: Object) -> Object:
        fields = Fields(params, method)
        match method:
            case "session/request_permission":
                options = cast("list[Object]", params.get("options") or [])
                chosen = await self.decide(params.get("toolCall") or {}, options)
                if chosen is None:
                    return {"outcome": {"outcome": "cancelled"}}
                return {"outcome": {"outcome": "selected", "optionId": chosen}}
            case "fs/read_text_file" if self.files:
                return {"content": self._read(fields)}
            case "fs/write_text_file" if self.files:
                self._write(fields)
                return {}
            case _:
                raise RpcError(METHOD_NOT_FOUND, "method not found")

    def _read(self, fields: Fields) -> str:
        path = self._inside(fields)
        try:
            lines = path.read_bytes().decode("utf-8").splitlines(keepends=True)
        except OSError:
            raise RpcError(RESOURCE_NOT_FOUND, "no such file") from None
        except UnicodeDecodeError:
            raise RpcError(INVALID_PARAMS, f"{fields.where}: path is not a text file") from None
        first = fields.integer("line", 0, 2**32) if fields.has("line") else 1
        count = fields.integer("limit", 0, 2**32) if fields.has("limit") else len(lines)
        start = max(first - 1, 0)
        return "".join(lines[start : start + count])

    def _write(self, fields: Fields) -> None:
        path, content = self._inside(fields), fields.text("content")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8", newline="")
        except OSError as error:
            raise RpcError(INTERNAL_ERROR, f"cannot write the file: {error.strerror}") from None

    def _inside(self, fields: Fields) -> Path:
        path = Path(fields.absolute_path("path")).resolve()
        if not path.is_relative_to(self.root.resolve()):
            fields.fail("path", "is outside the workspace")
        return path


def _option(options: Sequence[Object], kind: str) -> str | None:
    return next((str(option["optionId"]) for option in options if option.get("kind") == kind), None)
