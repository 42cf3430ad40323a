"""Whether a model is of use on a machine: refused, warned of, or fine."""

from __future__ import annotations

import pytest

from acp_agent.models.advice import check_platform, memory_advice
from acp_agent.models.base import InstallFailed
from acp_agent.models.catalog import MLX_20B, MXFP4_20B

GB = 10**9


def test_a_model_for_macs_is_refused_elsewhere() -> None:
    with pytest.raises(
        InstallFailed, match="is for MLX, which only Macs have; install gpt-oss-20b"
    ):
        check_platform(MLX_20B, "linux")
    check_platform(MLX_20B, "darwin")
    check_platform(MXFP4_20B, "linux")


def test_weights_that_the_memory_cannot_hold_are_refused() -> None:
    with pytest.raises(InstallFailed, match="the weights alone are 12"):
        memory_advice(12 * GB, 16 * GB, total=8 * GB)


@pytest.mark.parametrize(("total", "warns"), [(13, True), (15, False), (64, False), (0, False)])
def test_little_memory_is_warned_of(total: int, warns: bool) -> None:
    assert ("are advised" in memory_advice(12 * GB, 16 * GB, total=total * GB)) is warns
