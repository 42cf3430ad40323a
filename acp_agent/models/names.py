"""Names of models and of their files: what may stand on the disk under them."""

from __future__ import annotations

import re

_PART = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
NAME = re.compile(f"{_PART}(:{_PART})?")


def check_name(name: str) -> str:
    """Return the name. Raises ValueError, whose text says what a name is made of."""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name for a model; it may hold letters, digits, dots, dashes and"
            " underscores, and one colon before the quantisation"
        )
    return name


def folder_of(name: str) -> str:
    """Return the directory's name; a colon would divide paths in lists of them."""
    return check_name(name).replace(":", "@")


def name_of(folder: str) -> str | None:
    """Return the model of a directory, None if it is not one of a model."""
    name = folder.replace("@", ":", 1)
    return name if NAME.fullmatch(name) else None


def slug(text: str) -> str:
    """Return a name made of what may stand in one."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:100] or "model"


def is_inside(path: str) -> bool:
    """Tell whether a relative path of a source stays below where it is put."""
    return not {"", ".", ".."} & set(path.split("/")) and "\0" not in path


_SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)


def model_of_file(path: str) -> str:
    """Return what parts of a split model have in common; the path itself for a whole one."""
    found = _SHARD.fullmatch(path)
    return f"{found[1]}-of-{found[3]}" if found else path


def first_weights(paths: tuple[str, ...]) -> str:
    """Return the file that an engine is started with, "" if none is a GGUF."""
    files = sorted(path for path in paths if path.lower().endswith(".gguf"))
    return files[0] if files else ""
