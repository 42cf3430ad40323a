"""Removing: a model that nobody wants any more, and what is left over of installs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from acp_agent.models.base import InstallFailed
from acp_agent.models.locking import if_free
from acp_agent.models.store import PART, Standing, Store


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something on the disk that nothing needs; `what` says why."""

    path: Path
    what: str
    size: int

    def remove(self) -> None:
        """Remove it. Raises OSError."""
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)


async def remove(store: Store, name: str) -> Standing:
    """Forget a model and remove what the store holds of it; an adopted file stays.

    Raises:
        InstallFailed: There is no such model, it is being installed now, or it is a newer one's.

    """
    store.prepare()
    async with if_free(store.lock_file(name)) as free:
        standing = store.standing(name)
        if not free:
            raise InstallFailed(f"{name} is being installed or verified now; stop that first")
        if standing.state == "absent":
            raise InstallFailed(f"{name!r} is not installed")
        if standing.newer:
            raise InstallFailed(f"{name} is left as it is: {standing.why}")
        # The manifest goes first: what a kill leaves behind is never taken for a model.
        (store.folder(name) / "manifest.json").unlink(missing_ok=True)
        shutil.rmtree(store.folder(name))
        return standing


async def leftovers(store: Store, name: str) -> list[Leftover]:
    """Return what a model's directory holds that its manifest does not name."""
    store.prepare()
    async with if_free(store.lock_file(name)) as free:
        return _of_model(store, store.standing(name)) if free else []


async def sweep(store: Store, name: str) -> list[Leftover]:
    """Remove what `leftovers` names, unless somebody installs the model now; return it."""
    store.prepare()
    async with if_free(store.lock_file(name)) as free:
        found = _of_model(store, store.standing(name)) if free else []
        for leftover in found:
            leftover.remove()
        return found


def _of_model(store: Store, standing: Standing) -> list[Leftover]:
    folder = store.folder(standing.name)
    if standing.state in ("partial", "absent"):
        return [Leftover(folder, "an install that was broken off", size_of(folder))]
    manifest = standing.manifest
    if manifest is None:  # its manifest cannot be read: an install goes by what is there
        return []
    keep = {"manifest.json", "damage.json", manifest.place}
    others = [path for path in folder.iterdir() if path.name not in keep]
    parts = folder.glob(f"{manifest.place}/**/*{PART}") if _is_ours(manifest.place) else ()
    return [
        *(Leftover(path, _what(path), size_of(path)) for path in sorted(others)),
        *(Leftover(path, "the beginning of a file", size_of(path)) for path in sorted(parts)),
    ]


def _is_ours(place: str) -> bool:
    return not place.startswith("/")


def _what(path: Path) -> str:
    return "another revision" if path.is_dir() else "a note of an install"


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a directory."""
    paths: Iterable[Path] = path.rglob("*") if path.is_dir() else (path,)
    return sum(each.lstat().st_size for each in paths if each.is_file())
