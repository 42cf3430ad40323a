"""Takes a GGUF of the user's own into the store, and leaves it where it lies.

Its header must be one of gpt-oss, its vocabulary o200k_harmony. It is hashed, so that it can be
verified later.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread

from acp_agent.errors import VocabularyError
from acp_agent.harmony.ranks import ranks_from_gguf
from acp_agent.models.base import InstalledFile, InstallFailed, Tell
from acp_agent.models.install import now
from acp_agent.models.locking import locked
from acp_agent.models.manifest import Manifest
from acp_agent.models.meter import Meter
from acp_agent.models.names import model_of_file, slug
from acp_agent.models.origin import Origin
from acp_agent.models.store import Store
from acp_agent.models.verify import hash_file

MAGIC = b"GGUF"


def name_for(path: Path) -> str:
    """Return what a file is called if the user names it nothing else."""
    return slug(re.sub(r"-\d{5}-of-\d{5}$", "", path.stem))


async def adopt(
    store: Store, name: str, path: Path, tell: Tell, waiting: Callable[[], None]
) -> Manifest:
    """Make the file at `path`, with the other parts of a split model, an installed model.

    Raises:
        InstallFailed: It is no gpt-oss model, or the name is taken.

    """
    files = await anyio.to_thread.run_sync(_parts, path.absolute())
    try:
        await anyio.to_thread.run_sync(ranks_from_gguf, files[0])
    except VocabularyError as error:
        raise InstallFailed(f"{str(path)!r} is not adopted: {error}") from None
    store.prepare()
    async with locked(store.lock_file(name), tell, waiting) as told:
        _check_free(store, name, files[0])
        hashed = await _hashed(files, told)
        origin = Origin("adopted", str(files[0]))
        manifest = Manifest(
            name, origin, "", str(files[0].parent), hashed, now(), "gguf", "gpt-oss"
        )
        store.commit(manifest)
        return manifest


def _check_free(store: Store, name: str, path: Path) -> None:
    standing = store.standing(name)
    taken = standing.manifest and standing.manifest.origin
    if standing.state == "absent" or taken == Origin("adopted", str(path)):
        return
    where = f", from {taken}" if taken else ""
    raise InstallFailed(
        f"a model {name!r} is there already{where}; give this one another name (--name), or remove"
        " that one first"
    )


async def _hashed(files: list[Path], tell: Tell) -> tuple[InstalledFile, ...]:
    meter = Meter("verifying", sum(path.stat().st_size for path in files), tell)
    hashed: list[InstalledFile] = []
    for path in files:
        hashed.append(await hash_file(path, path.name, meter.at))
        meter.file_done(hashed[-1].size)
    return tuple(hashed)


def _parts(path: Path) -> list[Path]:
    """Return the file, or all parts of a split model. Raises InstallFailed."""
    _check_gguf(path)
    model = model_of_file(path.name)
    if model == path.name:
        return [path]
    found = sorted(p for p in path.parent.iterdir() if model_of_file(p.name) == model)
    count = int(model.rpartition("-of-")[2])
    if len(found) != count:
        raise InstallFailed(
            f"{str(path)!r} is one of {count} parts, and {len(found)} lie beside it"
        )
    for part in found:
        _check_gguf(part)
    return found


def _check_gguf(path: Path) -> None:
    try:
        if path.is_dir():
            raise InstallFailed(f"{str(path)!r} is a directory; name a GGUF file in it")
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InstallFailed(f"{str(path)!r} cannot be read: {reason}") from None
    if head != MAGIC:
        raise InstallFailed(f"{str(path)!r} is not a GGUF file")
