"""Rubrics from TOML: the shipped one, with a user's file laid over it.

The shipped file is checked by the tests; a user's file is checked against
schemas/routing/rubric.schema.json, and every complaint names the file, the line and the key.
"""

from __future__ import annotations

import json
import logging
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, cast

from acp_agent.errors import ConfigError
from acp_agent.routing.build import RubricError, build_rubric
from acp_agent.routing.rubric import Rubric

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).with_name("rubric.toml")
SCHEMA = Path("schemas", "routing", "rubric.schema.json")


@cache
def default_rubric() -> Rubric:
    """Return the shipped rubric. The first call takes about 0.1 s."""
    return build_rubric(_shipped())


def load_rubric(path: Path | None = None, *, default_if_broken: bool = False) -> Rubric:
    """Return the shipped rubric with the file at `path` laid over it.

    Raises:
        ConfigError: The file is broken and `default_if_broken` is not set; names line and key.

    """
    if path is None:
        return default_rubric()
    try:
        return _overlaid(path)
    except ConfigError as error:
        if not default_if_broken:
            raise
        logger.warning("%s; going by the shipped rubric", error)
        return default_rubric()


def _overlaid(path: Path) -> Rubric:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the rubric {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the rubric {path} is not UTF-8") from None
    except ValueError:
        raise ConfigError(f"the rubric {str(path)!r} is no path") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the rubric {path} is not TOML: {error}") from None
    try:
        check(table)
        return build_rubric(merged(_shipped(), table))
    except RubricError as error:
        line = line_of(text, error.key)
        where = f"{path}, line {line}" if line else f"{path}"
        raise ConfigError(f"{where}: {'.'.join(error.key)}: {error}") from None


def check(table: dict[str, Any]) -> None:
    """Hold a user's table against the schema. Raises RubricError for the first thing wrong."""
    # 0.1 s that only a rubric of the user's own costs.
    from jsonschema import Draft202012Validator

    schema = json.loads(_schema().read_text(encoding="utf-8"))
    validator: Any = Draft202012Validator(schema)
    errors: list[Any] = list(validator.iter_errors(table))
    if not errors:
        return
    error = min(errors, key=lambda error: [str(part) for part in error.absolute_path])
    # Where one of several forms would do, the form that came furthest says best what is wrong.
    while error.context:
        error = max(error.context, key=lambda error: len(error.absolute_path))
    key = tuple(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        known: list[str] = list(error.schema["properties"])
        unknown: str = next(name for name in error.instance if name not in known)
        raise RubricError((*key, unknown), f"unknown key; known: {', '.join(known)}")
    raise RubricError(key, error.message)


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `under` with `over` laid over it: tables merge, all else is replaced.

    A rule's `when` is one condition: it is replaced as a whole.
    """
    result = dict(under)
    for key, value in over.items():
        below = under.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and key != "when":
            result[key] = merged(cast("dict[str, Any]", below), cast("dict[str, Any]", value))
        else:
            result[key] = value
    return result


def line_of(text: str, key: tuple[str, ...]) -> int | None:
    """Return the line that sets `key`, or the nearest table around it; None if there is none.

    TOML's reader keeps no positions. This one knows headers, dotted keys and one-line values,
    which is how rubrics are written.
    """
    table: tuple[str, ...] = ()
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line)
        pair = re.match(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[\w"'-]+)*)\s*=""", line)
        if header:
            table = here = _parts(header[1])
        elif pair:
            here = (*table, *_parts(pair[1]))
        else:
            continue
        if key[: len(here)] == here and (best is None or len(here) > best[0]):
            best = (len(here), number)
    return best[1] if best else None


def _parts(key: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in key.split("."))


def _shipped() -> dict[str, Any]:
    return tomllib.loads(SHIPPED.read_text(encoding="utf-8"))


def _schema() -> Path:
    # In the wheel the schemas lie inside the package, in a checkout beside it.
    package = Path(__file__).parents[1]
    inside = package / SCHEMA
    return inside if inside.exists() else package.parent / SCHEMA
