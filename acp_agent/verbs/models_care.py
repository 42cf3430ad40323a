"""`acp-agent models verify`, `repair`, `remove` and `gc`: keeping whole what is installed."""

from __future__ import annotations

import argparse
from functools import partial

from acp_agent.models.install import gigabytes
from acp_agent.models.origin import opener
from acp_agent.models.repair import check, repair
from acp_agent.models.tidy import Leftover, leftovers, remove, size_of, sweep
from acp_agent.verbs.models_desk import Desk
from acp_agent.verbs.models_strays import strays


async def run_verify(desk: Desk, args: argparse.Namespace) -> int:
    """Hash files again and name what is wrong; 1 if anything is. Raises InstallFailed."""
    standings = [desk.store.standing(name) for name in desk.store.names()]
    unreadable = [] if args.names else [each for each in standings if each.state == "broken"]
    names = args.names or [each.name for each in standings if each.manifest]
    manifests = [desk.manifest(name) for name in names]
    if not manifests and not unreadable:
        desk.tell.result("nothing", "no model is installed")
    for standing in unreadable:
        text = f"{standing.name} cannot be verified: {standing.why}"
        desk.tell.result("fault", text, name=standing.name, kind="manifest")
    failed = bool(unreadable)
    for manifest in manifests:
        waiting = partial(desk.waiting, manifest.name)
        faults = await check(desk.store, manifest, desk.tell.progress, waiting)
        failed = failed or bool(faults)
        for fault in faults:
            fields = {"path": fault.path, "kind": fault.kind, "blocks": fault.blocks}
            desk.tell.result("fault", f"{manifest.name}: {fault}", name=manifest.name, **fields)
        if faults:
            advice = f"mend it with: acp-agent models repair {manifest.name}"
            desk.tell.note("damaged", advice, name=manifest.name)
        else:
            count = len(manifest.files)
            what = f"{count} file{'s' if count > 1 else ''}, {gigabytes(manifest.size)}"
            desk.tell.result("whole", f"{manifest.name} is whole: {what}", name=manifest.name)
    return 1 if failed else 0


async def run_repair(desk: Desk, args: argparse.Namespace) -> int:
    """Fetch what is damaged; 0 once all are whole. Raises InstallFailed."""
    for manifest in [desk.manifest(name) for name in args.names]:
        waiting = partial(desk.waiting, manifest.name)
        opened = opener(desk.environ)
        mended = await repair(desk.store, manifest, opened, desk.tell.progress, waiting)
        for fault in mended.faults:
            desk.tell.note("fault", f"{manifest.name}: {fault}", name=manifest.name)
        if mended.faults:
            text = f"{manifest.name} is whole again: {gigabytes(mended.fetched)} were fetched"
        else:
            text = f"{manifest.name} is whole; there was nothing to mend"
        desk.tell.result("repaired", text, name=manifest.name, fetched=mended.fetched)
    return 0


async def run_remove(desk: Desk, args: argparse.Namespace) -> int:
    """Delete models. Raises InstallFailed."""
    for standing in [desk.standing(name) for name in args.names]:
        size = size_of(desk.store.folder(standing.name))
        removed = await remove(desk.store, standing.name)
        manifest = removed.manifest
        if manifest is not None and manifest.origin.kind == "adopted":
            text = f"{removed.name} is no longer added; {manifest.origin.location} stays"
        else:
            text = f"{removed.name} is removed, {gigabytes(size)} are free again"
        desk.tell.result("removed", text, name=removed.name)
    return 0


async def run_gc(desk: Desk, args: argparse.Namespace) -> int:
    """Delete what nothing needs; with `dry_run` only say what that is."""
    found: list[Leftover] = []
    for name in desk.store.names():
        found += await (leftovers if args.dry_run else sweep)(desk.store, name)
    for leftover in strays():
        if not args.dry_run:
            leftover.remove()
        found.append(leftover)
    done = "would go" if args.dry_run else "is gone"
    for item in found:
        text = f"{item.path} {done}: {item.what}, {gigabytes(item.size)}"
        desk.tell.result("gone", text, path=str(item.path), bytes=item.size)
    total = sum(item.size for item in found)
    word = "could be freed" if args.dry_run else "were freed"
    text = f"{gigabytes(total)} {word}" if found else "there is nothing to clear away"
    desk.tell.result("cleared", text, bytes=total)
    return 0
