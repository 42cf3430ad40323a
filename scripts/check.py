"""The one check command: format, lint, types, pinned and generated schemas. `--fix` mends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
FIX = "--fix" in sys.argv[1:]

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("ruff", "format", "acp_agent", "scripts", "tests") + (() if FIX else ("--check",)),
    ("ruff", "check", "acp_agent", "scripts", "tests") + (("--fix",) if FIX else ()),
    ("basedpyright",),
    ("python", "scripts/pin_schema.py", "--check"),
    ("python", "scripts/generate_schemas.py") + (() if FIX else ("--check",)),
)


def main() -> int:
    failed: list[str] = []
    for command in COMMANDS:
        print("$", *command, flush=True)
        if subprocess.run((BIN / command[0], *command[1:]), check=False).returncode:
            failed.append(" ".join(command[:2]))
    print("failed: " + ", ".join(failed) if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
