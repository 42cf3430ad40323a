"""The user's own catalog entries: a TOML file, each table a model (docs/models.md).

Read by hand, so that every complaint names the file, the model and the key.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import cast

from acp_agent.errors import ConfigError
from acp_agent.models.catalog import GB, Entry, Format
from acp_agent.models.names import check_name
from acp_agent.models.origin import Kind, Origin
from acp_agent.paths import config_file, user_path

SOURCES: tuple[Kind, ...] = ("hub", "url", "path")
KEYS = (
    *SOURCES,
    "files",
    "revision",
    "title",
    "size_gb",
    "memory_gb",
    "licence",
    "format",
    "architecture",
)
FORMATS: tuple[Format, ...] = ("gguf", "mlx")


def entries_file() -> Path:
    """Return the path of the user's own entries, which need not exist."""
    return config_file().with_name("models.toml")


def read_entries(path: Path) -> tuple[Entry, ...]:
    """Return the entries of a file, none if it does not exist. Raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    return tuple(_Reader(path, name, value).entry() for name, value in table.items())


class _Reader:
    """One table of the file."""

    def __init__(self, path: Path, name: str, value: object) -> None:
        self._where = f"{path}: model {name!r}"
        self._name = name
        if not isinstance(value, dict):
            raise self._wrong('must be a table, such as ["my-model"] with hub = "owner/name"')
        self._table = cast("dict[str, object]", value)

    def entry(self) -> Entry:
        try:
            check_name(self._name)
        except ValueError as error:
            raise self._wrong(str(error)) from None
        unknown = next((key for key in self._table if key not in KEYS), None)
        if unknown is not None:
            raise self._wrong(f"unknown key {unknown!r}; known: {', '.join(KEYS)}")
        return Entry(
            self._name,
            self._text("title") or self._name,
            self._origin(),
            int(self._number("size_gb") * GB),
            int(self._number("memory_gb") * GB),
            self._text("licence"),
            self._format(),
            self._text("architecture") if "architecture" in self._table else "gpt-oss",
        )

    def _origin(self) -> Origin:
        named: list[Kind] = [kind for kind in SOURCES if kind in self._table]
        if len(named) != 1:
            raise self._wrong(f"needs one of {', '.join(SOURCES)}")
        kind, location = named[0], self._text(named[0])
        files = self._strings("files")
        if not location:
            raise self._wrong(f"{kind} is empty")
        if kind == "hub" and (location.count("/") != 1 or not files):
            raise self._wrong('hub is "owner/name", and files says which: files = ["*.gguf"]')
        if kind == "path":
            location = str(user_path(location).absolute())
        return Origin(kind, location, files, self._text("revision"))

    def _format(self) -> Format:
        named = self._text("format") or "gguf"
        known: dict[str, Format] = {each: each for each in FORMATS}
        found = known.get(named)
        if found is None:
            raise self._wrong(f"format must be one of {', '.join(FORMATS)}, not {named!r}")
        return found

    def _text(self, key: str) -> str:
        value = self._table.get(key, "")
        if not isinstance(value, str):
            raise self._wrong(f"{key} must be a string, not {value!r}")
        return value

    def _number(self, key: str) -> float:
        value = self._table.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
            raise self._wrong(f"{key} must be a number of gigabytes, not {value!r}")
        return value

    def _strings(self, key: str) -> tuple[str, ...]:
        value = self._table.get(key, [])
        items = cast("list[object]", value) if isinstance(value, list) else [None]
        strings = tuple(item for item in items if isinstance(item, str) and item)
        if len(strings) != len(items):
            raise self._wrong(f"{key} must be a list of file names, not {value!r}")
        return strings

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"{self._where}: {what}")
