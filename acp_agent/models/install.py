"""Installs a model: lists, looks whether it fits, fetches what is missing, and then says so.

Nothing counts as installed before the manifest stands, which is written last. What came before a
kill, a cancel or an error is kept, and the next install goes on from there.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from acp_agent.errors import VocabularyError
from acp_agent.models.base import (
    InstallFailed,
    Interrupted,
    Listing,
    Progress,
    RemoteFile,
    Source,
    Tell,
)
from acp_agent.models.catalog import Entry
from acp_agent.models.fetch import ask, fetch
from acp_agent.models.locking import locked
from acp_agent.models.manifest import Accepted, Manifest
from acp_agent.models.meter import Meter
from acp_agent.models.names import is_inside, model_of_file
from acp_agent.models.origin import Open, Origin
from acp_agent.models.patience import PATIENCE, Patience
from acp_agent.models.store import PART, Store

SPARE = 10  # of a hundred, of the disk beyond the download
HEAD = 1 << 16  # bytes in which a GGUF says its architecture


@dataclass(frozen=True, slots=True)
class Ears:
    """Who hears of an install: how far it is, that another one does it, how much will come."""

    tell: Tell
    waiting: Callable[[], None]
    sized: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be installed; `update` takes the newest revision though one is installed."""

    entry: Entry
    accepted: Accepted | None = None
    update: bool = False


async def install(store: Store, wish: Wish, opened: Open, ears: Ears) -> Manifest:
    """Return the manifest of the model, which is now whole on the disk.

    Raises:
        InstallFailed: It cannot be had; what came is kept.

    """
    store.prepare()
    name = wish.entry.name
    try:
        async with locked(store.lock_file(name), ears.tell, ears.waiting) as tell:
            installed = _installed(store, wish)
            if installed is not None:
                return installed
            return await _Install(store, wish, opened, replace(ears, tell=tell)).run()
    except OSError as error:  # of the notes beside the files, which a full disk has no room for
        where = str(error.filename or store.root)
        raise InstallFailed(
            f"cannot write {where!r}: {error.strerror or error}; mend that and install again, what"
            " has come is kept"
        ) from error


def _installed(store: Store, wish: Wish) -> Manifest | None:
    """Return the manifest if the model is there. Raises InstallFailed if it is in the way."""
    standing = store.standing(wish.entry.name)
    if standing.newer:
        raise InstallFailed(f"{standing.name} is left as it is: {standing.why}")
    manifest = standing.manifest
    if manifest is None:
        return None
    if not _same(manifest.origin, wish.entry.origin):
        raise InstallFailed(
            f"{standing.name!r} is installed already, from {manifest.origin}; remove it first, or"
            " install this one under another name (--name)"
        )
    if standing.state == "damaged":
        raise InstallFailed(
            f"{standing.name} is installed and damaged ({standing.why}); mend it with:"
            f" acp-agent models repair {standing.name}"
        )
    return None if wish.update else manifest


def _same(one: Origin, other: Origin) -> bool:
    return replace(one, revision="") == replace(other, revision="")


class _Install:
    """One install, while the lock is held."""

    def __init__(self, store: Store, wish: Wish, opened: Open, ears: Ears) -> None:
        self._store = store
        self._wish = wish
        self._entry = wish.entry
        self._open = opened
        self._ears = replace(ears, tell=self._tell)
        self._hears = ears.tell
        self._last = Progress("checking", 0, wish.entry.size)
        self._patience = replace(PATIENCE, hear=self._interrupted)

    def _tell(self, progress: Progress) -> None:
        self._last = progress
        self._hears(progress)

    def _interrupted(self, words: str) -> None:
        self._hears(replace(self._last, rate=0.0, eta=None, note=words))

    async def run(self) -> Manifest:
        self._tell(self._last)
        source, listing = await self._listed()
        _check_listing(listing, self._entry)
        draft = self._draft(listing)
        place = self._store.place(draft)
        missing = sum(_missing(place / file.path, file.size) for file in listing.files)
        self._ears.sized(missing)
        self._store.folder(draft.name).mkdir(mode=0o700, exist_ok=True)
        _check_room(self._store.root, missing)
        await self._check_head(source, listing)
        self._store.keep_draft(draft)
        manifest = await self._fetched(source, listing, draft)
        self._store.commit(replace(manifest, installed=now()))
        return manifest

    async def _listed(self) -> tuple[Source, Listing]:
        """Ask for the revision that was begun; for the wanted one if that is gone."""
        draft, origin = self._store.draft(self._entry.name), self._entry.origin
        if draft and draft.revision and not self._wish.update and _same(draft.origin, origin):
            with suppress(InstallFailed):
                source = self._open(replace(origin, revision=draft.revision))
                return source, await ask(source, patience=self._patience)
        source = self._open(origin)
        return source, await ask(source, patience=self._patience)

    def _draft(self, listing: Listing) -> Manifest:
        entry = self._entry
        fresh = Manifest(
            entry.name,
            entry.origin,
            listing.revision,
            _place(listing),
            (),
            now(),
            entry.format,
            entry.architecture,
            self._wish.accepted,
        )
        left = self._store.draft(entry.name)
        if left is None or left.place != fresh.place or not _same(left.origin, entry.origin):
            return fresh
        return replace(fresh, files=left.files, accepted=fresh.accepted or left.accepted)

    async def _check_head(self, source: Source, listing: Listing) -> None:
        """Look at the first bytes, before the many that follow them."""
        wanted = self._entry.architecture
        ggufs = [file for file in listing.files if file.path.lower().endswith(".gguf")]
        if not wanted or self._entry.format != "gguf":
            return
        if not ggufs:
            raise InstallFailed(f"{source.name} has no GGUF file")
        from acp_agent.harmony.gguf import ARCHITECTURES, architecture

        head = await _beginning(source, listing, ggufs[0], self._patience)
        try:
            found = architecture(head)
        except VocabularyError as error:
            raise InstallFailed(f"{ggufs[0].path} of {source.name} is no model: {error}") from None
        known = ARCHITECTURES if wanted == "gpt-oss" else (wanted,)
        if found not in known:
            raise InstallFailed(
                f"{ggufs[0].path} of {source.name} is a model of architecture {found!r}, not"
                f" {wanted!r}"
            )

    async def _fetched(self, source: Source, listing: Listing, draft: Manifest) -> Manifest:
        place = self._store.place(draft)
        meter = Meter("downloading", sum(file.size for file in listing.files), self._ears.tell)
        done = {file.path: file for file in draft.files}
        for file in listing.files:
            path = place / file.path
            known = done.get(file.path)
            if known is None or not path.is_file() or path.stat().st_size != known.size:
                part = _part(path)
                tell = partial(meter.at, kept=part.stat().st_size if part.exists() else 0)
                done[file.path] = await fetch(
                    source, listing, file, part, tell, patience=self._patience
                )
                part.replace(path)
                draft = replace(draft, files=tuple(done.values()))
                self._store.keep_draft(draft)
            meter.file_done(file.size)
        return replace(draft, files=tuple(done[file.path] for file in listing.files))


def now() -> str:
    """Return the time in UTC, as manifests have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _check_listing(listing: Listing, entry: Entry) -> None:
    paths = [file.path for file in listing.files]
    if not paths:
        what = ", ".join(entry.origin.files) or "any file"
        raise InstallFailed(f"{entry.origin} has no {what}")
    bad = next((path for path in paths if not is_inside(path) or path.endswith(PART)), None)
    if bad is not None:
        raise InstallFailed(f"{entry.origin} offers a file {bad!r}, which cannot be kept here")
    models = {model_of_file(path) for path in paths}
    if entry.format == "gguf" and len(models) > 1:
        raise InstallFailed(
            f"{entry.origin} has {len(models)} models; name one of these files:"
            f" {', '.join(sorted(paths)[:20])}"
        )


def _place(listing: Listing) -> str:
    """Return a directory name of this revision, or of these very files."""
    if listing.revision:
        return hashlib.sha256(listing.revision.encode()).hexdigest()[:12]
    return hashlib.sha256(repr(listing.files).encode()).hexdigest()[:12]


def _part(path: Path) -> Path:
    """Return where a file comes in; what lies in its place unaccounted for is looked at again."""
    part = path.with_name(path.name + PART)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_file() and not part.exists():
        path.rename(part)
    return part


def _missing(path: Path, size: int) -> int:
    for there in (path, path.with_name(path.name + PART)):
        with suppress(OSError):
            return max(0, size - there.stat().st_size)
    return size


def _check_room(root: Path, missing: int) -> None:
    free = shutil.disk_usage(root).free
    needed = missing + missing * SPARE // 100
    if free < needed:
        raise InstallFailed(
            f"the disk of {root} has {gigabytes(free)} free, and {gigabytes(needed)} are needed"
            f" ({gigabytes(missing)} to download, and a tenth to spare): make room (with acp-agent"
            " models gc, perhaps), or point XDG_DATA_HOME to a larger disk"
        )


def gigabytes(size: int) -> str:
    """Return a size for people, in units of a thousand as disks are sold."""
    for unit, bytes_of in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_of:
            return f"{size / bytes_of:.1f} {unit}"
    return f"{size} B"


async def _beginning(
    source: Source, listing: Listing, file: RemoteFile, patience: Patience
) -> bytes:
    failed = 0
    while True:
        try:
            async with source.read(listing, file, 0) as pieces:
                return await _take(pieces)
        except Interrupted as error:
            failed += 1
            await patience.wait(failed, error, f"cannot fetch {file.path!r}")


async def _take(pieces: AsyncIterator[bytes]) -> bytes:
    head = bytearray()
    async for piece in pieces:
        head += piece
        if len(head) >= HEAD:
            break
    return bytes(head)
