"""Pins schemas/acp: records where each file came from and its digest, or checks that nothing moved.

python scripts/pin_schema.py --version 2.4.0 DIRECTORY    copy the files of an unpacked package
python scripts/pin_schema.py --check                      compare the files with PINNED.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path

SCHEMAS = Path(__file__).parents[1] / "schemas" / "acp"
PINNED = SCHEMAS / "PINNED.json"
PACKAGE = "@agentclientprotocol/sdk"
LICENSE = "Apache-2.0"


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of every schema file in `folder`."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*.json"))
        if path.name != PINNED.name
    }


def pin(folder: Path, version: str) -> None:
    """Copy the schema files there and record them."""
    if not (files := digests(folder)):
        sys.exit(f"no schema files (*.json) in {str(folder)!r}")
    if folder.resolve() != SCHEMAS:
        for name in files:
            shutil.copyfile(folder / name, SCHEMAS / name)
    record = {"source": f"npm:{PACKAGE}", "version": version, "license": LICENSE, "sha256": files}
    PINNED.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def problems() -> list[str]:
    """Return what differs between the files and their record."""
    recorded: dict[str, str] = json.loads(PINNED.read_text(encoding="utf-8"))["sha256"]
    found = digests(SCHEMAS)
    return [
        *(f"{name} is missing" for name in recorded.keys() - found.keys()),
        *(f"{name} is not recorded" for name in found.keys() - recorded.keys()),
        *(
            f"{name} was changed"
            for name in recorded
            if found.get(name, recorded[name]) != recorded[name]
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SCHEMAS)
    parser.add_argument("--version", help="the package's version")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.check:
        if found := problems():
            sys.exit("schemas/acp: " + "; ".join(sorted(found)))
        return
    if not arguments.version:
        parser.error("--version is needed to pin")
    pin(arguments.folder, arguments.version)


if __name__ == "__main__":
    main()
