"""`acp-agent models list` and `status`: what there is, and how it stands."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict
from pathlib import Path

from acp_agent.models.catalog import Entry
from acp_agent.models.install import gigabytes
from acp_agent.models.locking import is_held, progress_of
from acp_agent.models.store import Standing
from acp_agent.verbs.models_desk import Desk
from acp_agent.verbs.telling import sentence

WORDS = {
    "ready": "ready",
    "partial": "begun",
    "damaged": "damaged",
    "broken": "unreadable",
    "absent": "",
}


async def run_list(desk: Desk, args: argparse.Namespace) -> int:
    """Print one line a model: what can be had, and what is there."""
    there = {name.lower(): desk.store.standing(name) for name in desk.store.names()}
    for entry in desk.catalog.entries:
        standing = there.pop(entry.name.lower(), Standing(entry.name, "absent"))
        _line(desk, standing, entry)
    for standing in there.values():
        _line(desk, standing, None)
    return 0


def _line(desk: Desk, standing: Standing, entry: Entry | None) -> None:
    manifest = standing.manifest
    size = manifest.size if manifest else entry.size if entry else standing.done
    title = entry.title if entry else str(manifest.origin) if manifest else ""
    shown = gigabytes(size) if size else ""
    text = f"{standing.name:<20} {_state(desk, standing):<12} {shown:>8}  {title}".rstrip()
    desk.tell.result(
        "model",
        text,
        name=standing.name,
        state=standing.state,
        size=size,
        memory=entry.memory if entry else 0,
        licence=entry.licence if entry else "",
        in_catalog=entry is not None,
    )


def _state(desk: Desk, standing: Standing) -> str:
    if standing.state != "ready" and is_held(desk.store.lock_file(standing.name)):
        return "coming"
    return WORDS[standing.state]


async def run_status(desk: Desk, args: argparse.Namespace) -> int:
    """Print how models stand; 1 if one of them is not ready. Raises InstallFailed."""
    standings = [desk.standing(name) for name in args.names or desk.store.names()]
    for standing in standings:
        _status(desk, standing)
    if not standings:
        advice = "no model is installed; begin with: acp-agent models install gpt-oss-20b"
        desk.tell.result("nothing", advice)
    free = shutil.disk_usage(_nearest(desk.store.root)).free
    text = f"{desk.store.root}: {gigabytes(free)} free"
    desk.tell.result("store", text, path=str(desk.store.root), free=free)
    return 0 if all(standing.state == "ready" for standing in standings) else 1


def _status(desk: Desk, standing: Standing) -> None:
    manifest, lock = standing.manifest, desk.store.lock_file(standing.name)
    progress = progress_of(lock)
    lines = [f"{standing.name}: {_words(standing, held=is_held(lock))}"]
    if progress is not None:
        lines.append(f"    another acp-agent is at it: {sentence(progress)}")
    if manifest is not None:
        place = desk.store.weights(manifest) or desk.store.place(manifest)
        lines.append(f"    {place}, {gigabytes(manifest.size)}")
        revision = f", revision {manifest.revision}" if manifest.revision else ""
        lines.append(f"    from {manifest.origin}{revision}, installed {manifest.installed}")
        if manifest.accepted:
            accepted = manifest.accepted
            lines.append(f"    licence {accepted.licence}, accepted {accepted.time}")
    desk.tell.result(
        "model",
        "\n".join(lines),
        name=standing.name,
        state=standing.state,
        why=standing.why,
        done=standing.done,
        progress=asdict(progress) if progress else None,
        manifest=_shown(standing),
    )


def _shown(standing: Standing) -> dict[str, object] | None:
    if standing.manifest is None:
        return None
    fields = asdict(standing.manifest)
    for file in fields["files"]:
        del file["blocks"]
    return fields


def _words(standing: Standing, *, held: bool) -> str:
    again = f"acp-agent models install {standing.name}"
    match standing.state:
        case "ready":
            return "ready"
        case "partial" | "absent" if held:
            return f"coming, {gigabytes(standing.done)} so far"
        case "partial" | "absent":
            return f"begun, {gigabytes(standing.done)} so far; go on with: {again}"
        case "damaged":
            return f"damaged: {standing.why}; mend it: acp-agent models repair {standing.name}"
        case "broken":
            advice = "" if standing.newer else f"; mend it: {again}"
            return f"unreadable: {standing.why}{advice}"


def _nearest(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())
