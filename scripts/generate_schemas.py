"""Writes schemas/tools/ from the tools' arguments, delegation's too; `--check` only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from acp_agent.agent.delegation import TOOL
from acp_agent.tools.toolbox import tool_schemas

FOLDER = Path(__file__).parents[1] / "schemas" / "tools"


def main() -> int:
    wanted = {
        f"{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in (*tool_schemas().items(), (TOOL.name, TOOL.parameters))
    }
    present = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    if "--check" in sys.argv[1:]:
        stale = sorted(
            name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name)
        )
        if stale:
            print(f"out of date: {', '.join(stale)}; run scripts/generate_schemas.py")
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in present.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
