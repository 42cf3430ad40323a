"""`acp-agent models install` and `add`: from a name to a model that is ready."""

from __future__ import annotations

import argparse
import sys
from functools import partial

import anyio.to_thread

from acp_agent.models.adopt import adopt, name_for
from acp_agent.models.advice import check_platform, memory_advice
from acp_agent.models.base import InstallFailed
from acp_agent.models.catalog import Entry
from acp_agent.models.choose import Pulled, choose
from acp_agent.models.install import Ears, Wish, gigabytes, install
from acp_agent.models.licences import Licence, licence_of
from acp_agent.models.manifest import Accepted, Manifest
from acp_agent.models.names import check_name
from acp_agent.models.origin import opener
from acp_agent.models.repair import repair
from acp_agent.paths import user_path
from acp_agent.verbs.models_desk import Desk


async def run_install(desk: Desk, args: argparse.Namespace) -> int:
    """Install one model; 0 once it is ready. Raises InstallFailed."""
    chosen = choose(args.words, desk.catalog, args.name)
    if isinstance(chosen, Pulled):
        from acp_agent.verbs.models_pull import run_pull

        return await run_pull(desk, chosen)
    standing = desk.store.standing(chosen.name)
    before = standing.manifest
    if before is not None and standing.state == "damaged":
        desk.tell.note("damaged", f"{before.name} is damaged: {standing.why}", name=before.name)
        await _mend(desk, before)
    accepted = None
    if before is None or args.update:
        desk.store.prepare()
        _advise(desk, chosen, force=args.force)
        accepted = await _accept(desk, chosen, given=args.accept)
    wish = Wish(chosen, accepted, args.update)
    sized = partial(_sized, desk, chosen)
    ears = Ears(desk.tell.progress, partial(desk.waiting, chosen.name), sized)
    manifest = await install(desk.store, wish, opener(desk.environ), ears)
    same = before is not None and before.revision == manifest.revision
    _say_installed(desk, manifest, "is installed already" if same else "is installed")
    return 0


async def _mend(desk: Desk, manifest: Manifest) -> None:
    waiting = partial(desk.waiting, manifest.name)
    opened = opener(desk.environ)
    mended = await repair(desk.store, manifest, opened, desk.tell.progress, waiting)
    text = f"mended: {gigabytes(mended.fetched)} were fetched anew"
    desk.tell.note("repaired", text, name=manifest.name, fetched=mended.fetched)


def _advise(desk: Desk, entry: Entry, *, force: bool) -> None:
    try:
        check_platform(entry, sys.platform)
        warning = memory_advice(entry.size, entry.memory)
    except InstallFailed as error:
        if not force:
            raise
        warning = str(error)
    if warning:
        desk.tell.note("warning", f"note: {warning}", name=entry.name)


def _sized(desk: Desk, entry: Entry, missing: int) -> None:
    what = "copy" if entry.origin.kind == "path" else "download"
    text = f"{entry.name}: {gigabytes(missing)} to {what} from {entry.origin}"
    desk.tell.note("download", text, name=entry.name, bytes=missing)


async def _accept(desk: Desk, entry: Entry, *, given: bool) -> Accepted | None:
    """Return the record of the licence that the user accepts. Raises InstallFailed without."""
    licence = licence_of(entry)
    if licence is None:
        return None
    draft = desk.store.draft(entry.name)
    now = licence.accepted()
    if draft is not None and draft.accepted is not None and draft.accepted.sha256 == now.sha256:
        return draft.accepted
    where = f" (its text: {licence.file})" if licence.file else ""
    words = f"{entry.name} comes under the licence {licence.name}{where}."
    desk.tell.note("licence", words, name=entry.name, licence=licence.name, sha256=now.sha256)
    if not licence.file:
        desk.tell.note("licence", licence.text, name=entry.name)
    if given:
        return now
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InstallFailed(
            f"the licence of {entry.name} has to be accepted first: read it, and add"
            " --accept-license"
        )
    if not await anyio.to_thread.run_sync(_asked, licence, abandon_on_cancel=True):
        raise InstallFailed(f"{entry.name} is not installed, for its licence was not accepted")
    return licence.accepted()


def _asked(licence: Licence) -> bool:
    """Ask on the terminal; the text is shown to whoever wants to read it first."""
    while True:
        print("Do you accept it? y: yes, n: no, r: read it  ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        match answer.strip().lower():
            case "y" | "yes":
                return True
            case "r" | "read":
                print(licence.text, file=sys.stderr)
            case "n" | "no":
                return False
            case _ if not answer:  # the terminal is closed
                return False
            case _:
                pass


async def run_add(desk: Desk, args: argparse.Namespace) -> int:
    """Adopt a file of the user's; 0 once it is ready. Raises InstallFailed."""
    path = user_path(args.path)
    try:
        name = check_name(args.name or name_for(path))
    except ValueError as error:
        raise InstallFailed(str(error)) from None
    waiting = partial(desk.waiting, name)
    manifest = await adopt(desk.store, name, path, desk.tell.progress, waiting)
    _say_installed(desk, manifest, "is added, and stays where it lies")
    return 0


def _say_installed(desk: Desk, manifest: Manifest, words: str) -> None:
    weights = desk.store.weights(manifest)
    place = weights or desk.store.place(manifest)
    text = f"{manifest.name} {words} ({gigabytes(manifest.size)}): {place}\n{_go_on(manifest)}"
    desk.tell.result("installed", text, name=manifest.name, path=str(place), size=manifest.size)


def _go_on(manifest: Manifest) -> str:
    if manifest.weights != "gguf":
        return "Load it with LM Studio or mlx-lm, and name that: docs/backends.md."
    if manifest.name == "smollm2":
        return "Mode fm uses it from now on: acp-agent serve --mode fm."
    return (
        'Go on with `acp-agent run "what does this project do?"`, or add acp-agent to your editor'
        " (docs/editors.md); `acp-agent doctor` says whether all is well."
    )
