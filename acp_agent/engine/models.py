"""Finds gpt-oss weights that are already on the disk; it downloads nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

# Tried in this order in every directory: the reference weights, then by how fast they answer on a
# laptop.
PREFERENCE = ("mxfp4", "Q4_0", "Q3_K_S", "Q2_K", "Q4_K_M")
DIRECTORIES = ("models/gpt-oss-20b/gguf", "models/gpt-oss", "models")


def model_directories(model_dir: str) -> tuple[Path, ...]:
    """Return where to look: the directory that the user named, else the usual ones at home."""
    if model_dir:
        return (Path(model_dir).expanduser(),)
    return tuple(Path.home() / name for name in DIRECTORIES)


def find_model(directories: Iterable[Path]) -> Path | None:
    """Return the best gpt-oss GGUF of the first directory that holds one."""
    for directory in directories:
        found = [path for path in _files(directory) if is_gpt_oss(path)]
        if found:
            return min(found, key=_rank)
    return None


def is_gpt_oss(path: Path) -> bool:
    """Tell by its name whether the file holds (the first part of) gpt-oss weights."""
    name = path.name.lower()
    return (
        name.startswith("gpt-oss")
        and name.endswith(".gguf")
        and ("-of-" not in name or "-00001-of-" in name)
    )


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.is_file())
    except OSError:
        return []


def _rank(path: Path) -> tuple[int, str]:
    name = path.name.lower()
    ranks = (i for i, quantisation in enumerate(PREFERENCE) if quantisation.lower() in name)
    return next(ranks, len(PREFERENCE)), path.name
