"""Reads the params of a request field by field; what does not fit is an RpcError naming the field.

Unknown fields are ignored. `_meta` is reached by `meta` alone, so that nothing a client puts there
can pass for an argument. Messages never repeat what the client sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, cast

from acp_agent.errors import INVALID_PARAMS, RpcError


class Fields:
    """One JSON object of a request; `where` is the method, `path` leads from its params to here."""

    def __init__(self, values: Mapping[str, Any], where: str, path: str = "") -> None:
        self._values = {k: v for k, v in values.items() if k != "_meta"}
        self._meta = values.get("_meta")
        self._where = where
        self._path = path

    @property
    def where(self) -> str:
        return self._where

    @property
    def meta(self) -> Mapping[str, Any]:
        return cast("Mapping[str, Any]", self._meta) if isinstance(self._meta, dict) else {}

    def fail(self, name: str, problem: str) -> NoReturn:
        """Refuse the request because of this field."""
        raise RpcError(INVALID_PARAMS, f"{self._where}: {self._path}{name} {problem}")

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if not isinstance(value, str):
            self.fail(name, "must be a string")
        return value

    def optional_text(self, name: str) -> str | None:
        return None if self._values.get(name) is None else self.text(name)

    def absolute_path(self, name: str) -> str:
        return self._absolute(name, self.text(name))

    def absolute_paths(self, name: str) -> tuple[str, ...]:
        return tuple(
            self._absolute(f"{name}[{i}]", path) for i, path in enumerate(self.texts(name))
        )

    def integer(self, name: str, low: int, high: int) -> int:
        value = self._values.get(name)
        if type(value) is not int or not low <= value <= high:
            self.fail(name, f"must be an integer from {low} to {high}")
        return value

    def one_of(self, name: str, choices: Iterable[str]) -> str:
        known = tuple(choices)
        value = self._values.get(name)
        if value not in known:
            self.fail(name, f"must be one of {', '.join(known)}")
        return cast("str", value)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings; absent and null are an empty one."""
        values = self._list(name)
        for i, value in enumerate(values):
            if not isinstance(value, str):
                self.fail(f"{name}[{i}]", "must be a string")
        return tuple(cast("list[str]", values))

    def items(self, name: str) -> tuple[Fields, ...]:
        """Return a list of objects; absent and null are an empty one."""
        values = self._list(name)
        for i, value in enumerate(values):
            if not isinstance(value, dict):
                self.fail(f"{name}[{i}]", "must be an object")
        return tuple(
            Fields(value, self._where, f"{self._path}{name}[{i}].")
            for i, value in enumerate(cast("list[Mapping[str, Any]]", values))
        )

    def object(self, name: str) -> Fields:
        value = self._values.get(name)
        if not isinstance(value, dict):
            self.fail(name, "must be an object")
        return Fields(cast("Mapping[str, Any]", value), self._where, f"{self._path}{name}.")

    def has(self, name: str) -> bool:
        return self._values.get(name) is not None

    # Capabilities: by the schema, a wrong one counts as absent (x-deserialize-default-on-error).

    def part(self, name: str) -> Fields:
        """Return the object there, an empty one if it is missing or anything else."""
        return self.object(name) if self.is_object(name) else Fields({}, self._where)

    def flag(self, name: str) -> bool:
        return self._values.get(name) is True

    def is_object(self, name: str) -> bool:
        return isinstance(self._values.get(name), dict)

    def _list(self, name: str) -> list[Any]:
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.fail(name, "must be a list")
        return cast("list[Any]", value)

    def _absolute(self, name: str, path: str) -> str:
        if not os.path.isabs(path):  # noqa: PTH117  a Path would be made for nothing
            self.fail(name, "must be an absolute path")
        if "\0" in path:
            self.fail(name, "must not hold a null byte")
        return path
