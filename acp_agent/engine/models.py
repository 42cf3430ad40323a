"""Finds gpt-oss weights that are already on the disk; it downloads nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from acp_agent.models.locking import progress_of
from acp_agent.models.store import Store
from acp_agent.paths import models_path

# Tried in this order in every directory: the reference weights, then by how fast they answer on a
# laptop.
PREFERENCE = ("mxfp4", "Q4_0", "Q3_K_S", "Q2_K", "Q4_K_M")
DIRECTORIES = ("models/gpt-oss-20b/gguf", "models/gpt-oss", "models")


def model_directories(model_dir: str) -> tuple[Path, ...]:
    """Return where to look: the directory that the user named, else the usual ones at home."""
    if model_dir:
        return (Path(model_dir).expanduser(),)
    return tuple(Path.home() / name for name in DIRECTORIES)


def installed_model(wanted: str = "") -> Path | None:
    """Return the gpt-oss weights that were installed: those called `wanted`, else the best."""
    store = Store(models_path())
    manifests = [
        standing.manifest
        for standing in map(store.standing, store.names())
        if standing.state == "ready"
    ]
    found = [
        (manifest.name.lower(), path)
        for manifest in manifests
        if manifest and manifest.architecture == "gpt-oss" and (path := store.weights(manifest))
    ]
    name = wanted.lower()
    ranked = sorted(
        found, key=lambda each: (each[0] != name, not each[0].startswith(name), _rank(each[1]))
    )
    return ranked[0][1] if ranked else None


def arriving_model() -> tuple[str, float] | None:
    """Return the gpt-oss that another process installs now, and how far that is (0 to 1)."""
    store = Store(models_path())
    for name in store.names():
        progress = progress_of(store.lock_file(name))
        if name.startswith("gpt-oss") and progress is not None:
            return name, progress.done / max(1, progress.total)
    return None


def damaged_model() -> str:
    """Say of the first installed gpt-oss that is damaged what to do; "" if none is."""
    store = Store(models_path())
    for standing in map(store.standing, store.names()):
        manifest = standing.manifest
        if standing.state == "damaged" and manifest and manifest.architecture == "gpt-oss":
            advice = f"mend it with: acp-agent models repair {standing.name}"
            return f"{standing.name} is installed and damaged ({standing.why}); {advice}"
    return ""


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
