"""`make bench` as a user runs it, a section at a time; what it measures is asserted nowhere."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.e2e.commands import SCRIPTS


# The rest takes too long here; most of its parts are in these.
@pytest.mark.parametrize("section", ["cancel", "fm", "engine"])
def test_a_section_measures_each_of_its_figures(world: dict[str, str], section: str) -> None:
    ran = subprocess.run(
        [sys.executable, str(SCRIPTS / "bench.py"), "--json", "--only", section],
        env=world,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    figures = json.loads(ran.stdout)["sections"][section]
    assert figures
    for figure in figures:  # without values, a label says why
        assert figure["agent"] or "SmolLM2" in figure["label"]
