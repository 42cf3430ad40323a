"""Whether a model is of use on a platform; that of memory is in tests/engine/test_preflight.py."""

from __future__ import annotations

import pytest

from acp_agent.models.advice import check_platform
from acp_agent.models.base import InstallFailed
from acp_agent.models.catalog import MLX_20B, MXFP4_20B


def test_a_model_for_macs_is_refused_elsewhere() -> None:
    with pytest.raises(
        InstallFailed, match="is for MLX, which only Macs have; install gpt-oss-20b"
    ):
        check_platform(MLX_20B, "linux")
    check_platform(MLX_20B, "darwin")
    check_platform(MXFP4_20B, "linux")
