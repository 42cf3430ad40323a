"""Mends a damaged model: every block is hashed, and only what is wrong is fetched again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from acp_agent.models.base import BLOCK, InstalledFile, InstallFailed, Listing, Source, Tell
from acp_agent.models.fetch import ask, fetch_block
from acp_agent.models.locking import locked
from acp_agent.models.manifest import Manifest
from acp_agent.models.meter import Meter
from acp_agent.models.origin import Open
from acp_agent.models.store import Store
from acp_agent.models.verify import Fault, verify


@dataclass(frozen=True, slots=True)
class Mended:
    """What was wrong, and how many bytes were fetched for it."""

    faults: tuple[Fault, ...]
    fetched: int


async def check(
    store: Store, manifest: Manifest, tell: Tell, waiting: Callable[[], None]
) -> list[Fault]:
    """Verify a model, and write down what is wrong, so that no engine is started with it."""
    store.prepare()
    async with locked(store.lock_file(manifest.name), tell, waiting) as told:
        return await _checked(store, manifest, told)


async def _checked(store: Store, manifest: Manifest, tell: Tell) -> list[Fault]:
    faults = await verify(manifest, store.place(manifest), tell)
    store.record_damage(manifest.name, [str(fault) for fault in faults])
    return faults


async def repair(
    store: Store, manifest: Manifest, opened: Open, tell: Tell, waiting: Callable[[], None]
) -> Mended:
    """Fetch what is damaged or missing, and nothing else.

    Raises:
        InstallFailed: It cannot be mended; what is whole stays.

    """
    store.prepare()
    async with locked(store.lock_file(manifest.name), tell, waiting) as told:
        faults = await _checked(store, manifest, told)
        if not faults:
            return Mended((), 0)
        source = opened(replace(manifest.origin, revision=manifest.revision))
        listing = await ask(source)
        fetched = await _mend(store, manifest, faults, source, listing, told)
        store.record_damage(manifest.name, [])
        return Mended(tuple(faults), fetched)


async def _mend(
    store: Store,
    manifest: Manifest,
    faults: list[Fault],
    source: Source,
    listing: Listing,
    tell: Tell,
) -> int:
    files = {file.path: file for file in manifest.files}
    total = sum(_bytes(files[fault.path], fault) for fault in faults)
    meter = Meter("downloading", total, tell)
    for fault in faults:
        file, target = files[fault.path], store.place(manifest) / fault.path
        _check_target(target, fault)
        for index in fault.blocks:
            await fetch_block(source, listing, file, index, target)
            meter.file_done(_block_size(file, index))
        if target.stat().st_size > file.size:
            os.truncate(target, file.size)
    return total


def _check_target(target: Path, fault: Fault) -> None:
    if fault.kind == "unreadable":
        raise InstallFailed(f"{target} {fault.text}; mend that, and repair again")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def _bytes(file: InstalledFile, fault: Fault) -> int:
    return sum(_block_size(file, index) for index in fault.blocks)


def _block_size(file: InstalledFile, index: int) -> int:
    return min(BLOCK, file.size - index * BLOCK)
