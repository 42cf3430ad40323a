"""The pinned schemas are the ones on record, and a changed one is noticed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, root / "scripts" / "pin_schema.py", "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_pinned_schemas_are_unchanged() -> None:
    assert (check(ROOT).returncode, check(ROOT).stderr) == (0, "")


def test_changed_missing_and_new_files_are_named(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "schemas" / "acp", tmp_path / "schemas" / "acp")
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "pin_schema.py", tmp_path / "scripts")
    folder = tmp_path / "schemas" / "acp"
    (folder / "meta.v1.json").write_text("{}")
    (folder / "meta.v2.json").unlink()
    (folder / "new.json").write_text("{}")
    assert check(tmp_path).stderr == (
        "schemas/acp: meta.v1.json was changed; meta.v2.json is missing; new.json is not recorded\n"
    )
