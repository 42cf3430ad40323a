"""The directory of installed models: what is where, and how each model stands.

<root>/<model>/manifest.json    written last; without it nothing is installed
<root>/<model>/draft.json       files that are done while others still come
<root>/<model>/damage.json      what a verification found wrong
<root>/<model>/<revision>/      the files; `.part` is what came of one so far
<root>/.locks/<model>           one installer at a time, over all processes
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from acp_agent.models.base import InstallFailed
from acp_agent.models.manifest import Manifest, ManifestBroken, parse
from acp_agent.models.names import first_weights, folder_of, name_of

PART = ".part"
State = Literal["ready", "partial", "damaged", "broken", "absent"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a model stands; `why` says what is wrong, `done` is how many bytes a partial has.

    `newer`: a later version of this program wrote the manifest, so nothing here may touch it.
    """

    name: str
    state: State
    why: str = ""
    manifest: Manifest | None = None
    done: int = 0
    newer: bool = False


class Store:
    """The models below `root`, which need not exist."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self) -> None:
        """Make the directory. Raises InstallFailed, which says what is in the way."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._locks.mkdir(mode=0o700, exist_ok=True)
            if not os.access(self.root, os.W_OK | os.X_OK):
                raise PermissionError(None, "you may not write there", str(self.root))
        except FileExistsError as error:
            raise _unusable(self.root, f"{error.filename} is a file") from None
        except OSError as error:
            raise _unusable(self.root, error.strerror or str(error)) from None

    @property
    def _locks(self) -> Path:
        return self.root / ".locks"

    def lock_file(self, name: str) -> Path:
        """Return the file that whoever changes a model locks."""
        return self._locks / folder_of(name)

    def folder(self, name: str) -> Path:
        """Return the directory of a model, which need not exist."""
        return self.root / folder_of(name)

    def place(self, manifest: Manifest) -> Path:
        """Return the directory that a model's files are in."""
        return self.folder(manifest.name) / manifest.place

    def weights(self, manifest: Manifest) -> Path | None:
        """Return the GGUF that an engine is started with; None if the model has none."""
        first = first_weights(tuple(file.path for file in manifest.files))
        return self.place(manifest) / first if first and manifest.weights == "gguf" else None

    def names(self) -> list[str]:
        """Return the models that have a directory, whole or not."""
        try:
            folders = sorted(path.name for path in self.root.iterdir() if path.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name for name in map(name_of, folders) if name is not None]

    def standing(self, name: str) -> Standing:
        """Look how a model stands; by names and sizes, for hashing takes long."""
        folder = self.folder(name)
        try:
            manifest = parse((folder / "manifest.json").read_text(encoding="utf-8"))
            if manifest.name != name:
                raise ManifestBroken(f"its manifest is one of {manifest.name!r}")
        except FileNotFoundError:
            done = sum(_size(path) or 0 for path in _files(folder))
            state = "partial" if done or (folder / "draft.json").exists() else "absent"
            return Standing(name, state, done=done)
        except (ManifestBroken, OSError, UnicodeDecodeError) as error:
            newer = isinstance(error, ManifestBroken) and error.newer
            return Standing(name, "broken", str(error), newer=newer)
        why = self._wrong(manifest)
        return Standing(name, "damaged" if why else "ready", why, manifest)

    def _wrong(self, manifest: Manifest) -> str:
        place = self.place(manifest)
        for file in manifest.files:
            size = _size(place / file.path)
            if size is None:
                return f"{file.path} is missing"
            if size != file.size:
                return f"{file.path} has {size} bytes instead of {file.size}"
        return "; ".join(self.damage(manifest.name))

    def damage(self, name: str) -> list[str]:
        """Return what the last verification found wrong."""
        try:
            text = (self.folder(name) / "damage.json").read_text(encoding="utf-8")
            found: object = json.loads(text)
        except FileNotFoundError:
            return []
        except (OSError, ValueError):
            return ["the record of its damage cannot be read"]
        sentences = cast("list[object]", found) if isinstance(found, list) else []
        return list(map(str, sentences)) or ["the record of its damage is empty"]

    def record_damage(self, name: str, sentences: list[str]) -> None:
        """Write down what is wrong, or that nothing is."""
        path = self.folder(name) / "damage.json"
        if sentences:
            write(path, json.dumps(sentences, ensure_ascii=False))
        else:
            path.unlink(missing_ok=True)

    def draft(self, name: str) -> Manifest | None:
        """Return what an install that was broken off has finished."""
        try:
            return parse((self.folder(name) / "draft.json").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ManifestBroken):
            return None

    def keep_draft(self, draft: Manifest) -> None:
        """Write down what is done so far."""
        write(self.folder(draft.name) / "draft.json", draft.as_json())

    def commit(self, manifest: Manifest) -> None:
        """Make a model installed; its files must be there."""
        folder = self.folder(manifest.name)
        folder.mkdir(mode=0o700, exist_ok=True)
        write(folder / "manifest.json", manifest.as_json())
        # Not before: a kill between the two must not make a damaged model whole.
        self.record_damage(manifest.name, [])
        (folder / "draft.json").unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Replace a file in one step, and have it on the disk before it counts."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/**/*") if path.is_file()]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _unusable(root: Path, why: str) -> InstallFailed:
    return InstallFailed(
        f"models cannot be kept in {root}: {why}; mend that, or point XDG_DATA_HOME elsewhere"
    )
